//! Events and errors as NDJSON: one object per line. `docs/events.md` is the reference.

use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Error, Kind};

/// `value` as one line, with its end.
pub(super) fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(line)
}

/// An error that ended the command. It has the shape of an event, but no worker can send it.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "error", rename_all = "kebab-case")]
pub(super) struct ErrorLine<'a> {
    time: Timestamp,
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hints: &'a [String],
    exit: u8,
}

impl<'a> ErrorLine<'a> {
    pub(super) fn new(error: &'a Error, time: Timestamp) -> Self {
        Self {
            time,
            kind: kind_name(error.kind()),
            message: error.to_string(),
            hints: error.all_hints(),
            exit: error.exit().code(),
        }
    }
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "usage",
        Kind::Config => "config",
        Kind::NoHost => "no-host",
        Kind::Refused => "refused",
        Kind::Cancelled => "cancelled",
        Kind::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::StepName;
    use super::super::samples::{at, step_ended};
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_time() {
        assert_eq!(
            line(&at(0, step_ended("p620", StepName::Build))).unwrap(),
            "{\"time\":\"2026-11-21T12:00:00Z\",\"event\":\"step-finished\",\"host\":\"p620\",\"step\":\"build\",\
             \"duration-ms\":1000}\n"
        );
    }

    #[test]
    fn an_error_is_one_line_with_its_kind_hints_and_exit_code() {
        let error = Error::message(Kind::NoHost, "no host matches `p62`").hint("did you mean `p620`?");
        let time = "2026-11-21T12:00:00Z".parse().unwrap();
        assert_eq!(
            line(&ErrorLine::new(&error, time)).unwrap(),
            "{\"event\":\"error\",\"time\":\"2026-11-21T12:00:00Z\",\"kind\":\"no-host\",\
             \"message\":\"no host matches `p62`\",\"hints\":[\"did you mean `p620`?\"],\"exit\":4}\n"
        );
    }
}
