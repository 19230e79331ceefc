//! Hosts on which nothing ever collects garbage.

use super::{Check, Rule};
use crate::lint::finding::Finding;
use crate::lint::tree::{Sign, Tree};

pub(super) const RULE: Rule = rule!("garbage-collection", Note, Check::Tree(check));

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    if !tree.has(Sign::MakesHosts) || tree.has(Sign::CollectsGarbage) || !tree.files.contains_key("flake.nix") {
        return Vec::new();
    }
    let finding = Finding::at(0..0, "nothing collects garbage on the hosts of this flake")
        .hint("set `nix.gc.automatic = true;` in a module that all hosts import");
    vec![("flake.nix".to_owned(), finding)]
}
