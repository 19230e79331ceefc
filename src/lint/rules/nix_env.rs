//! Scripts that install with `nix-env`.

use rnix::SyntaxKind::NODE_STRING;
use rnix::SyntaxNode;
use rnix::NodeOrToken;

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// What changes a user's profile behind the configuration's back.
const WORDS: [&str; 8] = ["-i", "-iA", "-e", "-u", "--install", "--uninstall", "--upgrade", "-riA"];

pub(super) const RULE: Rule = rule!("nix-env", Warning, Check::Nodes(&[NODE_STRING], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    node.children_with_tokens().filter_map(NodeOrToken::into_token).find_map(|token| {
        let (at, _) = token.text().match_indices("nix-env ").find(|(at, found)| {
            let mut words = token.text()[at + found.len()..].split_whitespace();
            words.next().is_some_and(|word| WORDS.contains(&word))
        })?;
        let start = usize::from(token.text_range().start()) + at;
        Some(
            Finding::at(start..start + "nix-env".len(), "what `nix-env` installs is in no configuration")
                .hint("name the package in `environment.systemPackages`, or in the home of its user"),
        )
    })
}
