//! An address without quotes.

use rnix::SyntaxKind::{NODE_LITERAL, TOKEN_URI};
use rnix::SyntaxNode;

use super::{Check, Rule};
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("url-literal", Warning, Check::Nodes(&[NODE_LITERAL], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    node.first_token().filter(|token| token.kind() == TOKEN_URI)?;
    Some(
        Finding::at(node.text_range(), "an address without quotes")
            .hint("`x:x` is an address too, and no function: newer versions of Nix may refuse them")
            .safe_fix(node.text_range(), format!("\"{}\"", node.text().to_string().replace("${", "\\${"))),
    )
}
