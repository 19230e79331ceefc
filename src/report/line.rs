//! One line of output as pieces of styled text, so that it can be measured, padded and cut before colours are added.

use super::style::{Palette, Style};
use super::text;

/// One line of output, made piece by piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pieces: Vec<(Option<Style>, String)>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds text without a style.
    #[must_use]
    pub(super) fn text(self, text: &str) -> Self {
        self.piece(None, text)
    }

    /// Adds text of a style.
    #[must_use]
    pub(super) fn styled(self, style: Style, text: &str) -> Self {
        self.piece(Some(style), text)
    }

    /// Adds text that takes exactly `width` columns: padded on its right or cut.
    #[must_use]
    pub(super) fn left(self, style: Option<Style>, text: &str, width: usize) -> Self {
        let clean = text::clean(text);
        let text = text::truncate(&clean, width);
        let padding = width.saturating_sub(text::width(&text));
        self.piece(style, &text).blanks(padding)
    }

    /// Adds text that takes exactly `width` columns: padded on its left or cut.
    #[must_use]
    pub(super) fn right(self, style: Option<Style>, text: &str, width: usize) -> Self {
        let clean = text::clean(text);
        let text = text::truncate(&clean, width);
        let padding = width.saturating_sub(text::width(&text));
        self.blanks(padding).piece(style, &text)
    }

    /// Adds blanks.
    #[must_use]
    pub(super) fn blanks(self, count: usize) -> Self {
        self.piece(None, &" ".repeat(count))
    }

    /// Adds another line's pieces.
    #[must_use]
    pub(super) fn append(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    fn piece(mut self, style: Option<Style>, text: &str) -> Self {
        if !text.is_empty() {
            self.pieces.push((style, text::clean(text).into_owned()));
        }
        self
    }

    /// The line for a stream with this palette, in at most `width` columns and without blanks at its end.
    pub(super) fn render(&self, palette: Palette, width: Option<usize>) -> String {
        let mut rendered = String::new();
        let mut room = width.unwrap_or(usize::MAX);
        let used = self.pieces.iter().rposition(|(_, text)| !text.trim_end().is_empty()).map_or(0, |last| last + 1);
        for (index, (style, text)) in self.pieces[..used].iter().enumerate() {
            let rest: usize = self.pieces[index + 1..used].iter().map(|(_, text)| text::width(text)).sum();
            let text = if index + 1 == used { text.trim_end() } else { text };
            // A piece that fits while later ones do not gives up its last column to the sign of the cut.
            let cut = text::width(text) > room || (rest > 0 && text::width(text) == room);
            let shown = if cut { cut_off(text, room) } else { text.to_owned() };
            room -= text::width(&shown);
            match style {
                Some(style) => rendered.push_str(&palette.paint(*style, &shown)),
                None => rendered.push_str(&shown),
            }
            if cut {
                break;
            }
        }
        rendered
    }
}

/// Lines as text, each with its end.
pub(super) fn block(lines: &[Line], palette: Palette, width: Option<usize>) -> String {
    lines.iter().map(|line| line.render(palette, width) + "\n").collect()
}

/// The first `room` columns of a text that goes on, the last of them being `…`.
fn cut_off(text: &str, room: usize) -> String {
    text::truncate(&format!("{text}……"), room).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Line {
        Line::new()
            .left(Some(Style::Host), "p620", 8)
            .right(None, "12 s", 6)
            .text("  ")
            .styled(Style::Dim, "linux-6.12")
    }

    #[test]
    fn pieces_are_padded_and_the_end_is_not() {
        assert_eq!(sample().render(Palette::Plain, None), "p620      12 s  linux-6.12");
        assert_eq!(Line::new().left(None, "p620", 8).blanks(3).render(Palette::Plain, None), "p620");
        assert_eq!(Line::new().render(Palette::Plain, Some(3)), "");
    }

    #[test]
    fn a_line_never_takes_more_columns_than_there_are() {
        assert_eq!(sample().render(Palette::Plain, Some(20)), "p620      12 s  lin…");
        for width in 0..30 {
            let line = sample().render(Palette::Plain, Some(width));
            assert!(text::width(&line) <= width, "{width}: {line}");
            assert_eq!(line.contains('…'), width > 0 && width < 26, "{width}: {line}");
        }
    }

    #[test]
    fn only_the_text_is_painted() {
        let line = Line::new().left(Some(Style::Ok), "ok", 4).text("x");
        assert_eq!(line.render(Palette::Colour, None), "\u{1b}[32mok\u{1b}[0m  x");
    }
}
