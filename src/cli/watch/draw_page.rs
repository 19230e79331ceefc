//! The page of a host.

use ratatui::text::{Line, Span};

use super::draw::fitted;
use super::grid::Grid;
use super::model::Model;
use super::overview::{overview, state};
use super::page::{Content, Page, Row, Tab};
use super::theme::Theme;
use crate::report::{Cell, Style};

/// How many rows of a tab there is room for: all but the first line, the tabs, the header and the last line.
pub(super) fn rows(model: &Model) -> usize {
    usize::from(model.size.rows).saturating_sub(4)
}

/// The tabs, and what the open one has.
pub(super) fn body(model: &Model, page: &Page, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![tabs(model, page, theme)];
    let said = |style, text: &str| {
        text.lines().map(|line| Line::styled(fitted(&format!(" {line}"), width), theme.look(Some(style)))).collect()
    };
    let rest: Vec<_> = match (page.tab, page.content()) {
        (Tab::Overview, _) => {
            let lines = model.entry(&page.host).map(|entry| overview(entry, model.now)).unwrap_or_default();
            table(&[], &lines.iter().collect::<Vec<_>>(), page, rows(model), (theme, width))
        }
        (Tab::Log, _) => log(page, model, theme, width),
        (_, Some(Content::There(content))) => {
            let found = page.rows();
            if found.is_empty() {
                said(Style::Dim, if page.filter.is_empty() { "there is nothing" } else { "nothing has these words" })
            } else {
                table(&content.header, &found, page, rows(model), (theme, width))
            }
        }
        (_, Some(Content::Failed(why))) => said(Style::Fail, why),
        (_, Some(Content::Unknown | Content::Asking) | None) => said(Style::Dim, waiting(page.tab)),
    };
    lines.extend(rest);
    lines
}

/// The host, how it is, and its tabs. Where there is no room, how it is goes first, and then the names of tabs that are not open.
fn tabs(model: &Model, page: &Page, theme: Theme) -> Line<'static> {
    let name = Span::styled(format!(" {}  ", page.host), theme.look(Some(Style::Host)));
    let state = model.entry(&page.host).map(state).unwrap_or_default();
    let state = Span::styled(format!("{}   ", state.text()), theme.look(state.style()));
    let titles: usize = Tab::ALL.iter().map(|tab| tab.title().len() + 4).sum();
    let room = usize::from(model.size.columns).saturating_sub(name.width());
    let is_short = titles > room;
    let mut spans = vec![name];
    if titles + state.width() <= room {
        spans.push(state);
    }
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let is_open = tab == page.tab;
        let name = if is_short && !is_open { format!("{}", at + 1) } else { format!("{} {}", at + 1, tab.title()) };
        let look = if is_open { Theme::cursor() } else { theme.look(Some(Style::Dim)) };
        spans.extend([Span::styled(name, look), Span::raw("  ")]);
    }
    Line::from(spans)
}

const fn waiting(tab: Tab) -> &'static str {
    match tab {
        Tab::Diff => "evaluating, building and comparing …",
        _ => "asking …",
    }
}

fn table(
    header: &[&str],
    rows: &[&Row],
    page: &Page,
    room: usize,
    (theme, width): (Theme, usize),
) -> Vec<Line<'static>> {
    let header: Vec<_> = header.iter().map(|name| Cell::styled(Style::Dim, *name)).collect();
    // A line of text is no column, and makes none wide.
    let columns = rows.iter().map(|row| row.cells.as_slice()).filter(|cells| cells.len() > 1);
    let grid = Grid::new(columns.chain([header.as_slice()]), width.saturating_sub(2), &[], &[]);
    let line = |cells: &[Cell]| {
        let line = match cells {
            [text] => Line::styled(fitted(text.text(), width.saturating_sub(2)), theme.look(text.style())),
            cells => grid.line(cells, theme),
        };
        let mut spans = line.spans;
        spans.insert(0, Span::raw(" "));
        Line::from(spans).style(line.style)
    };
    let mut lines = Vec::new();
    if !header.is_empty() {
        lines.push(line(&header));
    }
    for (at, row) in rows.iter().enumerate().skip(page.top).take(room) {
        let drawn = line(&row.cells);
        lines.push(if at == page.cursor && row.means.is_some() { drawn.patch_style(Theme::cursor()) } else { drawn });
    }
    lines
}

fn log(page: &Page, model: &Model, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let of = page.log.unit.as_deref().unwrap_or("all units");
    let state = match (&page.log.ended, page.log.at_end) {
        (Some(why), _) => format!("ended: {why}; r follows it again"),
        (None, true) => "following".to_owned(),
        (None, false) => "End follows".to_owned(),
    };
    let filter = if page.filter.is_empty() { String::new() } else { format!(", lines with `{}`", page.filter) };
    let title = fitted(&format!(" {of}{filter}: {state}"), width);
    let mut lines = vec![Line::styled(title, theme.look(Some(Style::Dim)))];
    let found = page.lines();
    let shown = found.into_iter().skip(page.top).take(rows(model));
    lines.extend(shown.map(|line| Line::from(fitted(&format!(" {line}"), width))));
    lines
}
