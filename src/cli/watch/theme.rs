//! What styles look like in the view.

use ratatui::style::{Color, Modifier, Style as Look};

use crate::report::{Palette, Style};

/// How the view looks: with colours, or by weight alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme(pub(super) Palette);

impl Theme {
    /// Of text of this style. The colours are those of the terminal's own sixteen, which its user chose to be readable.
    pub(super) fn look(self, style: Option<Style>) -> Look {
        let plain = Look::new();
        let Some(style) = style else { return plain };
        let colour = |colour| if self.0 == Palette::Colour { plain.fg(colour) } else { plain };
        match style {
            Style::Ok => colour(Color::Green),
            Style::Changed => colour(Color::Cyan),
            Style::Warn => colour(Color::Yellow),
            Style::Fail => colour(Color::Red).add_modifier(Modifier::BOLD),
            Style::Dim => plain.add_modifier(Modifier::DIM),
            Style::Host | Style::Bold => plain.add_modifier(Modifier::BOLD),
        }
    }

    /// Of the row under the cursor.
    pub(super) fn cursor() -> Look {
        Look::new().add_modifier(Modifier::REVERSED)
    }

    /// Of the first and the last line.
    pub(super) fn bar(self) -> Look {
        let plain = Look::new().add_modifier(Modifier::BOLD);
        if self.0 == Palette::Colour {
            plain.fg(Color::White).bg(Color::Blue)
        } else {
            plain.add_modifier(Modifier::REVERSED)
        }
    }
}
