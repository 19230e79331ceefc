//! `a = (b);`.

use rnix::SyntaxKind::*;
use rnix::SyntaxNode;
use rnix::ast::Paren;
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::edit::has_comment;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("needless-parens", Note, Check::Nodes(&[NODE_PAREN], check));

fn check(node: &SyntaxNode, _: &File<'_>) -> Option<Finding> {
    let inner = Paren::cast(node.clone())?.expr()?;
    let atom = matches!(
        inner.syntax().kind(),
        NODE_IDENT | NODE_STRING | NODE_LIST | NODE_PAREN | NODE_PATH_ABS | NODE_PATH_REL | NODE_PATH_SEARCH
    );
    let needless = match node.parent()?.kind() {
        NODE_ATTRPATH_VALUE | NODE_ROOT | NODE_PAREN => true,
        NODE_LET_IN => atom || inner.syntax().kind() == NODE_ATTR_SET,
        NODE_LIST | NODE_APPLY => atom && inner.syntax().text() != "or",
        _ => false,
    };
    // Brackets around several lines may be there for the eye.
    if !needless || (!atom && node.text().contains_char('\n')) {
        return None;
    }
    let finding = Finding::at(node.text_range(), "brackets around what needs none");
    Some(if has_comment(node) { finding } else { finding.safe_fix(node.text_range(), separated(node, &inner.to_string())) })
}

/// What replaces the brackets of `node`, with a space where it would run into its neighbours.
fn separated(node: &SyntaxNode, text: &str) -> String {
    let touches = |token: Option<rnix::SyntaxToken>| token.is_some_and(|token| !token.kind().is_trivia());
    let before = node.first_token().and_then(|first| first.prev_token());
    let after = node.last_token().and_then(|last| last.next_token());
    let after = after.filter(|next| !matches!(next.kind(), TOKEN_SEMICOLON | TOKEN_R_PAREN | TOKEN_R_BRACK | TOKEN_COMMA));
    let before = before.filter(|previous| !matches!(previous.kind(), TOKEN_L_PAREN | TOKEN_L_BRACK));
    let space = |touches| if touches { " " } else { "" };
    format!("{}{text}{}", space(touches(before)), space(touches(after)))
}
