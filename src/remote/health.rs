//! Health checks: whether what a host is there for works, asked in one round trip.
//!
//! All checks that are run from one place are one shell script there. It runs them side by side and tries each again by itself,
//! so that a service may take its time to start, and the time that all of them take is that of the slowest.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::script::{Remote, RunError, Script};
use crate::process::shell_quote;

/// How much longer the script may take than its checks, on a host that is busy.
const SLACK: Duration = Duration::from_secs(30);

/// How much of what a check saw is kept.
const SEEN_CHARS: usize = 200;

/// A health check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// What the user calls it.
    pub name: Option<String>,
    /// What is to hold.
    pub what: Claim,
    /// Where it is run.
    pub from: Place,
    /// How long one try may take: whole seconds, at least one.
    pub timeout: Duration,
    /// How often it is tried again before it counts as failed.
    pub retries: u32,
    /// The pause between two tries, in whole seconds.
    pub every: Duration,
}

/// What a health check says of a host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The unit of this name is active.
    Unit(String),
    /// A unit that matches this glob of systemd's is active, and none failed.
    Units(String),
    /// A TCP connection can be made.
    Tcp {
        /// Where to; the host itself without it.
        host: Option<String>,
        /// The port.
        port: u16,
    },
    /// An HTTP server answers.
    Http {
        /// What is asked for.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What its body must contain.
        body: Option<String>,
    },
    /// A command, given as its words, exits with 0.
    Command(Vec<String>),
    /// A file is there.
    File {
        /// Its path.
        path: String,
        /// How long ago its last change may be.
        max_age: Option<Duration>,
    },
}

/// Where a check is run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the host.
    #[default]
    Host,
    /// On the machine that hubctl runs on.
    Operator,
}

/// A check that failed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ailment {
    /// The check, for a person.
    pub check: String,
    /// Where it was run.
    pub from: Place,
    /// What its last try saw.
    pub seen: String,
}

impl Check {
    /// How long it may take at most, all its tries included.
    pub fn longest(&self) -> Duration {
        self.timeout * (self.retries + 1) + self.every * self.retries
    }

    /// The same check with one try.
    #[must_use]
    pub fn once(self) -> Self {
        Self { retries: 0, ..self }
    }

    /// What failed, if it saw this.
    pub fn ailment(&self, seen: &str) -> Ailment {
        let seen: String = seen.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SEEN_CHARS).collect();
        let seen = if seen.trim().is_empty() { "no reason given".to_owned() } else { seen.trim().to_owned() };
        Ailment { check: self.to_string(), from: self.from, seen }
    }

    /// The line of the script that runs it in the background.
    fn line(&self, number: usize) -> String {
        let mut words = vec![number.to_string(), (self.retries + 1).to_string()];
        words.extend([self.every, self.timeout.max(Duration::from_secs(1))].map(|time| time.as_secs().to_string()));
        words.extend(self.what.words());
        let quoted: Vec<_> = words.iter().map(|word| shell_quote(word)).collect();
        format!("check {} &\n", quoted.join(" "))
    }
}

impl Claim {
    /// The function of the script that checks it, and its arguments.
    fn words(&self) -> Vec<String> {
        let words = match self {
            Self::Unit(name) => vec!["check_unit", name],
            Self::Units(glob) => vec!["check_units", glob],
            Self::Tcp { host, port } => {
                let host = host.clone().unwrap_or_else(|| "localhost".to_owned());
                return vec!["check_tcp".to_owned(), host, port.to_string()];
            }
            Self::Http { url, status, body } => {
                let body = body.clone().unwrap_or_default();
                return vec!["check_http".to_owned(), url.clone(), status.to_string(), body];
            }
            Self::Command(words) => std::iter::once("check_command").chain(words.iter().map(String::as_str)).collect(),
            Self::File { path, max_age } => {
                let max_age = max_age.map(|age| age.as_secs().to_string()).unwrap_or_default();
                return vec!["check_file".to_owned(), path.clone(), max_age];
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.what)?,
            None => self.what.fmt(f)?,
        }
        f.write_str(if self.from == Place::Operator { " from here" } else { "" })
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(name) => write!(f, "unit {name}"),
            Self::Units(glob) => write!(f, "units {glob}"),
            Self::Tcp { host: None, port } => write!(f, "TCP port {port}"),
            Self::Tcp { host: Some(host), port } => write!(f, "TCP port {port} of {host}"),
            Self::Http { url, .. } => f.write_str(url),
            Self::Command(words) => {
                f.write_str("command")?;
                words.iter().try_for_each(|word| write!(f, " {}", shell_quote(word)))
            }
            Self::File { path, .. } => write!(f, "file {path}"),
        }
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.seen)
    }
}

/// How long checks that are run side by side take at most.
pub fn longest<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Duration {
    checks.into_iter().map(Check::longest).max().unwrap_or_default()
}

/// Runs checks at `remote`, as the user of the connection, and gives those that fail.
pub async fn run_checks(remote: &Remote, checks: &[Check]) -> Result<Vec<Ailment>, RunError> {
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let script = Script::new(script(checks)).deadline(longest(checks) + SLACK);
    let (ran, printed) = remote.run(&script).await?;
    let said = ran.stderr.lines().rev().find(|line| !line.trim().is_empty());
    Ok(read(checks, &printed, said.unwrap_or("it did not come to its end")))
}

fn script(checks: &[Check]) -> String {
    let mut script = include_str!("health.sh").to_owned();
    for (number, check) in checks.iter().enumerate() {
        script.push_str(&check.line(number));
    }
    let _ = writeln!(script, "wait\n:");
    script
}

/// The checks that did not pass. Of one that says nothing, nothing good is known: what it saw is `otherwise`.
fn read(checks: &[Check], printed: &str, otherwise: &str) -> Vec<Ailment> {
    let mut seen = vec![Some(otherwise); checks.len()];
    for line in printed.lines().filter_map(|line| line.strip_prefix("hubctl-health:")) {
        let (number, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(place) = number.parse::<usize>().ok().and_then(|number| seen.get_mut(number)) {
            *place = if rest == "passed" { None } else { Some(rest.strip_prefix("failed ").unwrap_or_default()) };
        }
    }
    checks.iter().zip(seen).filter_map(|(check, seen)| seen.map(|seen| check.ailment(seen))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::super::{Elevation, LocalConnection};
    use super::*;

    fn check(what: Claim) -> Check {
        let second = Duration::from_secs(1);
        Check { name: None, what, from: Place::Host, timeout: second * 10, retries: 0, every: second }
    }

    fn command(words: &[&str]) -> Check {
        check(Claim::Command(words.iter().map(|word| (*word).to_owned()).collect()))
    }

    /// What the checks see on this machine.
    async fn seen(checks: &[Check]) -> Vec<String> {
        let here = Remote::new(Arc::new(LocalConnection), Elevation::default());
        run_checks(&here, checks).await.unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_longest_time_is_that_of_the_slowest() {
        let slow = Check { retries: 3, ..command(&["true"]) };
        assert_eq!(longest(&[command(&["true"]), slow.clone()]).as_secs(), 43);
        assert_eq!(slow.once().longest().as_secs(), 10);
        assert_eq!(longest(&[]), Duration::ZERO);
    }

    #[test]
    fn one_that_does_not_say_that_it_passed_has_not() {
        let checks = [command(&["a"]), Check { name: Some("b".to_owned()), ..command(&["x y"]) }, command(&["c"])];
        let printed =
            "noise\nhubctl-health:0 passed\nhubctl-health:1 failed exit\u{1b}[31m code 1\nhubctl-health:9 passed";
        let found: Vec<_> = read(&checks, printed, "no space").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["b (command 'x y'): exit [31m code 1", "command c: no space"]);
    }

    #[tokio::test]
    async fn commands_and_files_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a file's");
        let file = |max_age: u64| {
            let (path, max_age) = (path.display().to_string(), Some(Duration::from_secs(max_age)));
            check(Claim::File { path, max_age })
        };
        let failed = [file(10), command(&["sh", "-c", "echo one; echo two >&2; exit 3"]), command(&["/no/program"])];
        let found = seen(&failed).await;
        assert!(found[0].ends_with("a file's: there is no such file"), "{found:?}");
        assert!(found[1].ends_with("exit code 3: two"), "{found:?}");
        assert!(found[2].contains("exit code 127"), "{found:?}");

        let file_itself = fs::File::create(&path).unwrap();
        assert_eq!(seen(&[file(60), command(&["test", "$HOME", "=", "$HOME"])]).await, Vec::<String>::new());
        file_itself.set_modified(SystemTime::now() - Duration::from_secs(8000)).unwrap();
        let found = seen(&[file(60)]).await;
        assert!(found[0].contains("its last change is 2 h 13 min ago, not within 1 min 0 s"), "{found:?}");
    }

    #[tokio::test]
    async fn a_check_is_stopped_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("echo x >>{0}/tries; test $(wc -l <{0}/tries) -ge 3", dir.path().display());
        let late = Check { retries: 2, every: Duration::ZERO, ..command(&["sh", "-c", &script]) };
        let hangs = Check { timeout: Duration::from_secs(1), ..command(&["sleep", "60"]) };
        assert_eq!(seen(&[late, hangs]).await, ["command sleep 60: no answer within 1 s"]);
        assert_eq!(fs::read_to_string(dir.path().join("tries")).unwrap().lines().count(), 3);
    }

    #[tokio::test]
    async fn connections_are_made() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = || check(Claim::Tcp { host: Some("127.0.0.1".to_owned()), port });
        assert_eq!(seen(&[tcp()]).await, Vec::<String>::new());
        drop(listener);
        assert_eq!(seen(&[tcp()]).await, [format!("TCP port {port} of 127.0.0.1: Connection refused")]);
    }
}
