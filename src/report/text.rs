//! Text of other programs made fit for a terminal: no escapes, and no wider than the room that there is.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ELLIPSIS: char = '…';

const STORE_PREFIX: &str = "/nix/store/";
const HASH_LEN: usize = 32;

/// The number of columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` in at most `max` columns, with `…` at its end when something was cut off.
pub fn truncate(text: &str, max: usize) -> Cow<'_, str> {
    if width(text) <= max {
        return Cow::Borrowed(text);
    }
    let mut room = max.saturating_sub(1);
    let mut cut = String::with_capacity(max);
    for c in text.chars() {
        let columns = c.width().unwrap_or(0);
        if columns > room {
            break;
        }
        room -= columns;
        cut.push(c);
    }
    if max > 0 {
        cut.push(ELLIPSIS);
    }
    Cow::Owned(cut)
}

/// `text` without terminal escapes and control characters.
///
/// What builds and hosts print is shown on the user's terminal; none of it may move the cursor, set the title or pass for
/// output of ours. A tab becomes a blank.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut rest = text.chars();
    let mut clean = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\t' => clean.push(' '),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// `text` with each `/nix/store/<hash>-name` as `name`.
pub(super) fn without_hashes(text: &str) -> String {
    let mut parts = text.split(STORE_PREFIX);
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(HASH_LEN).and_then(|(hash, rest)| Some((hash, rest.strip_prefix('-')?))) {
            Some((hash, name)) if hash.chars().all(|c| c.is_ascii_alphanumeric()) => short.push_str(name),
            _ => short.extend([STORE_PREFIX, part]),
        }
    }
    short
}

/// A store's machine, without scheme and parameters: `root@p620` of `ssh-ng://root@p620?compress=true`.
pub(super) fn machine(store: &str) -> &str {
    let rest = store.split_once("://").map_or(store, |(_, rest)| rest);
    rest.split('?').next().unwrap_or(rest)
}

/// Skips what follows an ESC: a control sequence, a string that a bell or `ESC \` ends, or a single character.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    match rest.next() {
        Some('[') => skip_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = rest.next() {
                if c == '\u{7}' || (c == '\u{1b}' && rest.next() == Some('\\')) {
                    break;
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
            rest.next();
        }
        _ => {}
    }
}

/// Skips a control sequence's parameters and its final byte, which lies between `@` and `~`.
fn skip_control_sequence(rest: &mut std::str::Chars<'_>) {
    rest.find(|c| ('@'..='~').contains(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_counts_columns_and_marks_the_cut() {
        assert_eq!(truncate("nixos-system", 12), "nixos-system");
        assert_eq!(truncate("nixos-system", 6), "nixos…");
        assert_eq!(truncate("日本語のホスト", 6), "日本…");
        assert_eq!(truncate("ab", 1), "…");
        assert_eq!(truncate("ab", 0), "");
    }

    #[test]
    fn store_paths_are_told_by_their_names() {
        let path = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-web-1.0.drv";
        assert_eq!(
            without_hashes(&format!("cannot build {path}: exit code 1")),
            "cannot build web-1.0.drv: exit code 1"
        );
        assert_eq!(without_hashes(&format!("{path}{path}")), "web-1.0.drvweb-1.0.drv");
        for same in ["", "no path", "/nix/store/", "/nix/store/short-x", "/nix/store/ééééééééééééééééééé-x"]
        {
            assert_eq!(without_hashes(same), same);
        }
    }

    #[test]
    fn machines_are_told_by_their_names() {
        for (store, name) in [("ssh-ng://p620", "p620"), ("ssh://me@p620?x=y", "me@p620"), ("p620", "p620")] {
            assert_eq!(machine(store), name);
        }
    }

    #[test]
    fn escapes_and_control_characters_are_removed() {
        assert_eq!(clean("plain"), "plain");
        assert_eq!(clean("\u{1b}[31;1merror:\u{1b}[0m bad\r"), "error: bad");
        assert_eq!(clean("\u{1b}]0;title\u{7}a\u{1b}]8;;x\u{1b}\\b\tc"), "ab c");
        assert_eq!(clean("\u{1b}(Bx\u{9b}2Jy\u{1b}"), "xy");
    }
}
