//! `!(a == b)`.

use rnix::SyntaxKind::NODE_UNARY_OP;
use rnix::SyntaxNode;
use rnix::ast::{BinOpKind, Expr, UnaryOp, UnaryOpKind};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("negated-comparison", Note, Check::Nodes(&[NODE_UNARY_OP], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let negation = UnaryOp::cast(node.clone()).filter(|op| op.operator() == Some(UnaryOpKind::Invert))?;
    let Expr::BinOp(comparison) = bare(negation.expr()?) else { return None };
    let instead = match comparison.operator()? {
        BinOpKind::Equal => "!=",
        BinOpKind::NotEqual => "==",
        _ => return None,
    };
    let text = format!("({} {instead} {})", comparison.lhs()?, comparison.rhs()?);
    Some(Finding::at(node.text_range(), format!("a negated comparison, which is `{instead}`")).safe_fix(node.text_range(), text))
}
