//! Deployments in words, the same in every view of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::report::units::duration;
use crate::report::{Cell, Outcome, Style};
use crate::state::{Deployment, HostRecord};

/// What was run, for a person.
pub(in crate::cli) fn command(one: &Deployment) -> String {
    // What a command is for needs no saying.
    let is_plain = one.goal == "switch" || one.goal == one.command;
    let goal = if is_plain { String::new() } else { format!(" --goal {}", one.goal) };
    let of = one.follows.as_ref().map(|id| format!(" of {id}")).unwrap_or_default();
    format!("{}{goal}{of}", one.command)
}

pub(in crate::cli) fn revision(one: &Deployment) -> String {
    match &one.rev {
        Some(rev) => rev.chars().take(10).collect(),
        None if one.dirty => "dirty".to_owned(),
        None => "-".to_owned(),
    }
}

pub(super) fn took(one: &Deployment) -> String {
    one.duration_ms().map_or_else(|| "unfinished".to_owned(), milliseconds)
}

pub(in crate::cli) fn milliseconds(ms: u64) -> String {
    duration(Duration::from_millis(ms))
}

pub(in crate::cli) fn outcome(record: &HostRecord) -> Cell {
    record.outcome.map_or_else(|| "not ended".into(), |outcome| Cell::styled(Style::of(outcome), outcome.as_str()))
}

/// The hosts' outcomes, the same ones together.
pub(super) fn outcomes(one: &Deployment) -> Cell {
    let mut by_outcome = BTreeMap::<_, Vec<&str>>::new();
    for (host, record) in &one.hosts {
        by_outcome.entry(record.outcome.map_or("not ended", Outcome::as_str)).or_default().push(host);
    }
    let parts: Vec<_> = by_outcome.iter().map(|(outcome, hosts)| format!("{outcome}: {}", hosts.join(" "))).collect();
    parts.join("; ").into()
}
