//! The list of keys.

use ratatui::text::Line;

use super::keys::{Action, KEYS};
use super::model::Size;
use super::theme::Theme;
use crate::report::Style;

/// The columns that keys take, before what they do.
const KEY_COLUMNS: usize = 16;

/// The list, line by line.
pub(super) fn lines(theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (heading, keys) in KEYS {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(format!(" {heading}"), theme.look(Some(Style::Bold))));
        for (key, meaning) in *keys {
            let blanks = KEY_COLUMNS.saturating_sub(key.chars().count());
            lines.push(Line::from(format!("   {key}{} {meaning}", " ".repeat(blanks))));
        }
    }
    lines
}

/// The first line that is shown after a key; none when the key closes the list.
pub(super) fn scrolled(top: usize, action: Action, size: Size) -> Option<usize> {
    let room = usize::from(size.rows).saturating_sub(2);
    let count = KEYS.iter().map(|(_, keys)| keys.len() + 2).sum::<usize>() - 1;
    let to = match action {
        Action::Up => top.saturating_sub(1),
        Action::Down => top + 1,
        Action::PageUp => top.saturating_sub(room),
        Action::PageDown => top + room,
        Action::First => 0,
        Action::Last => count,
        _ => return None,
    };
    Some(to.min(count.saturating_sub(room)))
}
