//! `x = mkIf c true`.

use rnix::SyntaxKind::NODE_ATTRPATH_VALUE;
use rnix::SyntaxNode;
use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{call, is_name};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("mk-if-true", Warning, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    let value = entry.value()?;
    let call = call(&value).filter(|call| call.name == "mkIf")?;
    let [condition, body] = call.args.as_slice() else { return None };
    if !is_name(body, "true") || is_name(condition, "true") {
        return None;
    }
    let last = entry.attrpath()?.attrs().last()?.to_string();
    let text = bare(condition.clone()).to_string();
    // Another module may say `false` or something else where the condition does not hold.
    Some(
        Finding::at(value.syntax().text_range(), format!("`{last}` is what the condition is"))
            .hint(format!("write `{last} = {};`", super::super::syntax::shown(&text).trim_matches('`')))
            .unsafe_fix(value.syntax().text_range(), text),
    )
}
