//! How to change a file without changing more.

use std::ops::Range;

use rnix::SyntaxKind::*;
use rnix::SyntaxNode;
use rnix::ast::Expr;
use rowan::ast::AstNode as _;

/// The bytes of `node`, and of its whole lines where nothing else stands on them.
pub(super) fn without_line(text: &str, node: &SyntaxNode) -> Range<usize> {
    let (start, end) = (usize::from(node.text_range().start()), usize::from(node.text_range().end()));
    let line = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text[end..].find('\n').map_or(text.len(), |newline| end + newline);
    let alone = text[line..start].trim().is_empty() && text[end..rest].trim().is_empty();
    if alone && rest < text.len() {
        return line..rest + 1;
    }
    // The space behind it goes too, so that what follows stands where it stood.
    let space = text[end..rest].len() - text[end..rest].trim_start_matches([' ', '\t']).len();
    start..end + space
}

/// Whether a comment is anywhere in `node`.
pub(super) fn has_comment(node: &SyntaxNode) -> bool {
    node.descendants_with_tokens().any(|element| element.kind() == TOKEN_COMMENT)
}

/// An expression as it can stand behind `or`: with brackets where it needs some.
pub(super) fn operand(expr: &Expr) -> String {
    let simple = matches!(
        expr.syntax().kind(),
        NODE_ATTR_SET
            | NODE_IDENT
            | NODE_LIST
            | NODE_LITERAL
            | NODE_PAREN
            | NODE_PATH_ABS
            | NODE_PATH_HOME
            | NODE_PATH_REL
            | NODE_PATH_SEARCH
            | NODE_STRING
    );
    if simple { expr.to_string() } else { format!("({expr})") }
}
