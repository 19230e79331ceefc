//! `inherit;`.

use rnix::SyntaxKind::NODE_INHERIT;
use rnix::SyntaxNode;
use rnix::ast::Inherit;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::without_line;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("empty-inherit", Warning, Check::Nodes(&[NODE_INHERIT], check));

fn check(node: &SyntaxNode, file: &File<'_>) -> Option<Finding> {
    let is_empty = Inherit::cast(node.clone())?.attrs().next().is_none();
    is_empty.then(|| {
        Finding::at(node.text_range(), "this inherits nothing").safe_fix(without_line(file.source.text(), node), "")
    })
}
