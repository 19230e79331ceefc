//! A `with` from which no name comes.

use rnix::TextRange;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::has_comment;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("unused-with", Warning, Check::File(check));

fn check(file: &File<'_>) -> Vec<Finding> {
    let unused = file.names.withs.iter().filter(|with| !with.used);
    let finding = |with: &crate::lint::scope::With| {
        let node = with.node.syntax();
        let head = TextRange::new(node.text_range().start(), with.node.semicolon_token()?.text_range().end());
        let before = TextRange::new(node.text_range().start(), with.node.body()?.syntax().text_range().start());
        let finding = Finding::at(head, "no name in here comes from this `with`");
        let is_bare = node.children_with_tokens().filter_map(rnix::NodeOrToken::into_token);
        let has_own_comment = is_bare.clone().any(|token| token.kind() == rnix::SyntaxKind::TOKEN_COMMENT);
        Some(if has_own_comment || has_comment(node.first_child().as_ref()?) { finding } else { finding.safe_fix(before, "") })
    };
    unused.filter_map(finding).collect()
}
