//! Nix's log in its machine-readable form, `--log-format internal-json`: one line per event, `@nix {json}`.
//!
//! Source: `src/libutil/logging.hh` of Nix (the numbers of activities and results). Unknown numbers are passed over, since
//! every version adds some.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::Value;

/// The activity "one derivation is built".
const BUILD: u64 = 105;
/// The activity "one path is copied".
const COPY_PATH: u64 = 100;
/// The activity that counts all builds.
const BUILDS: u64 = 104;
/// The activity that counts all copied paths.
const COPY_PATHS: u64 = 103;
/// The result "a line of a build's log".
const BUILD_LOG_LINE: u64 = 101;
/// The result "how far an activity is": done, expected, running, failed.
const PROGRESS: u64 = 105;
/// An activity of a remote builder's own Nix, which has its counterpart among those of the Nix that was asked.
const RELAYED: u64 = u64::MAX;
/// The level of an error message.
const ERROR: u64 = 0;
/// The level of a warning.
const WARNING: u64 = 1;

/// How many lines of each derivation's log are kept, for the message when it fails.
const TAIL_LINES: usize = 25;

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Action {
    Start {
        id: u64,
        #[serde(rename = "type")]
        kind: u64,
        #[serde(default)]
        fields: Vec<Value>,
    },
    Stop {
        id: u64,
    },
    Result {
        id: u64,
        #[serde(rename = "type")]
        kind: u64,
        #[serde(default)]
        fields: Vec<Value>,
    },
    Msg {
        #[serde(default)]
        level: u64,
        msg: String,
    },
    #[serde(other)]
    Other,
}

/// What one line of the log says to a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogLine {
    /// A derivation begins to be built.
    Begun {
        /// The derivation's name, without hash and `.drv`.
        name: String,
        /// The store of the remote builder, such as `ssh-ng://p620`; none when it is built by the Nix that was asked.
        builder: Option<String>,
    },
    /// A remote builder cannot be used. Nix goes on with the others and, where it may build itself, with itself.
    NoBuilder {
        /// The builder's store.
        builder: String,
        /// Why, in Nix's words.
        why: String,
    },
    /// Nix does not take the builders of the command line from this user.
    BuildersIgnored(String),
    /// A line that a builder printed, with the derivation's name.
    Build {
        /// The derivation's name, without hash and `.drv`.
        name: String,
        /// The line.
        line: String,
    },
    /// An error or a warning of Nix itself, or a line in no known form.
    Message(String),
}

impl LogLine {
    /// The server that Nix complains of, when it tries again to download from there or does not try for a while.
    pub fn complains_of(&self) -> Option<&str> {
        let Self::Message(text) = self else { return None };
        let complaint = if text.contains("; retrying ") { "unable to download '" } else { "disabling binary cache '" };
        let (_, url) = text.split_once(complaint)?;
        let url = url.split('\'').next()?;
        let path = url.find("://").map(|at| at + 3)?;
        let end = url[path..].find('/').map_or(url.len(), |at| path + at);
        Some(&url[..end])
    }
}

/// A pure fold over the lines of one Nix command's log.
#[derive(Clone, Debug, Default)]
pub struct BuildState {
    activities: BTreeMap<u64, Activity>,
    counts: BTreeMap<u64, [u64; 3]>,
    errors: Vec<String>,
    builds: bool,
    last_log: BTreeMap<String, VecDeque<String>>,
}

#[derive(Clone, Debug)]
struct Activity {
    kind: u64,
    name: String,
    /// Of a derivation that is built: the remote builder that does it.
    builder: Option<String>,
}

impl BuildState {
    /// Takes in one line and gives what it says to a person, if anything.
    pub fn apply(&mut self, line: &str) -> Option<LogLine> {
        let Some(json) = line.strip_prefix("@nix ") else {
            let text = strip_escapes(line);
            return (!text.trim().is_empty()).then_some(LogLine::Message(text));
        };
        match serde_json::from_str(json).unwrap_or(Action::Other) {
            Action::Start { id, kind, fields } => self.start(id, kind, &fields),
            Action::Stop { id } => {
                self.activities.remove(&id);
                None
            }
            Action::Result { id, kind: BUILD_LOG_LINE, fields } => self.log_line(id, &fields),
            Action::Result { id, kind: PROGRESS, fields } => {
                self.count(id, &fields);
                None
            }
            Action::Msg { level: level @ (ERROR | WARNING), msg } => {
                let text = strip_escapes(&msg);
                if level == ERROR {
                    self.errors.push(text.clone());
                }
                Some(about_builders(&text).unwrap_or(LogLine::Message(text)))
            }
            Action::Result { .. } | Action::Msg { .. } | Action::Other => None,
        }
    }

    /// Derivations and paths done, running and expected in all.
    pub fn progress(&self) -> (u64, u64, u64) {
        let sum = |i: usize| self.counts.values().map(|counts| counts[i]).sum();
        (sum(0), sum(1), sum(2))
    }

    /// The name of a derivation that is being built or a path that is being copied now, and the remote builder that does it.
    pub fn current(&self) -> Option<(&str, Option<&str>)> {
        let of_kind = |kind: u64| {
            let mut activities = self.activities.values().rev();
            activities.find(|activity| activity.kind == kind && !activity.name.is_empty())
        };
        let current = of_kind(BUILD).or_else(|| of_kind(COPY_PATH))?;
        Some((current.name.as_str(), current.builder.as_deref()))
    }

    /// Whether anything was built.
    pub fn has_built(&self) -> bool {
        self.builds
    }

    /// What went wrong: Nix's errors, and the end of the log of each derivation that one of them names.
    pub fn failure(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, log) in &self.last_log {
            let concerned = self.errors.iter().any(|error| error.contains(&format!("-{name}.drv")));
            if concerned && !self.errors.iter().any(|error| log.iter().all(|line| error.contains(line.as_str()))) {
                lines.push(format!("last lines of {name}:"));
                lines.extend(log.iter().map(|line| format!("  {line}")));
            }
        }
        lines.extend(self.errors.iter().flat_map(|error| error.lines()).map(str::to_owned));
        lines
    }

    /// Takes in the begin of an activity. A remote builder's own activities are relayed among those of the Nix that was asked,
    /// and are not counted once more.
    fn start(&mut self, id: u64, kind: u64, fields: &[Value]) -> Option<LogLine> {
        let text = |i: usize| fields.get(i).and_then(Value::as_str).filter(|text| !text.is_empty());
        let name = text(0).map(object_name).unwrap_or_default();
        let builder = text(1).filter(|_| kind == BUILD).map(str::to_owned);
        let remote = || self.activities.values().filter(|other| other.builder.is_some());
        let relayed = builder.is_none()
            && match kind {
                BUILD => remote().any(|other| other.name == name),
                BUILDS => remote().next().is_some(),
                _ => false,
            };
        let kind = if relayed { RELAYED } else { kind };
        self.activities.insert(id, Activity { kind, name: name.clone(), builder: builder.clone() });
        self.builds |= kind == BUILD;
        (kind == BUILD).then_some(LogLine::Begun { name, builder })
    }

    fn log_line(&mut self, id: u64, fields: &[Value]) -> Option<LogLine> {
        let line = strip_escapes(fields.first()?.as_str()?);
        let name = self.activities.get(&id).map(|activity| activity.name.clone()).unwrap_or_default();
        let log = self.last_log.entry(name.clone()).or_default();
        if log.len() == TAIL_LINES {
            log.pop_front();
        }
        log.push_back(line.clone());
        Some(LogLine::Build { name, line })
    }

    fn count(&mut self, id: u64, fields: &[Value]) {
        let kind = self.activities.get(&id).map(|activity| activity.kind);
        if !matches!(kind, Some(BUILDS | COPY_PATHS)) {
            return;
        }
        let number = |i: usize| fields.get(i).and_then(Value::as_u64).unwrap_or_default();
        self.counts.insert(id, [number(0), number(2), number(1)]);
    }
}

/// What a message of Nix says of remote builders, if it is about them. Texts of Nix 2.8 to 2.34.
fn about_builders(text: &str) -> Option<LogLine> {
    if text.contains("-specified setting 'builders'") {
        return Some(LogLine::BuildersIgnored(text.to_owned()));
    }
    let (builder, why) = text.trim().strip_prefix("cannot build on '")?.split_once("': ")?;
    Some(LogLine::NoBuilder { builder: builder.to_owned(), why: why.trim().trim_start_matches("error: ").to_owned() })
}

/// The name of a store object without directory, hash and `.drv`.
pub(super) fn object_name(path: &str) -> String {
    match path.parse::<super::store_path::StorePath>() {
        Ok(path) => path.name().trim_end_matches(".drv").to_owned(),
        Err(_) => path.to_owned(),
    }
}

/// `text` without terminal escapes: control sequences (ECMA-48), and lone control characters but tabs and line ends.
fn strip_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
        } else if c == '\n' || c == '\t' || !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRV: &str = "/nix/store/j2wq5811p106cihi30va7a48ql6s99zg-nixos-system-a.drv";

    fn run(lines: &[String]) -> (BuildState, Vec<LogLine>) {
        let mut state = BuildState::default();
        let said = lines.iter().filter_map(|line| state.apply(line)).collect();
        (state, said)
    }

    #[test]
    fn a_build_is_followed_and_its_failure_told() {
        let mut lines = vec![
            r#"@nix {"action":"start","id":1,"level":0,"text":"","type":104}"#.to_owned(),
            format!(r#"@nix {{"action":"start","fields":["{DRV}","",1,1],"id":2,"level":3,"text":"","type":105}}"#),
            r#"@nix {"action":"result","fields":[0,4,1,0],"id":1,"type":105}"#.to_owned(),
            r#"@nix {"action":"result","fields":["\u001b[31mno such file"],"id":2,"type":101}"#.to_owned(),
        ];
        let (state, said) = run(&lines);
        assert_eq!(state.progress(), (0, 1, 4));
        assert!(state.has_built());
        assert_eq!(state.current(), Some(("nixos-system-a", None)));
        let name = || "nixos-system-a".to_owned();
        let begun = LogLine::Begun { name: name(), builder: None };
        assert_eq!(said, [begun, LogLine::Build { name: name(), line: "no such file".to_owned() }]);

        lines.push(r#"@nix {"action":"stop","id":2}"#.to_owned());
        lines.push(format!(r#"@nix {{"action":"msg","level":0,"msg":"builder for '{DRV}' failed with exit code 3"}}"#));
        let (state, _) = run(&lines);
        assert_eq!(state.current(), None);
        assert_eq!(
            state.failure(),
            [
                "last lines of nixos-system-a:".to_owned(),
                "  no such file".to_owned(),
                format!("builder for '{DRV}' failed with exit code 3"),
            ]
        );
    }

    #[test]
    fn a_build_elsewhere_is_counted_once_and_names_its_builder() {
        let build = |id: u64, builder: &str| {
            format!(r#"@nix {{"action":"start","fields":["{DRV}","{builder}",1,1],"id":{id},"level":3,"type":105}}"#)
        };
        let counts = |id: u64| format!(r#"@nix {{"action":"start","id":{id},"level":0,"text":"","type":104}}"#);
        let progress =
            |id: u64, done: u8| format!(r#"@nix {{"action":"result","fields":[{done},1,1,0],"id":{id},"type":105}}"#);
        // The builder's own Nix tells the same build and its own counts, under later numbers.
        let lines = [counts(1), build(2, "ssh-ng://p510"), progress(1, 0), counts(7), progress(7, 1), build(8, "")];
        let (state, said) = run(&lines);
        let builder = || "ssh-ng://p510".to_owned();
        assert_eq!(state.progress(), (0, 1, 1));
        assert_eq!(state.current(), Some(("nixos-system-a", Some("ssh-ng://p510"))));
        assert_eq!(said, [LogLine::Begun { name: "nixos-system-a".to_owned(), builder: Some(builder()) }]);
    }

    #[test]
    fn a_builder_that_cannot_be_used_is_told_apart_from_a_failed_build() {
        let message = |text: &str| format!(r#"@nix {{"action":"msg","level":0,"msg":"{text}"}}"#);
        let (state, said) = run(&[
            message("cannot build on 'ssh-ng://p599': \\u001b[31;1merror:\\u001b[0m cannot open connection"),
            message("warning: ignoring the client-specified setting 'builders', because it is a restricted setting"),
        ]);
        let why = "cannot open connection".to_owned();
        assert_eq!(said[0], LogLine::NoBuilder { builder: "ssh-ng://p599".to_owned(), why });
        assert!(matches!(said[1], LogLine::BuildersIgnored(_)), "{said:?}");
        assert!(state.failure()[0].contains("ssh-ng://p599"), "a build that fails for want of it names it");
    }

    #[test]
    fn servers_that_nix_complains_of_are_found() {
        let complains = |text: &str| LogLine::Message(text.to_owned()).complains_of().map(str::to_owned);
        let server = Some("http://127.0.0.1:80".to_owned());
        for text in [
            "warning: error: unable to download 'http://127.0.0.1:80/x.narinfo': Couldn't connect to server (7); retrying in 322 ms",
            "warning: unable to download 'http://127.0.0.1:80/nar/y': HTTP error 500; retrying from offset 7 in 1 ms",
            "disabling binary cache 'http://127.0.0.1:80' for 60 seconds",
        ] {
            assert_eq!(complains(text), server, "{text}");
        }
        assert_eq!(complains("error: unable to download 'http://127.0.0.1:80/x': HTTP error 404"), None);
        assert_eq!(complains("; retrying "), None);
    }

    #[test]
    fn unknown_and_broken_lines_do_no_harm() {
        let lines = ["@nix {}", "@nix {\"action\":\"new\"}", "@nix not json", "plain text", ""].map(str::to_owned);
        let (state, said) = run(&lines);
        assert_eq!(said, [LogLine::Message("plain text".to_owned())]);
        assert_eq!(state.progress(), (0, 0, 0));
        let (state, _) = run(&[r#"@nix {"action":"start","id":1,"level":0,"text":"","type":104}"#.to_owned()]);
        assert!(!state.has_built(), "counting builds is none");
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_the_fold(line in ".*", json in ".*") {
            let mut state = BuildState::default();
            let _ = state.apply(&line);
            let _ = state.apply(&format!("@nix {json}"));
        }
    }
}
