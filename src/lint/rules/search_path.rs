//! `<nixpkgs>`.

use rnix::SyntaxKind::NODE_PATH_SEARCH;
use rnix::SyntaxNode;

use super::{Check, Rule};
use crate::lint::ask::is_default;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("search-path", Warning, Check::Nodes(&[NODE_PATH_SEARCH], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    // What callers may replace is there for those without a flake. Nix itself brings <nix/..>.
    if is_default(node) || node.text().to_string().starts_with("<nix/") {
        return None;
    }
    Some(
        Finding::at(node.text_range(), format!("`{}` is whatever `NIX_PATH` says, which a flake is evaluated without", node.text()))
            .hint("take it from an input: `inputs.nixpkgs`, or `modulesPath` for NixOS's own modules"),
    )
}
