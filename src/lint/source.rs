//! A Nix file as it was read, and where in it a byte is.

use std::ops::Range;

use serde::Serialize;

/// A line and a column, both from 1; the column in characters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A text and the path that it was read from.
#[derive(Clone, Debug)]
pub struct Source {
    path: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// How many characters begin before each block; none where every byte is one.
    blocks: Vec<usize>,
}

/// How many bytes are a block: within it, characters are counted where they are asked for.
const BLOCK: usize = 4 << 10;

impl Source {
    /// `text`, which was found at `path`, relative to the flake's directory.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after_newlines).collect();
        let blocks = blocks(&text);
        Self { path: path.into(), text, lines, blocks }
    }

    /// Where it was found.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte.
    pub fn position(&self, offset: usize) -> Position {
        let offset = floor(&self.text, offset);
        let line = self.line_of(offset);
        // Of a file that is one line, every place has the whole of it in front of it.
        let column = self.characters_before(offset) - self.characters_before(self.lines[line - 1]) + 1;
        Position { line, column }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let Some(before) = self.blocks.get(offset / BLOCK) else { return offset };
        before + begun(&self.text.as_bytes()[offset / BLOCK * BLOCK..offset])
    }

    /// The line of a byte, counted from 1.
    pub fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= offset)
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The bytes of a line, counted from 1, without its end.
    pub fn line(&self, line: usize) -> Range<usize> {
        let begin = self.lines.get(line - 1).copied().unwrap_or(self.text.len());
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        begin..end.max(begin)
    }

    /// The same file with what stands at `spans` made unreadable. Every byte stays where it is.
    #[must_use]
    pub(super) fn without(self, spans: &[Range<usize>]) -> Self {
        if spans.is_empty() {
            return self;
        }
        let Self { path, text, lines, .. } = self;
        let mut spans: Vec<_> = spans.iter().collect();
        spans.sort_by_key(|span| span.start);
        let (mut next, mut hidden_to) = (0, 0);
        let mut is_hidden = |at: usize| {
            while let Some(span) = spans.get(next).filter(|span| span.start <= at) {
                (next, hidden_to) = (next + 1, hidden_to.max(span.end));
            }
            at < hidden_to
        };
        let mut shown = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            if is_hidden(at) && c != '\n' {
                shown.extend(std::iter::repeat_n('*', c.len_utf8()));
            } else {
                shown.push(c);
            }
        }
        Self { path, blocks: blocks(&shown), text: shown, lines }
    }

    /// `span` cut to whole characters of the text.
    pub fn within(&self, span: &Range<usize>) -> Range<usize> {
        within(&self.text, span)
    }
}

/// How many characters of `text` begin before each of its blocks; nothing where every byte is one.
fn blocks(text: &str) -> Vec<usize> {
    if text.is_ascii() {
        return Vec::new();
    }
    let counts = text.as_bytes().chunks(BLOCK).scan(0, |before, block| {
        *before += begun(block);
        Some(*before)
    });
    std::iter::once(0).chain(counts).collect()
}

/// How many characters begin in a piece of UTF-8.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

/// A span cut to whole characters of `text`: drawing anything else would panic.
pub fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    start..floor(text, span.end).max(start)
}

/// The beginning of the character that the byte at `offset` is a part of.
pub fn floor(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters() {
        let source = Source::new("a.nix", "ä = 1;\nb = ü;\n");
        let at = |offset| (source.position(offset).line, source.position(offset).column);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 1), "the middle of a character is its beginning");
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(8), (2, 1));
        assert_eq!(at(999), (3, 1));
        assert_eq!(&source.text()[source.line(2)], "b = ü;");
        assert_eq!(source.line(3), 16..16);
        assert_eq!(source.line(9), 16..16);
        assert_eq!(source.within(&(1..99)), 0..16);
        assert_eq!(source.without(&[8..9, 0..2, 8..11]).text(), "** = 1;\n*** ü;\n");
    }

    #[test]
    fn columns_of_a_long_line_are_those_of_its_characters() {
        for end in ["", "\n", "ü"] {
            let source = Source::new("a.nix", format!("\u{2713}\n{}{end}", "aü\u{2713}\u{1f512}".repeat(2_000)));
            for offset in (0..=source.text().len()).filter(|offset| source.text().is_char_boundary(*offset)) {
                let before = &source.text()[..offset];
                let line = before.rsplit('\n').next().unwrap_or_default();
                assert_eq!(source.position(offset).column, line.chars().count() + 1, "at {offset}");
            }
        }
    }
}
