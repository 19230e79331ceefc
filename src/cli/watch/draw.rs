//! The view as a function of what it shows.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::model::{Model, Prompt};
use super::theme::Theme;
use super::{draw_fleet, draw_page, help};
use crate::report::{Style, cleaned, shortened};

/// Draws all of it.
pub(super) fn draw(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    let rows = usize::from(area.height);
    let width = usize::from(area.width);
    let mut lines = vec![bar(heading(model, width), width, theme)];
    let room = rows.saturating_sub(2);
    let body = match (&model.help, &model.page) {
        (Some(top), _) => help::lines(theme).into_iter().skip(*top).collect(),
        (None, Some(page)) => draw_page::body(model, page, theme, width),
        (None, None) => draw_fleet::body(model, theme, width),
    };
    lines.extend(body.into_iter().take(room));
    lines.resize(rows.saturating_sub(1).max(1), Line::default());
    lines.push(footer(model, width, theme));
    for (y, line) in (area.top()..area.bottom()).zip(&lines) {
        frame.buffer_mut().set_line(area.left(), y, line, area.width);
    }
}

/// A line of text in so many columns, cut with a sign that it was.
pub(super) fn fitted(text: &str, width: usize) -> String {
    shortened(&cleaned(text), width).into_owned()
}

/// A line that goes over the whole width.
fn bar(text: String, width: usize, theme: Theme) -> Line<'static> {
    let blanks = width.saturating_sub(text.width());
    Line::styled(text + &" ".repeat(blanks), theme.bar())
}

/// The filter and the flake on the left, the hosts by how they are on the right. What does not fit goes from the left.
fn heading(model: &Model, width: usize) -> String {
    let mut counts = BTreeMap::<_, usize>::new();
    model.entries.iter().for_each(|entry| *counts.entry(entry.word()).or_default() += 1);
    let counts: Vec<_> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    let right = format!("{} ", counts.join(" · "));
    let room = width.saturating_sub(right.width() + 1);
    let filter = model.page.as_ref().map_or(&model.filter, |page| &page.filter);
    let filter = if filter.is_empty() { String::new() } else { format!("only `{filter}`  ") };
    let left = fitted(&format!(" {filter}{}", model.flake), room);
    let blanks = width.saturating_sub(left.width() + right.width());
    fitted(&format!("{left}{}{right}", " ".repeat(blanks)), width)
}

/// What is asked, what there is to say, or the keys that are needed most.
fn footer(model: &Model, width: usize, theme: Theme) -> Line<'static> {
    let said = |style, text: &str| Line::styled(fitted(text, width), theme.look(Some(style)));
    match &model.prompt {
        Some(Prompt::Filter) => {
            let filter = model.page.as_ref().map_or(&model.filter, |page| &page.filter);
            let shown = fitted(&format!("/{filter}"), width.saturating_sub(1));
            return Line::from(vec![Span::raw(shown), Span::styled(" ", Theme::cursor())]);
        }
        Some(Prompt::Confirm { question, .. }) => return said(Style::Warn, &format!(" {question} [y/N]")),
        None => {}
    }
    if let Some(note) = &model.note {
        return said(Style::Changed, &format!(" {note}"));
    }
    if let (None, Some(problem)) = (model.help, &model.flake_problem) {
        return said(Style::Fail, &format!(" the flake as it is now is not compared with: {problem}"));
    }
    let keys = match (&model.help, &model.page) {
        (Some(_), _) => " any other key goes back  ↑↓ scroll  q leave",
        (None, Some(_)) => " ? keys  Tab tabs  Esc back  / filter  d deploy  R roll back  ! shell  r anew  q leave",
        (None, None) => " ? keys  Enter page  / filter  s sort  Space mark  d deploy  R roll back  ! shell  q leave",
    };
    bar(fitted(keys, width), width, theme)
}
