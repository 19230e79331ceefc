//! `mkForce` in numbers.

use rnix::SyntaxKind::{NODE_APPLY, TOKEN_IDENT};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// More than these in one file, and the file fights the modules that it imports.
const MANY: usize = 10;

pub(super) const RULE: Rule = rule!("many-mk-force", Warning, Check::File(check));

fn check(file: &File<'_>) -> Vec<Finding> {
    // Most files have none, which their texts tell faster than their trees.
    if file.source.text().matches("mkForce").nth(MANY).is_none() {
        return Vec::new();
    }
    let calls = file.tree.syntax().descendants().filter(|node| node.kind() == NODE_APPLY).filter_map(|apply| {
        let name = apply.first_child()?.last_token()?;
        (name.kind() == TOKEN_IDENT && name.text() == "mkForce").then(|| name.text_range())
    });
    let calls: Vec<_> = calls.collect();
    let Some(first) = calls.first().filter(|_| calls.len() > MANY) else { return Vec::new() };
    let message = format!("`mkForce` stands in this file {} times", calls.len());
    vec![Finding::at(*first, message).label("the first one").hint(
        "let the modules say `mkDefault` where hosts differ, so that a plain value wins",
    )]
}
