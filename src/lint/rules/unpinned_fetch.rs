//! What is fetched while evaluating without saying what it must be.

use rnix::SyntaxKind::NODE_APPLY;
use rnix::SyntaxNode;
use rnix::ast::{Apply, Expr};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{builtin, defines, is_default};
use crate::lint::attributes::bare;
use crate::lint::file::File;
use crate::lint::finding::Finding;

/// Each with what makes it always the same.
const FETCHERS: [(&str, &[&str]); 5] = [
    ("fetchTarball", &["sha256", "narHash"]),
    ("fetchurl", &["sha256"]),
    ("fetchGit", &["rev", "narHash"]),
    ("fetchMercurial", &["rev", "narHash"]),
    ("fetchTree", &["rev", "narHash"]),
];

pub(super) const RULE: Rule = rule!("unpinned-fetch", Warning, Check::Nodes(&[NODE_APPLY], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let apply = Apply::cast(node.clone())?;
    let name = builtin(&apply.lambda()?)?;
    let (_, pins) = FETCHERS.iter().find(|(fetcher, _)| *fetcher == name)?;
    let pinned = match bare(apply.argument()?) {
        Expr::AttrSet(set) => pins.iter().any(|pin| defines(&set, pin)),
        Expr::Str(_) | Expr::Literal(_) => false,
        _ => true,
    };
    (!pinned && !is_default(node)).then(|| {
        Finding::at(node.text_range(), format!("what `{name}` fetches here may be something else tomorrow"))
            .hint(format!("make it an input of the flake, or add `{}`", pins[0]))
    })
}
