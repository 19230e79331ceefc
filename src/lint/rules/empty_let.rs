//! `let in x`.

use rnix::SyntaxKind::NODE_LET_IN;
use rnix::SyntaxNode;
use rnix::ast::{HasEntry as _, LetIn};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::has_comment;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("empty-let", Warning, Check::Nodes(&[NODE_LET_IN], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let inner = LetIn::cast(node.clone())?;
    if inner.entries().next().is_some() {
        return None;
    }
    let words = inner.let_token()?.text_range().cover(inner.in_token()?.text_range());
    let finding = Finding::at(words, "this `let` defines nothing");
    let body = inner.body()?.syntax().text_range();
    let before = rnix::TextRange::new(node.text_range().start(), body.start());
    Some(if has_comment(node) { finding } else { finding.safe_fix(before, "") })
}
