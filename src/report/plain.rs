//! A run as timestamped lines, for logs and for terminals that cannot move their cursor.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::event::{Event, HostFinished, Stamped, StepName};
use super::failure::{doing, hint_line, listed};
use super::line::Line;
use super::row::in_short;
use super::state::{RunState, at_builder};
use super::style::{Style, mark};
use super::{text, units};
use crate::fleet::HostName;

/// A host's progress is told no more often than this: a log is read, not watched.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What turns events into lines.
#[derive(Debug)]
pub(super) struct Plain {
    zone: TimeZone,
    verbose: bool,
    told: BTreeMap<HostName, Timestamp>,
}

impl Plain {
    pub(super) fn new(zone: TimeZone, verbose: bool) -> Self {
        Self { zone, verbose, told: BTreeMap::new() }
    }

    /// The lines for an event that `state` has taken in. The summary is not one of them.
    pub(super) fn lines(&mut self, state: &RunState, stamped: &Stamped) -> Vec<Line> {
        let lines = self.content(state, stamped);
        let clock = stamped.time.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
        lines.into_iter().map(|line| Line::new().styled(Style::Dim, &clock).blanks(1).append(line)).collect()
    }

    fn content(&mut self, state: &RunState, stamped: &Stamped) -> Vec<Line> {
        let name = |host: &HostName| host_column(state, host);
        match &stamped.event {
            Event::RunStarted { deployment, command, hosts, .. } => {
                vec![started(command, deployment.as_deref(), hosts)]
            }
            Event::Source { flake, rev, dirty, .. } => vec![source(flake, rev.as_deref(), *dirty)],
            Event::WaveStarted { wave, of, hosts, reason } => vec![wave_started(*wave, *of, hosts, reason)],
            Event::WaveFinished { wave, of, failed, stops } => {
                wave_finished(*wave, *of, failed, *stops).into_iter().collect()
            }
            Event::StepStarted { host, step } => {
                self.told.insert(host.clone(), stamped.time);
                vec![name(host).text(doing(*step))]
            }
            Event::Decided { host, steps, reason } if !steps.is_empty() => {
                let steps: Vec<&str> = steps.iter().map(|step| step.as_str()).collect();
                vec![name(host).text(&format!("to do: {} ({reason})", steps.join(", ")))]
            }
            Event::StepFinished { host, step: StepName::Build, .. } => {
                let built = state.hosts.get(host).and_then(|host| built(&host.built));
                built.map(|built| name(host).text(&built)).into_iter().collect()
            }
            Event::Building { host, name: derivation, builder } if self.verbose => {
                let what = at_builder(derivation, builder.as_deref());
                vec![name(host).styled(Style::Dim, "│ ").text(&format!("building {what}"))]
            }
            Event::Progress { host, step, done, expected, current, builder, .. } if self.is_due(host, stamped.time) => {
                let current = current.as_deref().map(|current| at_builder(current, builder.as_deref()));
                vec![name(host).text(&progress(*step, *done, *expected, current.as_deref()))]
            }
            Event::Log { host, line, .. } if self.verbose => vec![name(host).styled(Style::Dim, "│ ").text(line)],
            Event::Warning { host, message, hint } => {
                let start = host.as_ref().map_or_else(Line::new, name);
                let mut lines = vec![start.styled(Style::Warn, "warning:").text(" ").text(&message.replace('\n', " "))];
                lines.extend(hint.as_deref().map(|hint| hint_line(hint, 2)));
                lines
            }
            Event::HostFinished(end) => vec![ended(name(&end.host), end)],
            Event::Cancelling { forced: true } => vec![Line::new().styled(Style::Warn, "stopping at once")],
            Event::Cancelling { forced: false } => {
                vec![Line::new().styled(Style::Warn, "stopping when it is safe; interrupt again to kill what runs")]
            }
            Event::StepFinished { .. }
            | Event::Evaluated { .. }
            | Event::Decided { .. }
            | Event::Building { .. }
            | Event::Progress { .. }
            | Event::Log { .. }
            | Event::Summary(_) => Vec::new(),
        }
    }

    fn is_due(&mut self, host: &HostName, now: Timestamp) -> bool {
        let due = self.told.get(host).is_none_or(|last| {
            now.duration_since(*last) >= PROGRESS_EVERY.try_into().unwrap_or(jiff::SignedDuration::MAX)
        });
        if due {
            self.told.insert(host.clone(), now);
        }
        due
    }
}

/// The host's name, padded so that what follows is aligned.
fn host_column(state: &RunState, host: &HostName) -> Line {
    let widest = state.hosts.keys().map(|name| text::width(name.as_str())).max().unwrap_or(0);
    Line::new().left(Some(Style::Host), host.as_str(), widest).blanks(2)
}

fn started(command: &str, deployment: Option<&str>, hosts: &[HostName]) -> Line {
    let hosts: Vec<&HostName> = hosts.iter().collect();
    let id = deployment.map(|id| format!(" (deployment {id})")).unwrap_or_default();
    Line::new().styled(Style::Bold, command).text(&format!(" of {}{id}", listed(&hosts)))
}

fn wave_started(wave: usize, of: usize, hosts: &[HostName], reason: &str) -> Line {
    let hosts: Vec<&HostName> = hosts.iter().collect();
    Line::new().styled(Style::Bold, &format!("wave {wave} of {of}")).text(&format!(": {} ({reason})", listed(&hosts)))
}

/// What a wave came to; nothing to tell of one whose hosts did not fail.
pub(super) fn wave_finished(wave: usize, of: usize, failed: &[HostName], stops: bool) -> Option<Line> {
    let then = match (stops, wave < of) {
        (true, true) => ", so no further one begins",
        (false, true) => "; the next one begins all the same",
        (_, false) => "",
    };
    let failed: Vec<&HostName> = failed.iter().collect();
    let what = match failed.as_slice() {
        [] if stops => "too many hosts have failed".to_owned(),
        [] => return None,
        failed => format!("{} failed", listed(failed)),
    };
    Some(Line::new().styled(Style::Warn, &format!("wave {wave} of {of}")).text(&format!(": {what}{then}")))
}

fn source(flake: &str, rev: Option<&str>, dirty: bool) -> Line {
    let rev = rev.map(|rev| format!(" at {}", rev.get(..12).unwrap_or(rev))).unwrap_or_default();
    let dirty = if dirty { " with uncommitted changes" } else { "" };
    Line::new().text(&format!("flake {flake}{rev}{dirty}"))
}

fn progress(step: StepName, done: u64, expected: u64, current: Option<&str>) -> String {
    let current = current.map(|current| format!(" {current}")).unwrap_or_default();
    if expected == 0 {
        format!("{}{current}", doing(step))
    } else {
        format!("{} ({done}/{expected}){current}", doing(step))
    }
}

/// Where derivations were built; nothing to tell where Nix built them all itself.
fn built(counts: &BTreeMap<Option<String>, u64>) -> Option<String> {
    counts.keys().any(Option::is_some).then_some(())?;
    let place = |builder: &Option<String>| match builder {
        Some(builder) => format!("on {}", text::machine(builder)),
        None => "here".to_owned(),
    };
    // Nix itself is the first key.
    let parts: Vec<_> = counts.iter().rev().map(|(builder, count)| format!("{count} {}", place(builder))).collect();
    Some(format!("built {}", parts.join(", ")))
}

fn ended(line: Line, end: &HostFinished) -> Line {
    let style = Style::of(end.outcome);
    let time = units::duration(Duration::from_millis(end.duration_ms));
    let line =
        line.styled(style, &format!("{} {}", mark(end.outcome), end.outcome.as_str())).text(&format!(" in {time}"));
    match in_short(end) {
        detail if detail.is_empty() => line,
        detail => line.text(&format!(": {detail}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::super::samples::{
        at, end, failed, finished, log, progress, run_started, step_ended, step_started, warning,
    };
    use super::super::style::Palette;
    use super::*;

    fn told(verbose: bool, events: impl IntoIterator<Item = (i64, Event)>) -> String {
        let mut state = RunState::default();
        let mut plain = Plain::new(TimeZone::UTC, verbose);
        let mut lines = Vec::new();
        for (second, event) in events {
            let stamped = at(second, event);
            state.apply(&stamped);
            lines.extend(plain.lines(&state, &stamped).iter().map(|line| line.render(Palette::Plain, None)));
        }
        lines.join("\n")
    }

    #[test]
    fn a_run_reads_as_a_log() {
        let source = Event::Source {
            flake: "git+file:///home/me/hub".to_owned(),
            path: "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-source".parse().unwrap(),
            rev: Some("8f2c1d9a7b6e5f4031221100ffeeddccbbaa9988".to_owned()),
            dirty: false,
        };
        let decided = Event::Decided {
            host: "p620".parse().unwrap(),
            steps: vec![StepName::Build, StepName::Copy, StepName::Activate],
            reason: "it runs another system".to_owned(),
        };
        let events = [
            (0, run_started(["p620", "samsung"])),
            (1, source),
            (1, step_started("p620", StepName::Evaluate)),
            (1, step_started("samsung", StepName::Probe)),
            (4, step_ended("p620", StepName::Evaluate)),
            (4, decided),
            (4, step_started("p620", StepName::Build)),
            (5, progress("p620", StepName::Build, 1, 12)),
            (5, log("p620", StepName::Build, "unpacking sources")),
            (10, progress("p620", StepName::Build, 3, 12)),
            (11, failed("samsung", Outcome::Unreachable, StepName::Probe, "no route to host\nssh said so")),
            (12, warning(Some("p620"), "/boot is 91 % full", "hubctl boot-space p620")),
            (13, Event::Cancelling { forced: false }),
            (14, Event::HostFinished(end("p620", Outcome::Deployed, 13_400, Some("generation 43 is live")))),
        ];
        insta::assert_snapshot!(told(false, events), @"
        12:00:00 quick-deploy of p620 and samsung (deployment 42)
        12:00:01 flake git+file:///home/me/hub at 8f2c1d9a7b6e
        12:00:01 p620     evaluating
        12:00:01 samsung  probing
        12:00:04 p620     to do: build, copy, activate (it runs another system)
        12:00:04 p620     building
        12:00:10 p620     building (3/12) linux-6.12.40
        12:00:11 samsung  ✗ unreachable in 12 s: no route to host
        12:00:12 p620     warning: /boot is 91 % full
        12:00:12   hint: hubctl boot-space p620
        12:00:13 stopping when it is safe; interrupt again to kill what runs
        12:00:14 p620     ✓ deployed in 13 s: generation 43 is live
        ");
    }

    #[test]
    fn where_derivations_were_built_is_told_when_it_was_elsewhere() {
        let building = |builder: Option<&str>| Event::Building {
            host: "p620".parse().unwrap(),
            name: "linux-6.12.40".to_owned(),
            builder: builder.map(|host| format!("ssh-ng://{host}")),
        };
        let mut under_way = progress("p620", StepName::Build, 1, 12);
        if let Event::Progress { builder, .. } = &mut under_way {
            *builder = Some("ssh-ng://p510".to_owned());
        }
        let events = [
            (0, run_started(["p620"])),
            (1, step_started("p620", StepName::Build)),
            (1, building(None)),
            (2, building(Some("p510"))),
            (2, building(Some("p510"))),
            (9, under_way),
            (9, step_ended("p620", StepName::Build)),
        ];
        let text = told(false, events);
        assert!(
            text.ends_with("p620  building (1/12) linux-6.12.40 on p510\n12:00:09 p620  built 2 on p510, 1 here"),
            "{text}"
        );
        let local = [(0, run_started(["p620"])), (1, building(None)), (2, step_ended("p620", StepName::Build))];
        assert!(!told(false, local).contains("built"));
        assert!(told(true, [(0, building(Some("p510")))]).ends_with("│ building linux-6.12.40 on p510"));
    }

    #[test]
    fn output_of_builds_is_shown_when_asked_for() {
        let line = || [(0, run_started(["p620"])), (5, log("p620", StepName::Build, "cc\u{1b}[31m -c web.c"))];
        assert!(told(true, line()).ends_with("12:00:05 p620  │ cc -c web.c"));
        assert!(!told(false, line()).contains("cc"));
    }

    #[test]
    fn a_host_without_details_is_told_in_few_words() {
        let text = told(false, [(0, finished("p620", Outcome::Unchanged))]);
        assert_eq!(text, "12:00:00 p620  ✓ unchanged in 0.4 s");
    }
}
