//! Secrets that stand in a file, and so in git and in the store of every machine that evaluates it.
//!
//! What was found is never shown: neither in the message nor in an excerpt.

use std::ops::Range;

use rnix::SyntaxKind::{NODE_ATTRPATH_VALUE, NODE_STRING, TOKEN_STRING_CONTENT};
use rnix::ast::{AttrpathValue, Expr, Root};
use rnix::{NodeOrToken, SyntaxNode, SyntaxToken};
use rowan::ast::AstNode as _;

use super::{Check, Rule};
use crate::lint::ask::{plain, text};
use crate::lint::attributes::constant;
use crate::lint::file::File;
use crate::lint::finding::Finding;

pub(super) const RULE: Rule = rule!("literal-secret", Error, Check::File(check));

fn check(file: &File<'_>) -> Vec<Finding> {
    found(&file.tree)
}

/// Where secrets stand in a tree.
pub(in crate::lint) fn secrets(tree: &Root) -> Vec<Range<usize>> {
    found(tree).into_iter().map(|finding| finding.span).collect()
}

fn found(tree: &Root) -> Vec<Finding> {
    let nodes = tree.syntax().descendants();
    nodes.flat_map(|node| match node.kind() {
        NODE_STRING => shapes(&node),
        NODE_ATTRPATH_VALUE => named(&node).into_iter().collect(),
        _ => Vec::new(),
    })
    .collect()
}

/// A secret whose maker gave it a shape of its own.
struct Shape {
    what: &'static str,
    prefix: &'static str,
    /// How many characters follow at least.
    length: usize,
    fits: fn(char) -> bool,
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn letter(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn upper(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit()
}

fn hash(c: char) -> bool {
    c.is_ascii_alphanumeric() || "./$=".contains(c)
}

const SHAPES: &[Shape] = &[
    Shape { what: "a key of age", prefix: "AGE-SECRET-KEY-1", length: 50, fits: upper },
    Shape { what: "a key of AWS", prefix: "AKIA", length: 16, fits: upper },
    Shape { what: "a key of Google", prefix: "AIza", length: 35, fits: word },
    Shape { what: "a token of GitHub", prefix: "ghp_", length: 36, fits: letter },
    Shape { what: "a token of GitHub", prefix: "gho_", length: 36, fits: letter },
    Shape { what: "a token of GitHub", prefix: "ghs_", length: 36, fits: letter },
    Shape { what: "a token of GitHub", prefix: "github_pat_", length: 40, fits: word },
    Shape { what: "a token of GitLab", prefix: "glpat-", length: 20, fits: word },
    Shape { what: "a token of Hugging Face", prefix: "hf_", length: 34, fits: letter },
    Shape { what: "a token of npm", prefix: "npm_", length: 36, fits: letter },
    Shape { what: "a token of Slack", prefix: "xoxb-", length: 20, fits: word },
    Shape { what: "a token of Slack", prefix: "xoxp-", length: 20, fits: word },
    Shape { what: "a key of Anthropic", prefix: "sk-ant-", length: 40, fits: word },
    Shape { what: "a key of OpenAI", prefix: "sk-proj-", length: 40, fits: word },
    Shape { what: "a key of Tailscale", prefix: "tskey-", length: 20, fits: word },
    Shape { what: "the hash of a password", prefix: "$6$", length: 40, fits: hash },
    Shape { what: "the hash of a password", prefix: "$5$", length: 40, fits: hash },
    Shape { what: "the hash of a password", prefix: "$y$", length: 40, fits: hash },
    Shape { what: "the hash of a password", prefix: "$2b$", length: 50, fits: hash },
    Shape { what: "the hash of a password", prefix: "$2y$", length: 50, fits: hash },
    Shape { what: "the hash of a password", prefix: "$7$", length: 40, fits: hash },
];

/// What is shorter has none of these shapes.
const SHORTEST: usize = 20;

fn shapes(node: &SyntaxNode) -> Vec<Finding> {
    let tokens = node.children_with_tokens().filter_map(NodeOrToken::into_token);
    tokens.filter(|token| token.kind() == TOKEN_STRING_CONTENT).filter_map(|token| shape(&token)).collect()
}

fn shape(token: &SyntaxToken) -> Option<Finding> {
    let text = token.text();
    if text.len() < SHORTEST {
        return None;
    }
    let found = |what: &str, range: Range<usize>| {
        let start = usize::from(token.text_range().start());
        Some(finding(what, start + range.start..start + range.end))
    };
    if let Some(at) = text.find("-----BEGIN ").filter(|at| text[*at..].contains("PRIVATE KEY-----\n")) {
        return found("a private key", at..text.len());
    }
    for shape in SHAPES {
        for (at, prefix) in text.match_indices(shape.prefix) {
            // Not in the middle of a word, as in a store path.
            if text[..at].ends_with(word) && shape.prefix.starts_with(char::is_alphabetic) {
                continue;
            }
            let rest = &text[at + prefix.len()..];
            let length = rest.find(|c| !(shape.fits)(c)).unwrap_or(rest.len());
            let value = &rest[..length];
            if length >= shape.length && !is_placeholder(value) {
                return found(shape.what, at..at + prefix.len() + length);
            }
        }
    }
    None
}

/// Names of attributes that hold a secret. What ends with `File` or `Path` holds the place of one.
const NAMES: &[&str] = &[
    "accesstoken",
    "apikey",
    "apitoken",
    "authkey",
    "authtoken",
    "clientsecret",
    "encryptionkey",
    "initialpassword",
    "passphrase",
    "passwd",
    "password",
    "presharedkey",
    "privatekey",
    "psk",
    "secretkey",
    "secrettoken",
];

/// Words that are no password, such as those of PAM.
const WORDS: &[&str] = &["ask", "disabled", "dummy", "include", "none", "optional", "prompt", "required", "requisite", "substack", "sufficient", "unused"];

/// A secret that is known by the name of its attribute.
fn named(node: &SyntaxNode) -> Option<Finding> {
    let entry = AttrpathValue::cast(node.clone())?;
    let name = constant(&entry.attrpath()?.attrs().last()?)?;
    let folded: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if !NAMES.contains(&folded.as_str()) {
        return None;
    }
    let Expr::Str(value) = plain(entry.value()?) else { return None };
    let content = text(&Expr::Str(value.clone()))?;
    is_secret(&content).then(|| {
        let range = value.syntax().text_range();
        let span = usize::from(range.start()) + 1..usize::from(range.end()) - 1;
        finding(&format!("the value of `{name}`"), span)
    })
}

fn is_secret(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"<>{}".contains(c);
    value.len() >= 4
        && value.chars().all(plain)
        && !value.starts_with(['/', '$', '%', '@', '~', '#', '!', '*'])
        && !value.contains("://")
        && !WORDS.contains(&value.to_lowercase().as_str())
        && !is_placeholder(value)
}

/// Whether a value only shows where one goes: `xxxxxxxx`, `YOUR-TOKEN`, `@token@`.
fn is_placeholder(value: &str) -> bool {
    let folded = value.to_lowercase();
    let mut chars = value.chars();
    let first = chars.next();
    chars.all(|c| Some(c) == first)
        || ["example", "placeholder", "replace", "your-", "your_", "<", "..."].iter().any(|word| folded.contains(word))
}

fn finding(what: &str, span: Range<usize>) -> Finding {
    let mut finding = Finding::at(span, format!("{what} stands in the file, and so in git and in the store"))
        .hint("encrypt it with agenix or sops, give its path to who needs it, and make a new one: this one is known");
    finding.hidden = true;
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_a_secret_is_none() {
        for value in ["/run/secrets/x", "$PASSWORD", "%(pw)s", "xxxxxxxx", "your-token-here", "sufficient", "unused", "", "a b c d", "<password>"] {
            assert!(!is_secret(value), "{value}");
        }
        for value in ["hunter2", "correct-horse", "changeme"] {
            assert!(is_secret(value), "{value}");
        }
    }
}
