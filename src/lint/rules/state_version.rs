//! A `stateVersion` that changes by itself.

use rnix::SyntaxKind::NODE_ATTRPATH_VALUE;
use rnix::SyntaxNode;
use rnix::ast::{AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{dotted, is_option, option_path, plain};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// What follows nixpkgs.
const MOVING: [&str; 4] = ["release", "version", "nixosRelease", "nixpkgsVersion"];

pub(super) const RULE: Rule = rule!("state-version", Error, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    let value = plain(entry.value()?);
    let Expr::Select(_) = value else { return None };
    let name = dotted(&value)?;
    let path = option_path(&entry)?;
    let is_it = is_option(&path, "system.stateVersion") || is_option(&path, "home.stateVersion");
    (is_it && MOVING.contains(&name.last()?.as_str())).then(|| {
        Finding::at(value.syntax().text_range(), "the state version follows nixpkgs, and so is of no use")
            .hint("write the release that the host was installed with, such as \"24.11\", and never change it")
    })
}
