//! Deployments drawn: how long they took, how hosts ended, and how each host fared.

use std::collections::{BTreeMap, BTreeSet};

use super::words::{milliseconds, took};
use crate::report::units::local;
use crate::report::{Cell, Outcome, Style, Table, bar, mark, sparkline};
use crate::state::{Deployment, HostRecord};

/// The columns of the longest bar.
const WIDTH: usize = 24;

/// How many hosts of a deployment are drawn one by one.
const MARKS: usize = 32;

/// How many of a host's durations are drawn.
const SPARKS: usize = 32;

/// The tables that are drawn from deployments, which come newest first.
pub(super) fn tables(found: &[Deployment]) -> [Table; 3] {
    [by_time(found), by_outcome(found), by_host(found)]
}

fn by_time(found: &[Deployment]) -> Table {
    let most = found.iter().filter_map(Deployment::duration_ms).max().unwrap_or_default();
    let mut table = Table::with_header(["WHEN", "COMMAND", "TOOK", "", "HOSTS"]).right(3);
    for one in found.iter().rev() {
        table.row([
            local(one.started).into(),
            one.command.clone().into(),
            bar(one.duration_ms().unwrap_or_default(), most, WIDTH).into(),
            took(one).into(),
            marks(one),
        ]);
    }
    table
}

/// A sign for each host, or for each outcome with its number where these are many.
fn marks(one: &Deployment) -> Cell {
    let ends = || one.hosts.values().map(|record| record.outcome.map_or("?", mark));
    let worst =
        one.hosts.values().filter_map(|record| record.outcome).map(Style::of).max_by_key(|style| weight(*style));
    let text = if one.hosts.len() <= MARKS {
        ends().collect()
    } else {
        let mut counts = BTreeMap::<_, u64>::new();
        ends().for_each(|mark| *counts.entry(mark).or_default() += 1);
        counts.iter().map(|(mark, count)| format!("{mark} {count}")).collect::<Vec<_>>().join("  ")
    };
    worst.map_or_else(|| text.clone().into(), |style| Cell::styled(style, text.clone()))
}

const fn weight(style: Style) -> u8 {
    match style {
        Style::Fail => 2,
        Style::Warn => 1,
        _ => 0,
    }
}

/// What the signs for hosts mean, as far as the deployments have such; nothing where there is only one.
pub(super) fn legend(found: &[Deployment]) -> Option<String> {
    let outcomes = || found.iter().flat_map(|one| one.hosts.values()).map(|record| record.outcome);
    let signs: BTreeSet<_> = outcomes().map(|outcome| outcome.map_or("?", mark)).collect();
    let meanings = [("✓", "well"), ("!", "to look at"), ("✗", "failed"), ("?", "not ended")];
    let known = meanings.iter().filter(|(sign, _)| signs.contains(sign));
    let words: Vec<_> = known.map(|(sign, meaning)| format!("{sign} {meaning}")).collect();
    (words.len() > 1).then(|| words.join("   "))
}

fn by_outcome(found: &[Deployment]) -> Table {
    let mut counts = BTreeMap::<Option<Outcome>, u64>::new();
    for record in found.iter().flat_map(|one| one.hosts.values()) {
        *counts.entry(record.outcome).or_default() += 1;
    }
    let most = counts.values().copied().max().unwrap_or_default();
    let mut table = Table::with_header(["OUTCOME", "HOSTS", ""]).right(2);
    for (outcome, count) in counts {
        let name = outcome.map_or_else(
            || "? not ended".into(),
            |outcome| Cell::styled(Style::of(outcome), format!("{} {outcome}", mark(outcome))),
        );
        table.row([name, bar(count, most, WIDTH).into(), count.to_string().into()]);
    }
    table
}

fn by_host(found: &[Deployment]) -> Table {
    let mut hosts = BTreeMap::<&str, Vec<&HostRecord>>::new();
    for (host, record) in found.iter().rev().flat_map(|one| &one.hosts) {
        hosts.entry(host).or_default().push(record);
    }
    let header = ["HOST", "DEPLOYMENTS", "WELL", "MEDIAN", "LAST", "DURATIONS, OLDEST FIRST"];
    let mut table = (1..=4).fold(Table::with_header(header), Table::right);
    for (host, records) in hosts {
        let well = records.iter().filter(|record| record.outcome.is_some_and(Outcome::is_success)).count();
        let durations: Vec<_> = records.iter().filter_map(|record| record.duration_ms).collect();
        let last = durations.last().copied().map(milliseconds).unwrap_or_default();
        table.row([
            Cell::styled(Style::Host, host),
            records.len().to_string().into(),
            well.to_string().into(),
            median(&durations).map(milliseconds).unwrap_or_default().into(),
            last.into(),
            sparkline(&durations[durations.len().saturating_sub(SPARKS)..]).into(),
        ]);
    }
    table
}

fn median(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::report::Palette;

    fn deployment(second: i64, took: i64, hosts: &[(&str, Option<Outcome>, u64)]) -> Deployment {
        let record = |outcome: &Option<Outcome>, ms: u64| HostRecord {
            outcome: *outcome,
            duration_ms: Some(ms),
            ..HostRecord::default()
        };
        Deployment {
            command: "quick-deploy".to_owned(),
            started: Timestamp::from_second(second).unwrap(),
            finished: Timestamp::from_second(second + took).ok(),
            hosts: hosts.iter().map(|(host, outcome, ms)| ((*host).to_owned(), record(outcome, *ms))).collect(),
            ..Deployment::default()
        }
    }

    #[test]
    fn each_deployment_outcome_and_host_is_drawn() {
        let old =
            deployment(1_000_000, 10, &[("a", Some(Outcome::Deployed), 1000), ("b", Some(Outcome::BuildFailed), 2000)]);
        let new = deployment(2_000_000, 20, &[("a", Some(Outcome::Deployed), 9000), ("b", None, 0)]);
        let [time, outcome, host] = tables(&[new, old]).map(|table| table.render(Palette::Plain, None));
        let rows: Vec<_> = time.lines().skip(1).collect();
        assert!(rows[0].contains("✓✗") && rows[0].contains(&"█".repeat(12)), "{time}");
        assert!(rows[1].contains("✓?") && rows[1].contains(&"█".repeat(24)), "{time}");
        assert!(outcome.contains("✓ deployed") && outcome.contains("✗ build-failed"), "{outcome}");
        assert!(host.contains('▁') && host.contains('█'), "{host}");
    }

    #[test]
    fn signs_are_explained_where_there_are_several() {
        let ends = |ends: &[Option<Outcome>]| {
            let hosts: Vec<_> = ends.iter().enumerate().map(|(at, end)| (format!("h{at}"), *end)).collect();
            let hosts: Vec<_> = hosts.iter().map(|(name, end)| (name.as_str(), *end, 1)).collect();
            legend(&[deployment(1, 1, &hosts)])
        };
        assert_eq!(ends(&[Some(Outcome::Deployed), Some(Outcome::Unchanged)]), None);
        let all = ends(&[Some(Outcome::Deployed), Some(Outcome::BuildFailed), None]);
        assert_eq!(all.unwrap(), "✓ well   ✗ failed   ? not ended");
    }

    #[test]
    fn a_fleet_of_many_hosts_is_counted() {
        let hosts: Vec<_> = (0..100).map(|number| (format!("h{number}"), Some(Outcome::Deployed), 1)).collect();
        let hosts: Vec<_> = hosts.iter().map(|(name, outcome, ms)| (name.as_str(), *outcome, *ms)).collect();
        let drawn = by_time(&[deployment(1, 1, &hosts)]).render(Palette::Plain, None);
        assert!(drawn.contains("✓ 100"), "{drawn}");
    }

    #[test]
    fn the_middle_one_is_the_median() {
        assert_eq!(
            (median(&[]), median(&[7]), median(&[9, 1, 5]), median(&[4, 1, 2, 3])),
            (None, Some(7), Some(5), Some(2))
        );
    }
}
