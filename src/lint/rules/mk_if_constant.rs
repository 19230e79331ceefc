//! `mkIf true x`.

use rnix::SyntaxKind::NODE_APPLY;
use rnix::SyntaxNode;
use rnix::ast::Expr;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{call, is_name};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("mk-if-constant", Warning, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let call = call(&Expr::cast(node.clone())?).filter(|call| call.name == "mkIf")?;
    let [condition, body] = call.args.as_slice() else { return None };
    if is_name(condition, "false") {
        return Some(Finding::at(node.text_range(), "this never holds").hint("delete it; git remembers it"));
    }
    is_name(condition, "true")
        .then(|| Finding::at(node.text_range(), "this always holds").safe_fix(node.text_range(), body.to_string()))
}
