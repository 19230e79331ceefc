//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// Goes into what the cursor is on.
    Enter,
    /// Goes back to where one came from.
    Back,
    NextTab,
    PreviousTab,
    /// The tab with this number, from 0 on.
    Tab(usize),
    Filter,
    Sort,
    Reverse,
    Mark,
    MarkAll,
    Deploy,
    RollBack,
    Shell,
    Refresh,
    Help,
    Quit,
    Suspend,
}

/// The keys, each with what it does, under headings.
pub(super) const KEYS: &[(&str, &[(&str, &str)])] = &[
    (
        "Everywhere",
        &[
            ("↑ ↓  k j", "a row up, a row down"),
            ("PgUp PgDn", "a screen up, a screen down"),
            ("Home End  g G", "the first, the last row"),
            ("/", "show only what has these words; empty shows all"),
            ("d", "deploy: shows what would change, and asks"),
            ("R", "roll back, and ask before"),
            ("!", "a shell on the host"),
            ("r", "ask anew, and read the flake anew"),
            ("?", "these keys"),
            ("q  Ctrl-C", "leave"),
            ("Ctrl-Z", "leave for a while; `fg` comes back"),
        ],
    ),
    (
        "In the table",
        &[
            ("Enter →", "the page of the host"),
            ("Space", "mark the host; d and R act on all that are marked"),
            ("a", "mark all that are shown, or none"),
            ("s  S", "sort by the next column, the other way round"),
            ("Esc", "forget the filter, then the marks"),
        ],
    ),
    (
        "On a host's page",
        &[
            ("Tab ← →  1-6", "other tabs"),
            ("Enter", "the unit's log; the deployment; back to the generation"),
            ("Esc", "forget the filter, then back to the table"),
        ],
    ),
];

/// What a key asks for, if anything.
pub(super) fn action(key: KeyEvent, on_page: bool) -> Option<Action> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('b') => Some(Action::PageUp),
            KeyCode::Char('f') => Some(Action::PageDown),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Up | KeyCode::Char('k') => Action::Up,
        KeyCode::Down | KeyCode::Char('j') => Action::Down,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Enter => Action::Enter,
        KeyCode::Esc | KeyCode::Backspace => Action::Back,
        KeyCode::Right | KeyCode::Char('l') if !on_page => Action::Enter,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Action::NextTab,
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Action::PreviousTab,
        KeyCode::Char(digit @ '1'..='6') if on_page => Action::Tab(usize::from(digit as u8 - b'1')),
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('S') => Action::Reverse,
        KeyCode::Char(' ') => Action::Mark,
        KeyCode::Char('a') => Action::MarkAll,
        KeyCode::Char('d') => Action::Deploy,
        KeyCode::Char('R') => Action::RollBack,
        KeyCode::Char('!') => Action::Shell,
        KeyCode::Char('r') => Action::Refresh,
        KeyCode::Char('?') => Action::Help,
        KeyCode::Char('q') => Action::Quit,
        _ => return None,
    })
}
