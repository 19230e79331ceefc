//! `args@{ ... }: ..`.

use rnix::SyntaxKind::NODE_PATTERN;
use rnix::SyntaxNode;
use rnix::ast::Pattern;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("redundant-pattern", Note, Check::Nodes(&[NODE_PATTERN], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let pattern = Pattern::cast(node.clone())?;
    let name = pattern.pat_bind()?.ident()?;
    if pattern.pat_entries().next().is_some() || pattern.ellipsis_token().is_none() {
        return None;
    }
    // What is called with something that is no set works afterwards, where it failed before.
    Some(
        Finding::at(node.text_range(), format!("this takes any set, as `{name}` alone does"))
            .unsafe_fix(node.text_range(), name.to_string()),
    )
}
