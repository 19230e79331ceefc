//! A run of the program that ended, and the questions that tests ask of it.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::Value;

/// What the program printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error has this text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in stderr:\n{}\nstdout:\n{}", self.stderr, self.stdout);
        self
    }

    /// Asserts that standard output has this text.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no `{text}` in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in:\n{}{}", self.stdout, self.stderr))
    }

    /// The events of a run with `--json`.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The `host-finished` event of a host, in a run with `--json`.
    #[track_caller]
    pub(crate) fn host(&self, host: &str) -> Value {
        let ended = |event: &Value| event["event"] == "host-finished" && event["host"] == host;
        let found: Vec<_> = self.events().into_iter().filter(ended).collect();
        assert_eq!(found.len(), 1, "host-finished of {host} in:\n{}\n{}", self.stdout, self.stderr);
        found[0].clone()
    }

    /// Each host's outcome, from the summary that ends a run with `--json`.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        let events = self.events();
        let summary = events.last().unwrap_or_else(|| panic!("no event; stderr:\n{}", self.stderr));
        assert_eq!(summary["event"], "summary", "the last event of:\n{}\n{}", self.stdout, self.stderr);
        serde_json::from_value(summary["hosts"].clone()).unwrap()
    }

    /// Asserts the outcomes of a run with `--json`, as `host outcome` pairs.
    #[track_caller]
    pub(crate) fn ends(self, wanted: &[(&str, &str)]) -> Self {
        let wanted: BTreeMap<String, String> = wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(self.outcomes(), wanted, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
