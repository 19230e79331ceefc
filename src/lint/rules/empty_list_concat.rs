//! `[ ] ++ x`.

use rnix::SyntaxKind::NODE_BIN_OP;
use rnix::SyntaxNode;
use rnix::ast::{BinOp, BinOpKind, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::has_comment;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("empty-list-concat", Note, Check::Nodes(&[NODE_BIN_OP], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let operation = BinOp::cast(node.clone()).filter(|op| op.operator() == Some(BinOpKind::Concat))?;
    let (left, right) = (operation.lhs()?, operation.rhs()?);
    let is_empty = |expr: &Expr| matches!(expr, Expr::List(list) if list.items().next().is_none());
    let other = match (is_empty(&left), is_empty(&right)) {
        (true, _) => right,
        (_, true) => left,
        _ => return None,
    };
    let finding = Finding::at(node.text_range(), "an empty list adds nothing");
    Some(if has_comment(node) { finding } else { finding.safe_fix(node.text_range(), other.to_string()) })
}
