//! What depends on the machine that evaluates.

use rnix::SyntaxKind::{NODE_IDENT, NODE_SELECT};
use rnix::SyntaxNode;
use rnix::ast::Expr;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{builtin, is_default};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("impure-builtin", Warning, Check::Nodes(&[NODE_SELECT, NODE_IDENT], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    if !node.first_token().is_some_and(|first| first.text() == "builtins" || first.text().starts_with("__")) {
        return None;
    }
    let name = builtin(&Expr::cast(node.clone())?)?;
    let depends = match name.as_str() {
        "currentSystem" => "on the machine that evaluates",
        "currentTime" => "on the time",
        "getEnv" => "on the environment",
        "nixPath" => "on `NIX_PATH`",
        _ => return None,
    };
    if is_default(node) {
        return None;
    }
    let finding = Finding::at(node.text_range(), format!("`{name}` depends {depends}, and a flake is evaluated without it"));
    Some(match name.as_str() {
        "currentSystem" => finding.hint("take the system as an argument, or from `pkgs.stdenv.hostPlatform.system`"),
        _ => finding,
    })
}
