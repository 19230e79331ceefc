//! A `with` in another one.

use rnix::SyntaxKind::NODE_WITH;
use rnix::SyntaxNode;
use rnix::ast::With;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("nested-with", Warning, Check::Nodes(&[NODE_WITH], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let head = |node: &SyntaxNode| {
        let end = With::cast(node.clone())?.semicolon_token()?.text_range().end();
        Some(rnix::TextRange::new(node.text_range().start(), end))
    };
    let is_body_of = |above: &SyntaxNode| {
        let body = With::cast(above.clone()).and_then(|with| with.body());
        body.is_some_and(|body| body.syntax().text_range().contains_range(node.text_range()))
    };
    let outer = node.ancestors().skip(1).find(|above| above.kind() == NODE_WITH && is_body_of(above))?;
    Some(
        Finding::at(head(node)?, "a `with` in another one: names may come from either")
            .related(head(&outer)?, "the other one")
            .hint("write the names of one of them out"),
    )
}
