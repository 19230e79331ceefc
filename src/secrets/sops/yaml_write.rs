//! Values in the clear as YAML and as JSON.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;
use zeroize::Zeroizing;

use super::cipher::is_sealed;
use super::error::SopsError;
use super::format::utf8;
use super::tree::Leaf;
use super::value::Plain;
use super::yaml_scalar::{Resolved, resolve};

/// How much further than its key a block of lines begins.
const INDENT: usize = 4;

/// A value as YAML, in the place of `leaf` in `text`.
pub(super) fn value(value: &Plain, leaf: &Leaf, text: &str, blocks: bool) -> Result<Zeroizing<String>, SopsError> {
    match value {
        Plain::Text(bytes) | Plain::Bytes(bytes) => {
            let content = utf8(bytes)?;
            let lines = blocks.then(|| literal(content, leaf, text)).flatten();
            Ok(lines
                .unwrap_or_else(|| if is_bare(content) { Zeroizing::new(content.to_owned()) } else { quoted(content) }))
        }
        Plain::Float(float) if float.is_nan() => Ok(owned(".nan")),
        Plain::Float(float) if float.is_infinite() => Ok(owned(if *float > 0.0 { ".inf" } else { "-.inf" })),
        Plain::Time(time) => Ok(owned(time)),
        _ => scalar(value),
    }
}

/// A setting of the `sops` block, outside of brackets.
pub(super) fn setting(text: &str) -> Zeroizing<String> {
    if is_bare(text) || is_sealed(text) { owned(text) } else { quoted(text) }
}

/// A value as JSON.
pub(super) fn json(value: &Plain) -> Result<Zeroizing<String>, SopsError> {
    match value {
        Plain::Text(bytes) | Plain::Bytes(bytes) => Ok(quoted(utf8(bytes)?)),
        Plain::Time(time) => Ok(quoted(time)),
        Plain::Float(float) if !float.is_finite() => Err(SopsError::Unwritable("JSON has no infinite numbers")),
        _ => scalar(value),
    }
}

fn scalar(value: &Plain) -> Result<Zeroizing<String>, SopsError> {
    match value {
        Plain::Bool(truth) => Ok(owned(&truth.to_string())),
        Plain::Float(_) => {
            let bytes = value.bytes();
            let digits = utf8(&bytes)?;
            // Without a point it would come back as a whole number.
            Ok(owned(&if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") }))
        }
        _ => Ok(owned(utf8(&value.bytes())?)),
    }
}

fn owned(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

/// Whether a text is itself without quotes, in every version of YAML and also in brackets.
fn is_bare(text: &str) -> bool {
    static FORM: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_/](?: ?[A-Za-z0-9_./@+=-])*$").expect("it is one"));
    const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    FORM.is_match(text)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && matches!(resolve(text), Resolved::Value(Plain::Text(_)))
}

/// A text in quotes, as both JSON and YAML read it.
fn quoted(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2 + 2));
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // All of these have four digits at most.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
    out
}

/// A text of several lines as such, where it can stand and reads back the same.
fn literal(content: &str, leaf: &Leaf, text: &str) -> Option<Zeroizing<String>> {
    let behind = &text[leaf.span.end..];
    let free = behind.find('\n').is_some_and(|end| behind[..end].trim().is_empty());
    let body = content.trim_end_matches('\n');
    let column = leaf.block.filter(|_| free && content.contains('\n') && !body.is_empty())?;
    let odd = |letter: char| letter.is_control() && letter != '\n' || ('\u{2028}'..='\u{2029}').contains(&letter);
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    if body.starts_with([' ', '\n']) || body.contains(odd) || body.contains('\u{feff}') || body.lines().any(blank) {
        return None;
    }
    let ends = content.len() - body.len();
    let sign = ["|-", "|"].get(ends).unwrap_or(&"|+");
    let indent = " ".repeat(column + INDENT);
    let mut out = Zeroizing::new(String::with_capacity(content.len() * 2 + 16));
    out.push_str(sign);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&indent);
            out.push_str(line);
        }
    }
    // The line end that is there already is the last.
    (1..ends).for_each(|_| out.push('\n'));
    Some(out)
}
