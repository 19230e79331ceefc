//! The units of a host, and what it logs.

use std::time::Duration;

use serde::Serialize;

use super::elevate::Elevate;
use super::platform::Platform;
use super::script::{Remote, RunError};
use crate::process::LineSink;

/// How long a log is followed at most. Whoever looks at it for longer asks again.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How many lines from before are shown of a log that is followed.
const EARLIER: u32 = 400;

/// What is printed where there is no systemd.
const NO_SYSTEMD: &str = "hubctl-no-systemd";

/// A unit of systemd.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unit {
    /// Its name, with its type.
    pub name: String,
    /// Whether it is up: `active`, `inactive`, `failed`, ..
    pub active: String,
    /// The same in the words of its type: `running`, `exited`, ..
    pub sub: String,
    /// What it is.
    pub description: String,
}

/// Lists the units of a host that do something, those that failed first; none where no systemd runs.
pub async fn units(remote: &Remote) -> Result<Option<Vec<Unit>>, RunError> {
    let manager = manager(remote.platform());
    let script = format!(
        "command -v systemctl >/dev/null && [ -d /run/systemd/system ] || {{ echo {NO_SYSTEMD}; exit; }}\n\
         systemctl {manager} list-units --all --plain --full --no-legend --no-pager \
         --type=service,socket,timer,path,mount,automount,swap,target 2>/dev/null"
    );
    let (_, printed) = remote.run(&remote.script(&script)).await?;
    if printed.lines().any(|line| line == NO_SYSTEMD) {
        return Ok(None);
    }
    let mut found: Vec<_> = printed.lines().filter_map(parse_line).collect();
    found.sort_by(|a, b| (a.active != "failed", &a.name).cmp(&(b.active != "failed", &b.name)));
    Ok(Some(found))
}

/// Gives the last lines of a host's log to `on_line`, and then each that is added, until the connection ends: those of `unit`, or all.
/// As root where the host has a way to become it without a password, otherwise what the user may see.
pub async fn follow_log(remote: &Remote, unit: Option<&str>, on_line: LineSink<'_>) -> Result<(), RunError> {
    let manager = manager(remote.platform());
    let only = unit.map(|unit| format!("--unit={}", crate::process::shell_quote(unit))).unwrap_or_default();
    let text = format!(
        "command -v journalctl >/dev/null || {{ echo 'the host has no journal of systemd'; exit; }}\n\
         journalctl {manager} --follow --lines={EARLIER} --no-hostname --no-pager --quiet {only} 2>&1"
    );
    let script = remote.script(&text).deadline(LONGEST);
    if remote.becomes() != Elevate::None {
        match remote.run_lines(&script.clone().as_root(), on_line).await {
            Err(RunError::NotElevated { .. }) => {
                on_line("(as the user of the connection: becoming root takes a password)");
            }
            ended => return ended.map(drop),
        }
    }
    remote.run_lines(&script, on_line).await.map(drop)
}

/// The option that names the manager whose units these are.
const fn manager(platform: Platform) -> &'static str {
    match platform {
        Platform::Home => "--user",
        Platform::Nixos | Platform::Darwin => "",
    }
}

/// Reads a line of `UNIT LOAD ACTIVE SUB DESCRIPTION`. One that is only named by others has nothing to it.
fn parse_line(line: &str) -> Option<Unit> {
    let mut words = line.split_whitespace();
    let (name, load, active, sub) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let description = words.collect::<Vec<_>>().join(" ");
    let unit = Unit { name: name.to_owned(), active: active.to_owned(), sub: sub.to_owned(), description };
    (load != "not-found").then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_unit() {
        let unit = parse_line("nginx.service   loaded active running  A web server: nginx").unwrap();
        assert_eq!(
            (unit.name.as_str(), unit.active.as_str(), unit.sub.as_str()),
            ("nginx.service", "active", "running")
        );
        assert_eq!(unit.description, "A web server: nginx");
        assert_eq!(parse_line("x.service not-found inactive dead"), None);
        assert_eq!(parse_line(""), None);
    }
}
