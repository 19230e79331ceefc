//! What a piece of text means, and how that looks. Call sites name meanings; only this file knows colours.

use super::outcome::Outcome;

/// The meaning of a piece of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// All is as it should be.
    Ok,
    /// Something is new or under way.
    Changed,
    /// The user should look at this.
    Warn,
    /// This failed.
    Fail,
    /// Of little weight.
    Dim,
    /// The name of a host.
    Host,
    /// Of weight.
    Bold,
}

impl Style {
    /// The style of an outcome's name.
    pub const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Built | Outcome::Deployed => Self::Ok,
            Outcome::Unchanged => Self::Dim,
            Outcome::RebootNeeded | Outcome::Degraded | Outcome::Skipped | Outcome::Cancelled => Self::Warn,
            Outcome::RolledBack
            | Outcome::Unreachable
            | Outcome::EvalFailed
            | Outcome::BuildFailed
            | Outcome::CopyFailed
            | Outcome::ActivateFailed
            | Outcome::Unhealthy
            | Outcome::Refused
            | Outcome::Unknown => Self::Fail,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Ok => "\u{1b}[32m",
            Self::Changed => "\u{1b}[36m",
            Self::Warn => "\u{1b}[33m",
            Self::Fail => "\u{1b}[1;31m",
            Self::Dim => "\u{1b}[2m",
            Self::Host | Self::Bold => "\u{1b}[1m",
        }
    }
}

/// The sign in front of an outcome, which tells good from bad at a glance where there is no colour.
pub const fn mark(outcome: Outcome) -> &'static str {
    match Style::of(outcome) {
        Style::Fail => "✗",
        Style::Warn => "!",
        _ => "✓",
    }
}

/// Whether a stream shows styles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Palette {
    /// Styles become terminal escapes.
    Colour,
    /// Styles become nothing.
    Plain,
}

impl Palette {
    /// What to print in front of text of this style; nothing without colour.
    pub const fn start(self, style: Style) -> &'static str {
        match self {
            Self::Colour => style.code(),
            Self::Plain => "",
        }
    }

    /// What to print behind styled text; nothing without colour.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Colour => "\u{1b}[0m",
            Self::Plain => "",
        }
    }

    /// `text` in this style.
    pub fn paint(self, style: Style, text: &str) -> String {
        format!("{}{text}{}", self.start(style), self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_nothing_without_colour() {
        assert_eq!(Palette::Plain.paint(Style::Fail, "x"), "x");
        assert_eq!(Palette::Colour.paint(Style::Fail, "x"), "\u{1b}[1;31mx\u{1b}[0m");
    }

    #[test]
    fn no_success_is_marked_as_a_failure() {
        for outcome in Outcome::ALL {
            assert!(!outcome.is_success() || mark(outcome) != "✗", "{outcome}");
        }
    }
}
