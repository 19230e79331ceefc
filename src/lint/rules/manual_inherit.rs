//! `a = a;` and `a = x.a;`.

use rnix::SyntaxKind::{NODE_ATTR_SET, NODE_ATTRPATH_VALUE};
use rnix::SyntaxNode;
use rnix::ast::{AttrSet, Attr, AttrpathValue, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::attributes::constant;
use crate::lint::edit::has_comment;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("manual-inherit", Note, Check::Nodes(&[NODE_ATTRPATH_VALUE], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    let attrs: Vec<_> = entry.attrpath()?.attrs().collect();
    let [Attr::Ident(name)] = attrs.as_slice() else { return None };
    let text = match entry.value()? {
        Expr::Ident(value) if value.to_string() == name.to_string() => {
            // In `let` and `rec`, this is another `a` than the one around it.
            let set = node.parent().filter(|set| set.kind() == NODE_ATTR_SET).and_then(AttrSet::cast)?;
            set.rec_token().is_none().then(|| format!("inherit {name};"))?
        }
        Expr::Select(select) if select.or_token().is_none() => inherited_from(&select, &name.to_string())?,
        _ => return None,
    };
    let finding = Finding::at(node.text_range(), format!("this is `{text}`"));
    Some(if has_comment(node) { finding } else { finding.safe_fix(node.text_range(), text) })
}

fn inherited_from(select: &rnix::ast::Select, name: &str) -> Option<String> {
    let Expr::Ident(base) = select.expr()? else { return None };
    let mut parts: Vec<_> = select.attrpath()?.attrs().collect();
    let last = parts.pop()?;
    // More than a name or two before it is easier to read as it is.
    if !matches!(last, Attr::Ident(_)) || constant(&last)? != name || parts.len() > 1 || base.to_string() == name {
        return None;
    }
    let from = std::iter::once(base.to_string()).chain(parts.iter().map(ToString::to_string));
    Some(format!("inherit ({}) {name};", from.collect::<Vec<_>>().join(".")))
}
