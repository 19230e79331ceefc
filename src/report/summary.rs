//! What remains on the screen after a run: the table of outcomes, the reports of failures, and what to do next.

use std::time::Duration;

use jiff::Timestamp;

use super::event::Summary;
use super::line::{Line, block};
use super::outcome::Outcome;
use super::row::Columns;
use super::state::{HostState, RunState};
use super::style::{Palette, Style};
use super::{failure, next, units};

/// In a run of more hosts than this, the hosts that are unchanged are counted rather than listed.
const ALL_LISTED: usize = 24;

/// The whole summary, each line with its end.
pub(super) fn render(state: &RunState, summary: &Summary, palette: Palette, width: Option<usize>) -> String {
    let mut blocks = vec![block(&table(state), palette, width), block(&[totals(summary)], palette, None)];
    // From here on nothing is cut: commands and errors are there to be copied.
    blocks.extend(failure::reports(state.finished()).iter().map(|report| block(report, palette, None)));
    blocks.push(block(&next_steps(state), palette, None));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn next_steps(state: &RunState) -> Vec<Line> {
    next::steps(state).iter().map(|step| Line::new().styled(Style::Bold, "next:").text(" ").text(step)).collect()
}

fn table(state: &RunState) -> Vec<Line> {
    let fits = |host: &HostState| {
        host.finished.as_ref().is_some_and(|end| state.hosts.len() <= ALL_LISTED || end.outcome != Outcome::Unchanged)
    };
    let hosts: Vec<_> = state.in_order().filter(|(_, host)| fits(host)).collect();
    // Names are whole here, since they may be copied; and no host is at work any more, so that no time goes by.
    let columns = Columns::of(&hosts, Timestamp::UNIX_EPOCH, usize::MAX);
    hosts.iter().map(|(name, host)| columns.row(name, host, 0)).collect()
}

/// How many hosts ended how, and the time that the run took.
fn totals(summary: &Summary) -> Line {
    let time = units::duration(Duration::from_millis(summary.duration_ms));
    let counts: Vec<(Outcome, u64)> = Outcome::ALL
        .into_iter()
        .filter_map(|outcome| Some((outcome, *summary.counts.get(outcome.as_str())?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let hosts = if total == 1 { "host" } else { "hosts" };
    match counts[..] {
        [] => Line::new().text(&format!("no host was worked on, in {time}")),
        [(outcome, _)] => Line::new()
            .text(&format!("{total} {hosts} "))
            .styled(Style::of(outcome), outcome.as_str())
            .text(&format!(" in {time}")),
        [..] => {
            let mut line = Line::new().text(&format!("{total} {hosts} in {time}: "));
            for (index, (outcome, count)) in counts.into_iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                line = line.text(comma).styled(Style::of(outcome), &format!("{count} {outcome}"));
            }
            line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Event, StepName};
    use super::super::samples::{end, failed, finished, run};
    use super::*;

    fn rendered(state: &RunState, width: usize) -> String {
        render(state, state.summary.as_ref().unwrap(), Palette::Plain, Some(width))
    }

    #[test]
    fn a_fleet_that_is_unchanged_is_one_short_table() {
        let ends = ["p620", "p510"].map(|name| finished(name, Outcome::Unchanged));
        insta::assert_snapshot!(rendered(&run(["p620", "p510"], ends), 80), @r"
        ✓ p620  unchanged   0.4 s
        ✓ p510  unchanged   0.4 s

        2 hosts unchanged in 1 min 14 s
        ");
    }

    #[test]
    fn a_mixed_run_tells_each_host_then_the_failures_then_what_is_next() {
        let state = run(
            ["p620", "p510", "razer", "samsung"],
            [
                Event::HostFinished(end("p620", Outcome::Deployed, 72_000, Some("generation 43 is live"))),
                failed(
                    "p510",
                    Outcome::BuildFailed,
                    StepName::Build,
                    "cannot build /nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-web-1.0.drv: exit code 1",
                ),
                finished("razer", Outcome::Unchanged),
                Event::HostFinished(end("samsung", Outcome::Unreachable, 10_000, Some("no route to host"))),
            ],
        );
        insta::assert_snapshot!(rendered(&state, 80), @"
        ✓ p620     deployed      1 min 12 s  generation 43 is live
        ✗ p510     build-failed        12 s  cannot build web-1.0.drv: exit code 1
        ✓ razer    unchanged          0.4 s
        ✗ samsung  unreachable         10 s  no route to host

        4 hosts in 1 min 14 s: 1 unchanged, 1 deployed, 1 unreachable, 1 build-failed

        error: p510: build-failed
          cannot build /nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-web-1.0.drv: exit code 1
          command: nix build .#p510
          output:
            web.c:3: error: expected `;`
            make: *** [web.o] Error 1
          log: /var/log/hubctl/42/p510.log
          hint: mend hosts/p510/default.nix

        next: `hubctl ping samsung` tells whether the connection is back
        next: `hubctl quick-deploy p510 samsung` does what is left to do
        ");
    }

    #[test]
    fn of_a_large_fleet_only_what_is_not_unchanged_is_listed() {
        let names: Vec<String> = (0..100).map(|n| format!("web-{n:03}")).collect();
        let mut ends: Vec<Event> = names.iter().map(|name| finished(name, Outcome::Unchanged)).collect();
        let quiet = rendered(&run([], ends.clone()), 80);
        assert_eq!(quiet, "100 hosts unchanged in 1 min 14 s\n");
        ends[7] = finished("web-007", Outcome::Deployed);
        insta::assert_snapshot!(rendered(&run([], ends), 80), @r"
        ✓ web-007  deployed    0.4 s

        100 hosts in 1 min 14 s: 99 unchanged, 1 deployed
        ");
    }
}
