//! Aligned columns.

use super::line::Line;
use super::style::{Palette, Style};
use super::text;

/// The blanks between two columns.
const GAP: usize = 2;

/// No column is cut to fewer columns of the terminal than this.
const NARROWEST: usize = 6;

/// One field of a [`Table`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cell {
    style: Option<Style>,
    text: String,
}

impl Cell {
    /// A field of this style.
    pub fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { style: Some(style), text: text.into() }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its style, where it has one.
    pub fn style(&self) -> Option<Style> {
        self.style
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { style: None, text }
    }
}

/// Rows of fields in aligned columns, with or without a header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    right: Vec<usize>,
    least: Vec<usize>,
}

impl Table {
    /// A table without a header.
    pub fn new() -> Self {
        Self::default()
    }

    /// A table with a header.
    pub fn with_header<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table = Self::new();
        table.row(header.into_iter().map(|name| Cell::styled(Style::Dim, name)));
        table
    }

    /// Aligns a column, counted from 0, on its right: for numbers.
    #[must_use]
    pub fn right(mut self, column: usize) -> Self {
        self.right.push(column);
        self
    }

    /// Makes columns at least so wide, so that rows line up with those of another table.
    #[must_use]
    pub fn at_least(mut self, widths: Vec<usize>) -> Self {
        self.least = widths;
        self
    }

    /// Adds a row. A row may be shorter than others.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table as text, each line with its end. With a `width`, the widest columns are cut until all of them fit.
    pub fn render(&self, palette: Palette, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let mut rendered = String::new();
        for row in &self.rows {
            rendered.push_str(&self.line(row, &widths).render(palette, width));
            rendered.push('\n');
        }
        rendered
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> Line {
        let mut line = Line::new();
        for (column, cell) in row.iter().enumerate() {
            line = line.blanks(if column == 0 { 0 } else { GAP });
            line = if self.right.contains(&column) {
                line.right(cell.style, &cell.text, widths[column])
            } else {
                line.left(cell.style, &cell.text, widths[column])
            };
        }
        line
    }

    /// How wide the columns are where they may take `limit` in all.
    pub fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = self.least.clone();
        widths.resize(columns, 0);
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                widths[column] = widths[column].max(text::width(&text::clean(&cell.text)));
            }
        }
        let gaps = GAP * columns.saturating_sub(1);
        let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(gaps));
        while widths.iter().sum::<usize>() > room {
            // Of equally wide columns the last is cut, since the first ones name the row.
            match widths.iter_mut().max_by_key(|width| **width) {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::with_header(["host", "generation", "system"]).right(1);
        table.row([Cell::styled(Style::Host, "p620"), "41".into(), "nixos-system-p620-25.11".into()]);
        table.row([Cell::styled(Style::Host, "samsung"), "7".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_without_trailing_blanks() {
        assert_eq!(
            sample().render(Palette::Plain, None),
            "host     generation  system\n\
             p620             41  nixos-system-p620-25.11\n\
             samsung           7\n"
        );
    }

    #[test]
    fn the_widest_column_is_cut_to_the_terminal() {
        assert_eq!(
            sample().render(Palette::Plain, Some(34)),
            "host     generation  system\n\
             p620             41  nixos-system…\n\
             samsung           7\n"
        );
        for width in 1..50 {
            for line in sample().render(Palette::Plain, Some(width)).lines() {
                assert!(text::width(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_table_lines_up_with_another() {
        let mut more = Table::new().right(1).at_least(sample().widths(None));
        more.row(["x", "5"]);
        assert_eq!(more.render(Palette::Plain, None), "x                 5\n");
    }

    #[test]
    fn an_empty_table_is_no_text() {
        assert_eq!(Table::new().render(Palette::Plain, Some(80)), "");
    }
}
