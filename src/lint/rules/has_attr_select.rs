//! `if x ? a then x.a else d`.

use rnix::SyntaxKind::NODE_IF_ELSE;
use rnix::SyntaxNode;
use rnix::ast::{Expr, IfElse};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::attributes::bare;
use crate::lint::edit::{has_comment, operand};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("has-attr-select", Note, Check::Nodes(&[NODE_IF_ELSE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let choice = IfElse::cast(node.clone())?;
    let Expr::HasAttr(asked) = bare(choice.condition()?) else { return None };
    let Expr::Select(taken) = bare(choice.body()?) else { return None };
    let same = |a: Option<String>, b: Option<String>| a.is_some() && a == b;
    let of_same = same(asked.expr().map(|e| e.to_string()), taken.expr().map(|e| e.to_string()));
    let by_same = same(asked.attrpath().map(|p| p.to_string()), taken.attrpath().map(|p| p.to_string()));
    if taken.or_token().is_some() || !of_same || !by_same {
        return None;
    }
    let text = format!("{taken} or {}", operand(&choice.else_body()?));
    let finding = Finding::at(node.text_range(), format!("this is `{taken} or ..`"));
    Some(if has_comment(node) { finding } else { finding.safe_fix(node.text_range(), text) })
}
