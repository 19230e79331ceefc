//! Built-in functions that Nix keeps for old files only.

use rnix::SyntaxKind::{NODE_APPLY, NODE_IDENT, NODE_SELECT};
use rnix::SyntaxNode;
use rnix::ast::Expr;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::builtin;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("deprecated-builtin", Note, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, file: &File<'_>) -> Option<Finding> {
    let head = node.first_child().filter(|head| matches!(head.kind(), NODE_IDENT | NODE_SELECT))?;
    let name = builtin(&Expr::cast(head.clone())?)?;
    let instead = match name.as_str() {
        "isNull" => "compare with `== null`",
        "toPath" => "write `/. + text` for an absolute path, `./. + text` for a relative one",
        _ => return None,
    };
    // A file may have a function of its own by that name.
    let own = file.names.defined.iter().any(|known| known.word == name);
    (!own).then(|| Finding::at(head.text_range(), format!("`{name}` is deprecated")).hint(instead))
}
