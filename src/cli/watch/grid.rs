//! Aligned columns in the view: those that matter least go first where there is no room.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::theme::Theme;
use crate::report::{Cell, cleaned, shortened};

/// The blanks between two columns.
const GAP: usize = 2;

/// No column is cut to fewer columns of the terminal than this.
const NARROWEST: usize = 8;

/// The columns of a table, and how wide each is; one that is not shown has no width.
#[derive(Debug)]
pub(super) struct Grid {
    widths: Vec<usize>,
    right: &'static [usize],
}

impl Grid {
    /// Columns for these rows in a room so wide. Those of `first_to_go` are left out, in that order, until the others fit; then the
    /// widest are cut. Those of `right` stand on their right: numbers.
    pub(super) fn new<'a>(
        rows: impl IntoIterator<Item = &'a [Cell]>,
        room: usize,
        first_to_go: &[usize],
        right: &'static [usize],
    ) -> Self {
        let mut widths = Vec::<usize>::new();
        for row in rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cleaned(cell.text()).width());
            }
        }
        for column in first_to_go {
            if taken(&widths) <= room {
                break;
            }
            if let Some(width) = widths.get_mut(*column) {
                *width = 0;
            }
        }
        while taken(&widths) > room {
            match widths.iter_mut().max_by_key(|width| **width) {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        Self { widths, right }
    }

    /// A row as a line.
    pub(super) fn line(&self, row: &[Cell], theme: Theme) -> Line<'static> {
        let mut spans = Vec::new();
        let shown = row.iter().zip(&self.widths).enumerate().filter(|(_, (_, width))| **width > 0);
        for (column, (cell, &width)) in shown {
            if !spans.is_empty() {
                spans.push(Span::raw(" ".repeat(GAP)));
            }
            let text = shortened(&cleaned(cell.text()), width).into_owned();
            let blanks = " ".repeat(width.saturating_sub(text.width()));
            let text = if self.right.contains(&column) { blanks + &text } else { text + &blanks };
            spans.push(Span::styled(text, theme.look(cell.style())));
        }
        Line::from(spans)
    }
}

/// The room that columns take, with what stands between them.
fn taken(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0);
    shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
}
