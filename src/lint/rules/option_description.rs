//! An option that says nothing of itself.

use rnix::SyntaxKind::NODE_APPLY;
use rnix::SyntaxNode;
use rnix::ast::{AttrSet, Expr, HasEntry as _};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{attr, call, defines, is_name};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("option-description", Note, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let call = call(&Expr::cast(node.clone())?).filter(|call| call.name == "mkOption")?;
    let [Expr::AttrSet(option)] = call.args.as_slice() else { return None };
    let hidden = attr(option, "internal").is_some_and(|value| is_name(&bare(value), "true"))
        || attr(option, "visible").is_some_and(|value| is_name(&bare(value), "false"));
    let head = node.first_child()?.text_range();
    (!hidden && !extends(option) && !defines(option, "description")).then(|| Finding::at(head, "an option without `description`"))
}

/// Whether a declaration only adds options to the submodules of an option that is declared elsewhere.
fn extends(option: &AttrSet) -> bool {
    let of_type = attr(option, "type").is_some_and(|kind| kind.syntax().text().to_string().contains("submodule"));
    of_type && option.entries().count() == 1
}
