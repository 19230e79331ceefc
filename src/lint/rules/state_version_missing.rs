//! Hosts without a `stateVersion`.

use std::collections::BTreeMap;

use super::{Check, Rule};
use crate::lint::file::host_of;
use crate::lint::finding::Finding;
use crate::lint::tree::{Sign, Tree};

pub(super) const RULE: Rule = rule!("state-version-missing", Warning, Check::Tree(check));

/// The files that a host's directory begins with.
const ENTRIES: [&str; 2] = ["default.nix", "configuration.nix"];

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    if !tree.has(Sign::MakesHosts) {
        return Vec::new();
    }
    let says = |path: &str| tree.files.get(path).is_some_and(|facts| facts.signs.contains(&Sign::StateVersion));
    // Where it stands in a file of no host, that may be for all of them.
    if tree.files.keys().any(|path| host_of(path).is_none() && says(path)) {
        return Vec::new();
    }
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in tree.files.keys() {
        if let Some(host) = host_of(path).filter(|_| path.split('/').count() > 2) {
            hosts.entry(host).or_default().push(path);
        }
    }
    // Hosts of which none says it are made in a way that is not seen through.
    if !hosts.values().flatten().any(|path| says(path)) {
        return Vec::new();
    }
    let lacking = hosts.values().filter(|files| !tree.reached(files.iter().copied()).iter().any(|path| says(path)));
    lacking.filter_map(|files| entry(files)).map(|path| (path.to_owned(), finding())).collect()
}

/// The file of a host that stands for all of it.
fn entry<'a>(files: &[&'a str]) -> Option<&'a str> {
    let is_entry = |path: &&&str| {
        path.split('/').count() == 3 && path.rsplit('/').next().is_some_and(|name| ENTRIES.contains(&name))
    };
    files.iter().find(is_entry).copied()
}

fn finding() -> Finding {
    Finding::at(0..0, "nothing says with which release the data of this host were made")
        .hint("set `system.stateVersion` to the release that it was installed with, such as \"24.11\"")
}
