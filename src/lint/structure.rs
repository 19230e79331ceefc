//! What the parser accepts and Nix does not.

use std::collections::BTreeMap;

use rnix::SyntaxKind::*;
use rnix::ast::{self, Attr};
use rnix::{NodeOrToken, SyntaxNode, SyntaxToken, TextRange};
use rowan::ast::AstNode as _;

use super::attributes::constant;
use super::finding::Finding;
use super::syntax::{SYNTAX, shown};

/// All that Nix would not read of the tree of `text` that the parser took for one.
pub(super) fn problems(root: &ast::Root, text: &str) -> Vec<Finding> {
    // Tokens are most of a tree, and only two kinds of them can be wrong.
    let has_strange_space = text.contains(|c: char| c.is_whitespace() && !is_space(c));
    let mut found = Vec::new();
    for node in root.syntax().descendants() {
        found.extend(of_node(&node));
        if has_strange_space || node.kind() == NODE_LITERAL {
            let tokens = node.children_with_tokens().filter_map(NodeOrToken::into_token);
            found.extend(tokens.filter_map(|token| of_token(&token)));
        }
    }
    found.sort_by_key(|finding| finding.span.start);
    found
}

/// Whether Nix knows a character as space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn of_node(node: &SyntaxNode) -> Option<Finding> {
    match node.kind() {
        NODE_PAREN => unclosed(node),
        NODE_LAMBDA => bare_function(node),
        NODE_PATTERN => twice(&ast::Pattern::cast(node.clone())?),
        NODE_INHERIT => ast::Inherit::cast(node.clone())?.attrs().find_map(|attr| not_inheritable(&attr)),
        NODE_ATTRPATH => ast::Attrpath::cast(node.clone())?.attrs().find_map(|attr| not_a_name(&attr)),
        _ => None,
    }
}

/// The parser takes any word for the `)` that closes.
fn unclosed(node: &SyntaxNode) -> Option<Finding> {
    let last = node.last_token()?;
    let opened = node.first_token()?;
    (last.kind() != TOKEN_R_PAREN).then(|| {
        let message = format!("unexpected {}", shown(last.text()));
        Finding::error(SYNTAX, last.text_range(), message)
            .label("expected `)`")
            .related(opened.text_range(), "opened here")
    })
}

/// Functions without brackets stand only where nothing binds tighter.
fn bare_function(node: &SyntaxNode) -> Option<Finding> {
    let parent = node.parent()?;
    let operand =
        matches!(parent.kind(), NODE_APPLY | NODE_BIN_OP | NODE_UNARY_OP | NODE_LIST | NODE_SELECT | NODE_HAS_ATTR);
    operand.then(|| {
        let head = head_of(node);
        Finding::error(SYNTAX, head, "a function stands here without brackets").hint("write `(` and `)` around it")
    })
}

/// A function without its body.
fn head_of(node: &SyntaxNode) -> TextRange {
    let end = node.children().next().map_or(node.text_range().end(), |param| param.text_range().end());
    TextRange::new(node.text_range().start(), end)
}

/// An argument that stands twice, or is the name for all of them too.
fn twice(pattern: &ast::Pattern) -> Option<Finding> {
    let entries = pattern.pat_entries().filter_map(|entry| entry.ident());
    let all: Vec<_> = entries.chain(pattern.pat_bind().and_then(|bind| bind.ident())).collect();
    let name = |ident: &ast::Ident| ident.to_string();
    let mut seen = BTreeMap::new();
    for ident in all {
        if let Some(first) = seen.insert(name(&ident), ident.syntax().text_range()) {
            let again = ident.syntax().text_range();
            let message = format!("the argument `{}` stands twice", name(&ident));
            return Some(Finding::error(SYNTAX, again, message).related(first, "first here"));
        }
    }
    None
}

fn not_inheritable(attr: &Attr) -> Option<Finding> {
    not_a_name(attr).or_else(|| {
        constant(attr).is_none().then(|| {
            Finding::error(
                SYNTAX,
                attr.syntax().text_range(),
                "`inherit` takes names that are known without evaluating",
            )
        })
    })
}

/// An indented text names no attribute.
fn not_a_name(attr: &Attr) -> Option<Finding> {
    let Attr::Str(text) = attr else { return None };
    let first = text.syntax().first_token()?;
    (first.text() == "''").then(|| {
        Finding::error(SYNTAX, text.syntax().text_range(), "an indented text cannot name an attribute")
            .hint("write the name between \" and \"")
    })
}

fn of_token(token: &SyntaxToken) -> Option<Finding> {
    match token.kind() {
        TOKEN_WHITESPACE => strange_space(token),
        TOKEN_INTEGER => {
            let fits = token.text().parse::<i64>().is_ok();
            (!fits).then(|| too_large(token, "whole number", "9223372036854775807"))
        }
        TOKEN_FLOAT => {
            let fits = token.text().parse::<f64>().is_ok_and(f64::is_finite);
            (!fits).then(|| too_large(token, "number", "1.7976931348623157e308"))
        }
        _ => None,
    }
}

fn too_large(token: &SyntaxToken, what: &str, most: &str) -> Finding {
    Finding::error(SYNTAX, token.text_range(), format!("the {what} {} is too large", shown(token.text())))
        .hint(format!("the largest one is {most}"))
}

/// Nix knows four characters for space.
fn strange_space(token: &SyntaxToken) -> Option<Finding> {
    let (at, c) = token.text().char_indices().find(|(_, c)| !is_space(*c))?;
    let start = usize::from(token.text_range().start()) + at;
    let message = format!("a space that Nix does not read (U+{:04X})", u32::from(c));
    Some(Finding::error(SYNTAX, start..start + c.len_utf8(), message).hint("write a plain space"))
}
