//! The table of `hubctl status`, whose rows come when their hosts have answered.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

use super::hub::Hub;
use super::looker::Seen;
use crate::fleet::{Host, HostName};
use crate::plan::Drift;
use crate::remote::{Facts, Space, TakenBack};
use crate::report::units::{bytes, local_time};
use crate::report::{Cell, Style, Table, Ui};
use crate::run::held_since;

pub(super) const HEADER: [&str; 11] =
    ["HOST", "STATE", "RUNS", "GEN", "AGE", "FAILED", "HEALTH", "STORE FREE", "/BOOT FREE", "UPTIME", "DEPLOYED"];

/// How long rows wait for those of other hosts at most, so that they stand in order: nobody notices that much.
const TOGETHER: Duration = Duration::from_millis(100);

/// After how long without another one they wait no longer: whoever is still to come is slow.
const PAUSE: Duration = Duration::from_millis(20);

/// After how long it is said who is still waited for.
const NOTABLE: Duration = Duration::from_millis(1500);

/// Shows rows as they come.
pub(super) struct Rows {
    ui: Ui,
    /// Those that have no row yet.
    open: BTreeSet<HostName>,
    /// Those that did not answer when they were asked last, so that no row waits for theirs.
    silent: BTreeSet<HostName>,
    /// The columns of the rows that were shown.
    widths: Vec<usize>,
    begun: bool,
    told: bool,
}

impl Rows {
    pub(super) fn new(hub: &Hub, hosts: &[Host], silent: BTreeSet<HostName>) -> Self {
        let open: BTreeSet<_> = hosts.iter().map(|host| host.name.clone()).collect();
        let widest = open.iter().map(|name| name.as_str().chars().count()).max().unwrap_or(0);
        // The longest of the usual states, so that later rows line up.
        let widths = vec![widest, Drift::BuiltElsewhere.as_str().len()];
        Self { ui: hub.ui.clone(), open, silent, widths, begun: false, told: false }
    }

    /// Shows what comes, in the order in which it comes but for rows that come together, and gives all of it.
    pub(super) async fn show(&mut self, found: &mut UnboundedReceiver<Seen>) -> io::Result<Vec<Seen>> {
        let (mut all, begun) = (Vec::new(), Instant::now());
        loop {
            let soon = timeout_at(begun + NOTABLE, found.recv()).await;
            let first = if let Ok(first) = soon {
                first
            } else {
                self.tell_open();
                found.recv().await
            };
            let Some(first) = first else { return Ok(all) };
            let mut batch = vec![first];
            let until = Instant::now() + TOGETHER;
            while self.is_worth_waiting(&batch)
                && let Ok(Some(one)) = timeout_at(until.min(Instant::now() + PAUSE), found.recv()).await
            {
                batch.push(one);
            }
            batch.sort_by(|a, b| a.host.cmp(&b.host));
            self.rows(&batch)?;
            all.append(&mut batch);
        }
    }

    /// Whether a host that has no row yet, and none in `batch`, may well have one soon.
    fn is_worth_waiting(&self, batch: &[Seen]) -> bool {
        let comes = |name: &&HostName| !self.silent.contains(*name) && batch.iter().all(|one| one.host != **name);
        self.open.iter().any(|name| comes(&name))
    }

    /// Says, once, who is still waited for.
    fn tell_open(&mut self) {
        if !self.told && !self.open.is_empty() {
            let names: Vec<_> = self.open.iter().map(HostName::as_str).collect();
            self.ui.status(&format!("waiting for {} …", names.join(", ")));
        }
        self.told = true;
    }

    fn rows(&mut self, seen: &[Seen]) -> io::Result<()> {
        let table = if self.begun { Table::new() } else { Table::with_header(HEADER) };
        let mut table = [3, 4, 5, 6, 7, 8, 9].into_iter().fold(table, Table::right).at_least(self.widths.clone());
        for one in seen {
            self.open.remove(&one.host);
            table.row(row(one));
        }
        self.begun = true;
        let widths = table.widths(self.ui.out_width());
        // A row of a host that does not answer has few columns.
        if widths.len() >= self.widths.len() {
            self.widths = widths;
        }
        self.ui.table(&table)
    }
}

/// What is known of a host, in the columns of [`HEADER`]; one that does not answer has the first two.
pub(super) fn row(one: &Seen) -> Vec<Cell> {
    let name = Cell::styled(Style::Host, one.host.to_string());
    let Some(facts) = &one.facts else { return vec![name, Cell::styled(Style::Fail, "unreachable")] };
    let text = |known: Option<String>| known.unwrap_or_else(|| "-".to_owned());
    let failed = facts.failed_units.len();
    let free = |space: Option<Space>| space.map_or_else(|| "-".to_owned(), |space| bytes(space.free));
    let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or_default();
    let since = |then: i64| facts.now.map(|now| elapsed(seconds(now - then)));
    let deployed = one.deployed.as_ref();
    let deployed = deployed.and_then(|one| Some(format!("{} ago by {}", since(one.at.as_second())?, one.operator)));
    vec![
        name,
        state(one),
        runs(facts).into(),
        text(facts.generation.map(|number| number.to_string())).into(),
        text(facts.generation_made.and_then(since)).into(),
        Cell::styled(if failed == 0 { Style::Dim } else { Style::Fail }, failed.to_string()),
        health(one),
        free(facts.store_space).into(),
        free(facts.boot_space).into(),
        text(facts.uptime.map(elapsed)).into(),
        text(deployed).into(),
    ]
}

/// All drifts of a host that answered.
pub(super) fn state(one: &Seen) -> Cell {
    let names: Vec<_> = one.drifts.iter().map(|drift| drift.as_str()).collect();
    match one.drifts.as_slice() {
        [] => Cell::styled(Style::Ok, Drift::None.as_str()),
        [Drift::Unknown] => Cell::styled(Style::Dim, Drift::Unknown.as_str()),
        _ => Cell::styled(Style::Warn, names.join(", ")),
    }
}

fn health(one: &Seen) -> Cell {
    match (one.checks, one.failed_checks.len()) {
        (None | Some(0), _) => Cell::styled(Style::Dim, "-"),
        (Some(_), 0) => Cell::styled(Style::Ok, "ok"),
        (Some(all), failed) => Cell::styled(Style::Fail, format!("{failed} of {all} fail")),
    }
}

/// What runs, in few letters.
fn runs(facts: &Facts) -> String {
    let hash = facts.current.as_ref().map_or("-", |path| path.short_hash());
    facts.specialisation.as_ref().map_or_else(|| hash.to_owned(), |name| format!("{hash} ({name})"))
}

/// A time in its two largest units.
pub(super) fn elapsed(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Tells what does not fit into a row, in the order of the hosts.
pub(super) fn tell_rest(hub: &Hub, seen: &[Seen]) {
    for one in seen {
        for Remark { message, hint } in remarks(one) {
            hub.ui.warning(&format!("{}: {message}", one.host), hint.as_deref());
        }
    }
}

/// Something of a host that its user should know.
pub(super) struct Remark {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What does not fit into a host's row.
pub(super) fn remarks(one: &Seen) -> Vec<Remark> {
    let plain = |message| Remark { message, hint: None };
    let mut remarks: Vec<_> = one.errors.iter().cloned().map(plain).collect();
    if let Some(facts) = &one.facts {
        remarks.extend(facts.lock.iter().map(|lock| plain(format!("locked by {}", held_since(lock)))));
        remarks.extend(facts.reverted.iter().map(|taken| plain(taken_back(taken))));
        if !facts.failed_units.is_empty() {
            let message = format!("failed units: {}", facts.failed_units.join(", "));
            let hint = Some(format!("`systemctl status` on {} tells more", one.host));
            remarks.push(Remark { message, hint });
        }
    }
    remarks.extend(one.failed_checks.iter().map(|ailment| plain(format!("health check failed: {ailment}"))));
    remarks
}

/// Tells of an activation that the host took back by itself.
fn taken_back(taken: &TakenBack) -> String {
    let when = local_time(taken.at);
    let what = if taken.complete { "was taken back" } else { "was to be taken back, which failed" };
    format!("an activation {what} at {when}, since {}", taken.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(host: &str, drifts: Vec<Drift>) -> Seen {
        let facts =
            Facts { generation: Some(7), generation_made: Some(1_000), now: Some(1_000 + 90 * 60), ..Facts::default() };
        Seen {
            host: host.parse().unwrap(),
            reachable: true,
            drift: None,
            drifts,
            wanted: None,
            facts: Some(facts),
            deployed: None,
            checks: Some(2),
            failed_checks: Vec::new(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn a_row_has_all_drifts_and_ages() {
        let mut table = Table::new();
        table.row(row(&seen("p620", vec![Drift::Behind, Drift::RebootPending])));
        table.row(row(&seen("p510", Vec::new())));
        let text = table.render(crate::report::Palette::Plain, None);
        assert_eq!(
            text,
            "p620  behind, reboot pending  -  7  1 h 30 min  0  ok  -  -  -  -\n\
             p510  in sync                 -  7  1 h 30 min  0  ok  -  -  -  -\n"
        );
        assert_eq!((elapsed(59), elapsed(90_000)), ("0 min".to_owned(), "1 d 1 h".to_owned()));
    }

    #[tokio::test]
    async fn rows_come_when_their_hosts_have_answered() {
        let (ui, captured) = Ui::captured(crate::report::Output::Auto, None);
        let names = ["a", "b", "slow"].map(|name| name.parse().unwrap());
        let mut rows =
            Rows { ui, open: names.into(), silent: BTreeSet::new(), widths: vec![4], begun: false, told: false };
        let (known, mut found) = tokio::sync::mpsc::unbounded_channel();
        let showing = rows.show(&mut found);
        let asking = async {
            assert!(known.send(seen("b", Vec::new())).is_ok() && known.send(seen("a", Vec::new())).is_ok());
            while !captured.stdout().contains("\nb ") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(captured.stdout().contains("\na "), "{}", captured.stdout());
            assert!(known.send(seen("slow", vec![Drift::Ahead])).is_ok());
            drop(known);
        };
        let (all, ()) = tokio::join!(showing, asking);
        assert_eq!(all.unwrap().len(), 3);
        let lines: Vec<_> =
            captured.stdout().lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["HOST", "a", "b", "slow"]);
    }

    #[test]
    fn no_row_waits_for_a_host_that_was_silent() {
        let (ui, _captured) = Ui::captured(crate::report::Output::Auto, None);
        let name = |name: &str| name.parse::<HostName>().unwrap();
        let open = ["a", "b", "off"].map(name);
        let waits = |silent: &[&str], batch: &[&str]| {
            let silent = silent.iter().copied().map(name).collect();
            let rows =
                Rows { ui: ui.clone(), open: open.clone().into(), silent, widths: vec![4], begun: false, told: false };
            rows.is_worth_waiting(&batch.iter().map(|host| seen(host, Vec::new())).collect::<Vec<_>>())
        };
        assert!(waits(&["off"], &["a"]) && waits(&[], &["a", "b"]));
        assert!(!waits(&["off"], &["a", "b"]) && !waits(&[], &["a", "b", "off"]));
    }
}
