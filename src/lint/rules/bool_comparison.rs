//! `x == true`.

use rnix::SyntaxKind::NODE_BIN_OP;
use rnix::SyntaxNode;
use rnix::ast::{BinOp, BinOpKind};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::is_name;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("bool-comparison", Note, Check::Nodes(&[NODE_BIN_OP], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let operation = BinOp::cast(node.clone())?;
    let equal = match operation.operator()? {
        BinOpKind::Equal => true,
        BinOpKind::NotEqual => false,
        _ => return None,
    };
    let (left, right) = (operation.lhs()?, operation.rhs()?);
    let truth = |expr| [true, false].into_iter().find(|truth| is_name(expr, &truth.to_string()));
    let (other, truth) = match (truth(&left), truth(&right)) {
        (None, Some(truth)) => (left, truth),
        (Some(truth), None) => (right, truth),
        _ => return None,
    };
    let text = if truth == equal { other.to_string() } else { format!("!({other})") };
    // What is compared may be no boolean at all, which is no error in a comparison.
    Some(Finding::at(node.text_range(), format!("a comparison with `{truth}`")).unsafe_fix(node.text_range(), text))
}
