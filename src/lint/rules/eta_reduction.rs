//! `map (x: f x) list`.

use rnix::SyntaxKind::{NODE_IDENT, NODE_LAMBDA, NODE_PAREN, NODE_SELECT};
use rnix::SyntaxNode;
use rnix::ast::{Expr, Lambda, Param};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{dotted, is_name};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("eta-reduction", Note, Check::Nodes(&[NODE_LAMBDA], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let paren = node.parent().filter(|parent| parent.kind() == NODE_PAREN)?;
    let lambda = Lambda::cast(node.clone())?;
    let Some(Param::IdentParam(param)) = lambda.param() else { return None };
    let name = param.ident()?.to_string();
    let Some(Expr::Apply(apply)) = lambda.body() else { return None };
    let function = apply.lambda().filter(|function| matches!(function.syntax().kind(), NODE_IDENT | NODE_SELECT))?;
    // The function itself must not depend on the argument.
    let parts = dotted(&function)?;
    if parts.first() == Some(&name) || !is_name(&apply.argument()?, &name) {
        return None;
    }
    // A function that is not there, or is named where it is defined, is only looked for once it is called.
    Some(
        Finding::at(node.text_range(), format!("this function only calls `{function}`"))
            .unsafe_fix(paren.text_range(), function.to_string()),
    )
}
