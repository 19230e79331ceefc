//! Declines files that are nested so deeply that to read them would exhaust the stack.

use std::ops::Range;

use rnix::SyntaxKind::{self, *};

/// How deep an expression may be, as far as counting its words can tell. Nix's own limit depends on its stack.
const DEEPEST: usize = 10_000;

/// A pair of brackets that is open.
#[derive(Default)]
struct Level {
    /// Whether words that stand side by side are no application: in a list, or in a string.
    is_list: bool,
    /// The words that may each be one level deeper than the one before.
    words: usize,
}

/// The token with which `text` gets too deep, if it does.
pub(super) fn too_deep(text: &str) -> Option<Range<usize>> {
    deeper_than(DEEPEST, text)
}

/// The token with which `text` gets deeper than `limit`, if it does.
pub fn deeper_than(limit: usize, text: &str) -> Option<Range<usize>> {
    // Each level takes a character at least.
    if text.len() <= limit {
        return None;
    }
    let (mut levels, mut depth, mut at) = (vec![Level::default()], 0, 0);
    for (kind, token) in rnix::tokenize(text) {
        let span = at..at + token.len();
        at = span.end;
        match kind {
            TOKEN_WHITESPACE | TOKEN_COMMENT => {}
            _ if opens(kind) => {
                depth += 1;
                levels.push(Level { is_list: matches!(kind, TOKEN_L_BRACK | TOKEN_STRING_START), words: 0 });
            }
            _ if closes(kind) && levels.len() > 1 => {
                depth -= 1 + levels.pop().map_or(0, |level| level.words);
            }
            TOKEN_SEMICOLON | TOKEN_COMMA => {
                if let Some(level) = levels.last_mut() {
                    depth -= std::mem::take(&mut level.words);
                }
            }
            _ => {
                if let Some(level) = levels.last_mut().filter(|level| !level.is_list || nests_in_lists(kind)) {
                    level.words += 1;
                    depth += 1;
                }
            }
        }
        if depth > limit {
            return Some(span);
        }
    }
    None
}

fn opens(kind: SyntaxKind) -> bool {
    matches!(kind, TOKEN_L_BRACE | TOKEN_L_BRACK | TOKEN_L_PAREN | TOKEN_INTERPOL_START | TOKEN_STRING_START)
}

fn closes(kind: SyntaxKind) -> bool {
    matches!(kind, TOKEN_R_BRACE | TOKEN_R_BRACK | TOKEN_R_PAREN | TOKEN_INTERPOL_END | TOKEN_STRING_END)
}

fn nests_in_lists(kind: SyntaxKind) -> bool {
    matches!(kind, TOKEN_OR | TOKEN_COLON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_not_deep() {
        let list = format!("[ {} ]", "a ".repeat(50_000));
        let set = format!("{{ {} }}", "a = [ b ] ++ c; ".repeat(50_000));
        let text = format!("''{}''", "${a} ".repeat(50_000));
        for wide in [list, set, text] {
            assert_eq!(too_deep(&wide), None, "{}", &wide[..20]);
        }
        for deep in
            ["[", "(", "{ a = ", "!", "-", "a ++ ", "a // ", "f ", "x: ", "[ x: ", "a + ", "\"${", "if a then b else "]
        {
            assert!(too_deep(&deep.repeat(50_000)).is_some(), "{deep}");
        }
    }
}
