//! The table of hosts.

use ratatui::text::Line;

use super::draw::fitted;
use super::grid::Grid;
use super::model::{Entry, Model};
use super::overview::{elapsed_between, state};
use super::theme::Theme;
use crate::cli::status_rows::{HEADER, remarks, row};
use crate::report::{Cell, Style};

/// From how many rows on the terminal has room for what is to be said of the host under the cursor, and how many that gets.
const NOTES: (u16, usize) = (20, 5);

/// Columns that are left out first where there is no room, by their places: what runs, who deployed, `/boot`, uptime, store, age, the
/// generation, health, when it was asked, and the failed units.
const FIRST_TO_GO: [usize; 10] = [2, 10, 8, 9, 7, 4, 3, 6, 11, 5];

/// Columns of numbers.
const RIGHT: &[usize] = &[3, 4, 5, 6, 7, 8, 9];

/// After how many seconds it is said that a host is still being asked.
const SLOW: i64 = 3;

/// How many hosts there is room for.
pub(super) fn rows(model: &Model) -> usize {
    // The first line, the header, and the last line.
    usize::from(model.size.rows).saturating_sub(3 + notes_room(model))
}

fn notes_room(model: &Model) -> usize {
    if model.size.rows >= NOTES.0 { NOTES.1 } else { 0 }
}

/// The table, and below it what is to be said of the host under the cursor.
pub(super) fn body(model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let shown = model.shown();
    let cells: Vec<_> = shown.iter().map(|entry| cells(model, entry)).collect();
    let header = header(model);
    let all = cells.iter().map(Vec::as_slice).chain([header.as_slice()]);
    let grid = Grid::new(all, width.saturating_sub(2), &FIRST_TO_GO, RIGHT);
    let line = |mark: &str, row: &[Cell]| {
        let mut line = grid.line(row, theme);
        line.spans.insert(0, mark.to_owned().into());
        line
    };
    let mut lines = vec![line("  ", &header)];
    let at = model.cursor_at(&shown);
    for (number, (entry, row)) in shown.iter().zip(&cells).enumerate().skip(model.top).take(rows(model)) {
        let mark = if model.marked.contains(&entry.name) { "* " } else { "  " };
        let line = line(mark, row);
        lines.push(if number == at { line.patch_style(Theme::cursor()) } else { line });
    }
    if shown.is_empty() {
        let text = format!("  no host has `{}`; Esc shows all", model.filter);
        lines.push(Line::styled(fitted(&text, width), theme.look(Some(Style::Dim))));
    }
    lines.resize(1 + rows(model), Line::default());
    lines.extend(shown.get(at).map(|entry| notes(model, entry, theme, width)).unwrap_or_default());
    lines
}

/// The names of columns; that which the table is sorted by with a sign of which way.
fn header(model: &Model) -> Vec<Cell> {
    let sign = if model.reversed { "▲" } else { "▼" };
    let named = |name: &str| {
        let is_sorted = name == model.sort.column();
        let text = if is_sorted { format!("{name}{sign}") } else { name.to_owned() };
        Cell::styled(if is_sorted { Style::Bold } else { Style::Dim }, text)
    };
    HEADER.into_iter().chain(["ASKED"]).map(named).collect()
}

fn cells(model: &Model, entry: &Entry) -> Vec<Cell> {
    let mut cells = entry.seen.as_ref().map(row).unwrap_or_default();
    cells.resize(HEADER.len(), Cell::default());
    cells[0] = Cell::styled(Style::Host, entry.name.to_string());
    cells[1] = state(entry);
    cells.push(asked(model, entry));
    cells
}

/// How old what is known is, or that the host takes its time to answer.
fn asked(model: &Model, entry: &Entry) -> Cell {
    let slow = entry.asking.filter(|since| model.now.as_second() - since.as_second() >= SLOW);
    match (slow, entry.at) {
        (Some(since), _) => Cell::styled(Style::Warn, format!("for {}", elapsed_between(since, model.now))),
        (None, Some(at)) => Cell::styled(Style::Dim, format!("{} ago", elapsed_between(at, model.now))),
        (None, None) => Cell::styled(Style::Dim, "…"),
    }
}

/// What is to be said of a host, under its name.
fn notes(model: &Model, entry: &Entry, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let room = notes_room(model);
    if room == 0 {
        return Vec::new();
    }
    let about = entry.role.iter().cloned().chain(entry.tags.iter().map(|tag| format!("@{tag}")));
    let title: Vec<_> = [entry.name.to_string()].into_iter().chain(about).collect();
    let title = fitted(&format!("── {} ", title.join(" ")), width);
    let rule = "─".repeat(width.saturating_sub(title.chars().count()));
    let mut lines = vec![Line::styled(title + &rule, theme.look(Some(Style::Dim)))];
    let found = entry.seen.as_ref().map(remarks).unwrap_or_default();
    let texts = found.iter().flat_map(|remark| remark.message.lines());
    lines.extend(texts.map(|text| Line::styled(fitted(&format!("  {text}"), width), theme.look(Some(Style::Fail)))));
    if lines.len() > room {
        lines.truncate(room - 1);
        lines.push(Line::styled("  … Enter shows all", theme.look(Some(Style::Dim))));
    }
    lines
}
