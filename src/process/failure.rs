//! How a child ended, and what to tell of one that failed.

use std::fmt;
use std::io;
use std::time::Duration;

/// How a child that did not succeed ended.
#[derive(Debug)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// A signal that hubctl did not send ended it.
    Signal(i32),
    /// There is no such program.
    NotFound,
    /// It ran longer than its deadline and was stopped.
    TimedOut(Duration),
    /// The user asked to stop.
    Cancelled,
    /// It could not be started or spoken with.
    Io(io::Error),
}

/// A child that failed: what was run, how it ended, and the last it said.
#[derive(Debug)]
pub struct Failure {
    /// The command line, quoted for a shell.
    pub command: String,
    /// How it ended.
    pub end: End,
    /// The last lines of its standard error.
    pub stderr: Vec<String>,
}

impl Failure {
    /// A failure that is no child's, in the course of `doing` something.
    pub fn of_ours(doing: &str, error: io::Error) -> Self {
        Self { command: doing.to_owned(), end: End::Io(error), stderr: Vec::new() }
    }

    /// Whether the user's wish to stop ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.end, End::Cancelled)
    }

    /// Whether it was killed by somebody else, such as the kernel for want of memory.
    pub fn is_killed(&self) -> bool {
        // A shell that waits for a killed program ends with 128 and the signal's number.
        matches!(self.end, End::Signal(9) | End::Code(137))
    }

    /// Whether the program did not even begin.
    pub fn is_not_started(&self) -> bool {
        // A step on the way to the program may find something missing as well as the program itself.
        matches!(self.end, End::Io(_) | End::NotFound)
    }

    /// Whether any of the last lines contains `text`, in whatever case.
    pub fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.stderr.iter().any(|line| line.to_lowercase().contains(&text))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::NotFound => write!(f, "is not installed, or not on PATH"),
            Self::TimedOut(limit) => write!(f, "did not end within {} s", limit.as_secs()),
            Self::Cancelled => write!(f, "was stopped"),
            Self::Io(error) => write!(f, "could not be run: {error}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.command.split(' ').next().unwrap_or_default();
        write!(f, "`{program}` {}", self.end)?;
        if let Some(last) = self.stderr.iter().rev().find(|line| !line.trim().is_empty()) {
            write!(f, ": {}", last.trim())?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
