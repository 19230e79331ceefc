//! What is known of a host, line by line.

use jiff::Timestamp;

use super::model::Entry;
use super::page::Row;
use crate::cli::looker::Seen;
use crate::cli::status_rows::{Remark, elapsed, remarks};
use crate::nix::StorePath;
use crate::remote::{Facts, Space};
use crate::report::units::bytes;
use crate::report::{Cell, Style};

/// All that is known of a host but what its tabs have.
pub(super) fn overview(entry: &Entry, now: Timestamp) -> Vec<Row> {
    let mut rows = vec![line("state", state(entry))];
    let tags: Vec<_> = entry.tags.iter().map(|tag| format!("@{tag}")).collect();
    let about: Vec<_> = entry.role.iter().cloned().chain(tags).collect();
    if !about.is_empty() {
        rows.push(line("role, tags", about.join(" ")));
    }
    let asked = entry.at.map(|at| format!("{} ago", elapsed_between(at, now)));
    let answered = entry.answered.filter(|answered| Some(*answered) != entry.at);
    let answered =
        answered.map(|at| format!("; it answered last {} ago", elapsed_between(at, now))).unwrap_or_default();
    rows.extend(asked.map(|asked| line("asked", format!("{asked}{answered}"))));
    if let Some(seen) = &entry.seen {
        rows.extend(systems(seen));
        rows.extend(seen.facts.iter().flat_map(machine));
        for Remark { message, hint } in remarks(seen) {
            rows.push(Row::text(""));
            rows.extend(message.lines().map(|text| Row::text(Cell::styled(Style::Fail, text))));
            rows.extend(hint.map(|hint| Row::text(Cell::styled(Style::Dim, format!("  hint: {hint}")))));
        }
    }
    rows
}

/// How the host is, in the words and the style of the table.
pub(super) fn state(entry: &Entry) -> Cell {
    let word = entry.word();
    match &entry.seen {
        None => Cell::styled(Style::Dim, word),
        Some(seen) if !seen.reachable => Cell::styled(Style::Fail, word),
        Some(_) if entry.comparing => Cell::styled(Style::Dim, word),
        Some(seen) => crate::cli::status_rows::state(seen),
    }
}

fn systems(seen: &Seen) -> Vec<Row> {
    let Some(facts) = &seen.facts else { return Vec::new() };
    let since = |then: i64| facts.now.and_then(|now| u64::try_from(now - then).ok()).map(elapsed);
    let path = |path: &Option<StorePath>| path.as_ref().map(|path| format!("{} {}", path.short_hash(), path.name()));
    let generation = facts.generation.map(|number| {
        let age = facts.generation_made.and_then(since).map(|age| format!(", made {age} ago")).unwrap_or_default();
        format!("{number}{age}")
    });
    let deployed = seen
        .deployed
        .as_ref()
        .and_then(|one| Some(format!("{} ago by {} ({})", since(one.at.as_second())?, one.operator, one.id)));
    let reboot: Vec<_> = facts.reboot.iter().map(|reason| reason.as_str()).collect();
    let lines = [
        ("runs", path(&facts.current)),
        ("wanted", path(&seen.wanted)),
        ("boots", path(&facts.profile)),
        ("booted", path(&facts.booted)),
        ("specialisation", facts.specialisation.clone()),
        ("generation", generation),
        ("deployed", deployed),
        ("reboot for", Some(reboot.join(", ")).filter(|text| !text.is_empty())),
    ];
    lines.into_iter().filter_map(|(label, text)| Some(line(label, text?))).collect()
}

fn machine(facts: &Facts) -> Vec<Row> {
    let space = |space: Space| format!("{} free of {}", bytes(space.free), bytes(space.total));
    let lines = [
        ("store", facts.store_space.map(space)),
        ("/boot", facts.boot_space.map(space)),
        ("up for", facts.uptime.map(elapsed)),
        ("machine", facts.system.clone()),
    ];
    lines.into_iter().filter_map(|(label, text)| Some(line(label, text?))).collect()
}

fn line(label: &str, value: impl Into<Cell>) -> Row {
    Row { cells: vec![Cell::styled(Style::Dim, label), value.into()], means: None }
}

/// How long it is between two times, in whole seconds while these are few.
pub(super) fn elapsed_between(then: Timestamp, now: Timestamp) -> String {
    match u64::try_from(now.as_second() - then.as_second()).unwrap_or_default() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds => elapsed(seconds),
    }
}
