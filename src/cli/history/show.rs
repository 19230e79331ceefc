//! All that is known of one deployment.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use super::find::{find, last};
use super::words::{command, milliseconds, outcome, revision, took};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::nix::StorePath;
use crate::report::units::local;
use crate::report::{Cell, Output, Style, Table, cleaned};
use crate::state::{Deployment, State, StateDirs};

/// A deployment with what its hosts and hooks printed, by the names of the logs.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Shown<'a> {
    #[serde(flatten)]
    deployment: &'a Deployment,
    logs: BTreeMap<String, Vec<String>>,
}

pub(super) fn run(hub: &Hub, state: &State, dirs: &StateDirs, id: Option<&str>, tail: Option<usize>) -> Result<Exit> {
    let one = id.map_or_else(|| last(state), |id| find(state, id))?;
    let logs = logs(dirs, &one.id, tail);
    show(hub, &Shown { deployment: &one, logs }, dirs).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn show(hub: &Hub, shown: &Shown<'_>, dirs: &StateDirs) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        return hub.ui.data_json(shown);
    }
    let one = shown.deployment;
    hub.ui.data(&headline(one))?;
    hub.ui.table(&hosts_table(one))?;
    for (host, record) in &one.hosts {
        for text in [&record.detail, &record.error].into_iter().flatten() {
            hub.ui.data(&format!("\n{host}: {}", text.trim_end()))?;
        }
    }
    for (name, lines) in &shown.logs {
        let file = dirs.logs(&one.id).join(format!("{name}.log"));
        let heading = hub.ui.out().paint(Style::Host, name);
        hub.ui.data(&format!("\n{heading}  {}", file.display()))?;
        for line in lines {
            hub.ui.data(&format!("  {}", cleaned(line)))?;
        }
    }
    Ok(())
}

/// The last lines of each log that is still there, or all. That of the hooks begins with `@`, as no host's does.
fn logs(dirs: &StateDirs, id: &str, tail: Option<usize>) -> BTreeMap<String, Vec<String>> {
    if tail == Some(0) {
        return BTreeMap::new();
    }
    let entries = fs::read_dir(dirs.logs(id)).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_str()?.strip_suffix(".log")?.to_owned();
        let text = fs::read(entry.path()).ok()?;
        let mut lines: Vec<_> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        lines.drain(..lines.len().saturating_sub(tail.unwrap_or(usize::MAX)));
        Some((name, lines))
    };
    entries.filter_map(read).collect()
}

fn headline(one: &Deployment) -> String {
    let flake = match &one.rev {
        Some(rev) => format!("{} ({rev})", one.flake),
        None if one.dirty => format!("{} ({})", one.flake, revision(one)),
        None => one.flake.clone(),
    };
    let exit = one.exit.map_or_else(|| "none: it was killed, or still runs".to_owned(), |exit| exit.to_string());
    let first = std::iter::once("changed").chain(std::iter::repeat(""));
    let files = first.zip(one.dirty_files.iter().cloned());
    let lines = std::iter::once(("flake", flake)).chain(files).chain([
        ("begun", local(one.started)),
        ("took", took(one)),
        ("exit code", exit),
    ]);
    let lines = lines.map(|(what, text)| format!("{what:<9} {text}\n"));
    format!("{}  {} by {}\n{}", one.id, command(one), one.operator, lines.collect::<String>())
}

fn hosts_table(one: &Deployment) -> Table {
    let mut table = Table::with_header(["HOST", "WAVE", "OUTCOME", "TOOK", "GEN", "FROM", "TO"]).right(3).right(4);
    for (host, record) in &one.hosts {
        let hash = |path: &Option<StorePath>| path.as_ref().map_or("-", StorePath::short_hash).to_owned();
        let number = |value: Option<u64>| value.map(|number| number.to_string()).unwrap_or_default();
        table.row([
            Cell::styled(Style::Host, host.clone()),
            number(record.wave).into(),
            outcome(record),
            record.duration_ms.map(milliseconds).unwrap_or_default().into(),
            number(record.generation).into(),
            hash(&record.old).into(),
            hash(&record.wanted).into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_revision_is_told_none() {
        let flake = |rev: Option<&str>, dirty| {
            let rev = rev.map(str::to_owned);
            let one = Deployment { flake: "/hub".to_owned(), rev, dirty, ..Deployment::default() };
            headline(&one).lines().find_map(|line| line.strip_prefix("flake     ").map(str::to_owned)).unwrap()
        };
        assert_eq!((flake(None, false), flake(None, true)), ("/hub".to_owned(), "/hub (dirty)".to_owned()));
        assert_eq!(flake(Some("abc"), true), "/hub (abc)");
    }
}
