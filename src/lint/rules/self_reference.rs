//! `rec { a = a; }`.

use rnix::SyntaxKind::{NODE_ATTR_SET, NODE_ATTRPATH_VALUE, NODE_LET_IN};
use rnix::SyntaxNode;
use rnix::ast::{AttrSet, Attr, AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("self-reference", Error, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    let attrs: Vec<_> = entry.attrpath()?.attrs().collect();
    let [Attr::Ident(name)] = attrs.as_slice() else { return None };
    let Expr::Ident(value) = bare(entry.value()?) else { return None };
    let set = node.parent()?;
    let word = match set.kind() {
        NODE_LET_IN => "let",
        NODE_ATTR_SET if AttrSet::cast(set)?.rec_token().is_some() => "rec",
        _ => return None,
    };
    (value.to_string() == name.to_string()).then(|| {
        Finding::at(value.syntax().text_range(), format!("`{name}` is defined as itself: in `{word}`, it is not the one outside"))
            .hint(format!("for the one outside, write `inherit {name};`"))
    })
}
