//! The parser's errors in words.

use std::ops::Range;

use rnix::ParseError;
use rnix::SyntaxKind::{self, *};

use super::finding::Finding;

/// The name of what no parser can read.
pub(super) const SYNTAX: &str = "syntax";

/// The first of the parser's `errors`, which were found in `text`. What follows it is mostly its echo.
pub(super) fn first_error(text: &str, errors: &[ParseError]) -> Option<Finding> {
    let at = |error: &ParseError| start(error).unwrap_or(text.len());
    let first = errors.iter().min_by_key(|error| at(error))?;
    // Of several errors at one place, the one that knows what was wanted says most.
    let best = errors.iter().filter(|error| at(error) == at(first)).max_by_key(|error| wanted(error).len());
    Some(describe(text, best.unwrap_or(first)))
}

fn describe(text: &str, error: &ParseError) -> Finding {
    let span = start(error).map_or_else(|| end_of(text), |start| token_at(text, start));
    let wanted = wanted(error);
    match error {
        ParseError::RecursionLimitExceeded => too_deep(end_of(text)),
        ParseError::DuplicatedArgs(_, name) => {
            Finding::error(SYNTAX, span, format!("the argument `{name}` stands twice"))
        }
        ParseError::UnexpectedDoubleBind(_) => {
            Finding::error(SYNTAX, span, "a name for all arguments stands in front of them and behind them")
        }
        _ if is_end(error) => unexpected_end(text, &wanted),
        _ => unexpected(text, span, &wanted),
    }
}

/// The file that nothing reads to its end.
pub(super) fn too_deep(span: Range<usize>) -> Finding {
    Finding::error(SYNTAX, span, "this is nested too deeply for hubctl to read")
        .hint("give the inner parts names with `let`, or put them into files of their own")
}

fn unexpected_end(text: &str, wanted: &[SyntaxKind]) -> Finding {
    let finding = Finding::error(SYNTAX, end_of(text), "unexpected end of the file");
    if text.trim().is_empty() {
        return finding.hint("an empty file is no expression; a module that does nothing is `{ }`");
    }
    match listed(wanted) {
        Some(listed) => finding.label(format!("expected {listed}")),
        None => finding.label("expected more"),
    }
}

fn unexpected(text: &str, span: Range<usize>, wanted: &[SyntaxKind]) -> Finding {
    let found = &text[span.clone()];
    let finding = Finding::error(SYNTAX, span.clone(), format!("unexpected {}", shown(found)));
    if let Some(finding) = slip(text, &span, found) {
        return finding;
    }
    if wanted == [TOKEN_SEMICOLON] {
        let before = token_before(text, span.start);
        let hint = format!("write `;` behind `{}`", line_end(&text[..before.end]));
        let last = last_of(&text[..before.end]);
        return Finding { span: last, ..finding }
            .label("a `;` is missing behind this")
            .related(span, "before this")
            .hint(hint);
    }
    match listed(wanted) {
        Some(listed) => finding.label(format!("expected {listed}")),
        None => finding,
    }
}

/// What is known to be meant by something that is no Nix.
fn slip(text: &str, span: &Range<usize>, found: &str) -> Option<Finding> {
    let finding = |message: &str, hint: &str| Some(Finding::error(SYNTAX, span.clone(), message).hint(hint));
    match found {
        "\"" | "''" => finding("a text that is not closed", &format!("close it with {found}")),
        _ if found.starts_with("/*") => finding("a comment that is not closed", "close it with `*/`"),
        _ if found.starts_with(['"', '\'']) => None,
        "\u{feff}" => finding("a byte order mark, which Nix does not read", "save the file as UTF-8 without one"),
        _ if found.starts_with(['“', '”', '‘', '’', '„']) => {
            finding("a typographic quotation mark", "Nix knows \" and '' only")
        }
        _ if found.ends_with('/') && found.len() > 1 && !found.contains("//") => {
            finding(&format!("the path {} ends with a slash", shown(found)), "leave the slash out")
        }
        "=" if text[..span.start].ends_with('=') => None,
        _ => None,
    }
}

fn is_end(error: &ParseError) -> bool {
    matches!(error, ParseError::UnexpectedEOF | ParseError::UnexpectedEOFWanted(_))
}

/// The byte that an error is about; none for the end of the file.
fn start(error: &ParseError) -> Option<usize> {
    match error {
        ParseError::Unexpected(range)
        | ParseError::UnexpectedExtra(range)
        | ParseError::UnexpectedWanted(_, range, _)
        | ParseError::UnexpectedDoubleBind(range)
        | ParseError::DuplicatedArgs(range, _) => Some(range.start().into()),
        _ => None,
    }
}

fn wanted(error: &ParseError) -> Vec<SyntaxKind> {
    match error {
        ParseError::UnexpectedWanted(_, _, wanted) | ParseError::UnexpectedEOFWanted(wanted) => wanted.to_vec(),
        _ => Vec::new(),
    }
}

/// The token that begins at a byte.
fn token_at(text: &str, start: usize) -> Range<usize> {
    let mut at = 0;
    for (kind, token) in rnix::tokenize(text) {
        let span = at..at + token.len();
        if span.end > start && !matches!(kind, TOKEN_WHITESPACE | TOKEN_COMMENT) {
            return span;
        }
        at = span.end;
    }
    end_of(text)
}

/// The token in front of the one that begins at a byte.
fn token_before(text: &str, start: usize) -> Range<usize> {
    let (mut at, mut before) = (0, 0..0);
    for (kind, token) in rnix::tokenize(text) {
        let span = at..at + token.len();
        at = span.end;
        if span.start >= start {
            break;
        }
        if !matches!(kind, TOKEN_WHITESPACE | TOKEN_COMMENT) {
            before = span;
        }
    }
    before
}

/// The last character of the text that is no space.
fn end_of(text: &str) -> Range<usize> {
    last_of(text)
}

fn last_of(text: &str) -> Range<usize> {
    let end = text.trim_end().len();
    let start = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    start..end
}

/// The last words before something, as a reader would find them.
fn line_end(text: &str) -> String {
    let line = text.trim_end().lines().next_back().unwrap_or_default().trim();
    let from = line.char_indices().rev().nth(30).map_or(0, |(at, _)| at);
    if from == 0 { line.to_owned() } else { format!("…{}", &line[from..]) }
}

/// A token as a message shows it.
pub(super) fn shown(token: &str) -> String {
    let first = token.lines().next().unwrap_or_default();
    match first.char_indices().nth(40) {
        Some((at, _)) => format!("`{}…`", &first[..at]),
        None if first.chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' ')) => format!("{first:?}"),
        None => format!("`{first}`"),
    }
}

/// What was wanted, in words; nothing where it is too much to be of help.
fn listed(wanted: &[SyntaxKind]) -> Option<String> {
    let words: Vec<_> = wanted.iter().filter_map(|kind| word(*kind)).collect();
    if wanted.contains(&TOKEN_L_PAREN) && wanted.contains(&TOKEN_L_BRACK) {
        return Some("an expression".to_owned());
    }
    match words.as_slice() {
        [] => None,
        [one] => Some((*one).to_owned()),
        [first @ .., last] => Some(format!("{} or {last}", first.join(", "))),
    }
}

fn word(kind: SyntaxKind) -> Option<&'static str> {
    Some(match kind {
        TOKEN_ASSIGN => "`=`",
        TOKEN_COLON => "`:`",
        TOKEN_ELLIPSIS => "`...`",
        TOKEN_ELSE => "`else`",
        TOKEN_IDENT => "a name",
        TOKEN_IN => "`in`",
        TOKEN_INTERPOL_END | TOKEN_R_BRACE => "`}`",
        TOKEN_L_BRACE => "`{`",
        TOKEN_R_BRACK => "`]`",
        TOKEN_R_PAREN => "`)`",
        TOKEN_SEMICOLON => "`;`",
        TOKEN_STRING_END => "the end of the text",
        TOKEN_THEN => "`then`",
        _ => return None,
    })
}
