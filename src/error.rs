//! The error that reaches the user: its kind decides heading and exit code, its hints say what helps.
//!
//! Every layer has precise error enums of its own; they become an [`Error`] at the edge, in `cli`.

use std::fmt;

/// How a run of hubctl ended, as the exit code says it. The same codes hold for every command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// All well: every host is unchanged, built, deployed or waits for a reboot.
    Success,
    /// At least one host failed.
    Failed,
    /// The command line, `hub.toml` or the flake is not usable as it is.
    Usage,
    /// Every host is live, but on some of them units failed.
    Degraded,
    /// The selectors match no host.
    NoHost,
    /// Refused before anything was changed.
    Refused,
    /// Cancelled by the user.
    Cancelled,
    /// A program that hubctl ran in its own place ended with this code, whatever it means.
    Program(u8),
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Degraded => 3,
            Self::NoHost => 4,
            Self::Refused => 5,
            Self::Cancelled => 130,
            Self::Program(code) => code,
        }
    }

    /// Each code with its meaning, for the help texts and the manual.
    pub const TABLE: &'static [(Self, &'static str)] = &[
        (Self::Success, "all well"),
        (Self::Failed, "at least one host failed"),
        (Self::Usage, "usage or configuration error"),
        (Self::Degraded, "all hosts are live, but units failed on some"),
        (Self::NoHost, "no host was selected"),
        (Self::Refused, "refused before anything was changed"),
        (Self::Cancelled, "cancelled"),
    ];
}

/// What went wrong, as far as heading and exit code are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The command line asks for something that cannot be.
    Usage,
    /// `hub.toml` or the flake is at fault.
    Config,
    /// No host matches.
    NoHost,
    /// hubctl declines to go on.
    Refused,
    /// The user stopped the run.
    Cancelled,
    /// An operation failed.
    Failed,
}

impl Kind {
    /// The exit code of an error of this kind.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Usage | Self::Config => Exit::Usage,
            Self::NoHost => Exit::NoHost,
            Self::Refused => Exit::Refused,
            Self::Cancelled => Exit::Cancelled,
            Self::Failed => Exit::Failed,
        }
    }

    /// The words in front of the message.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Usage => "usage error",
            Self::Config => "configuration error",
            Self::NoHost => "no host",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Failed => "error",
        }
    }
}

/// An error at the edge of the program.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    source: anyhow::Error,
    hints: Vec<String>,
}

impl Error {
    /// Wraps `source`, which says what failed, under `kind`.
    pub fn new(kind: Kind, source: impl Into<anyhow::Error>) -> Self {
        Self { kind, source: source.into(), hints: Vec::new() }
    }

    /// An error that consists of a message alone.
    pub fn message(kind: Kind, message: impl fmt::Display) -> Self {
        Self::new(kind, anyhow::anyhow!("{message}"))
    }

    /// Adds a hint: the flag, file or command that helps. Hints are shown last, in the order given.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds any number of hints.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// The exit code that this error asks for.
    pub fn exit(&self) -> Exit {
        self.kind.exit()
    }

    /// The error's kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The hints, to be shown after the message.
    pub fn all_hints(&self) -> &[String] {
        &self.hints
    }
}

/// The message and its causes, innermost last; heading and hints are the printer's.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl From<anyhow::Error> for Error {
    fn from(source: anyhow::Error) -> Self {
        Self::new(Kind::Failed, source)
    }
}

/// The result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The candidate nearest to `word`, when one is near enough to be a plausible slip of the fingers.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score >= 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_the_slip_and_nothing_far_off() {
        assert_eq!(nearest("p62", ["p510", "p620", "razer"]), Some("p620"));
        assert_eq!(nearest("zzz", ["p510", "p620", "razer"]), None);
    }
}
