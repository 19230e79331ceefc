//! Events that the tests of this layer begin with.

use jiff::Timestamp;

use super::event::{Event, Failed, HostFinished, Stamped, StepName, Summary};
use super::outcome::{Outcome, exit_of};
use super::state::RunState;
use crate::fleet::HostName;

pub(super) fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

/// An event so many seconds after 12:00:00 UTC of some day.
pub(super) fn at(second: i64, event: Event) -> Stamped {
    let noon: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    Stamped { time: Timestamp::from_second(noon.as_second() + second).unwrap(), event }
}

pub(super) fn run_started<const N: usize>(hosts: [&str; N]) -> Event {
    Event::RunStarted {
        deployment: Some("42".to_owned()),
        command: "quick-deploy".to_owned(),
        goal: "switch".to_owned(),
        hosts: hosts.map(host).to_vec(),
    }
}

pub(super) fn step_started(name: &str, step: StepName) -> Event {
    Event::StepStarted { host: host(name), step }
}

pub(super) fn step_ended(name: &str, step: StepName) -> Event {
    Event::StepFinished { host: host(name), step, duration_ms: 1_000 }
}

pub(super) fn progress(name: &str, step: StepName, done: u64, expected: u64) -> Event {
    let current = Some("linux-6.12.40".to_owned());
    Event::Progress { host: host(name), step, done, running: 1, expected, current, builder: None }
}

pub(super) fn log(name: &str, step: StepName, line: &str) -> Event {
    Event::Log { host: host(name), step, line: line.to_owned() }
}

pub(super) fn warning(name: Option<&str>, message: &str, hint: &str) -> Event {
    Event::Warning { host: name.map(host), message: message.to_owned(), hint: Some(hint.to_owned()) }
}

pub(crate) fn end(name: &str, outcome: Outcome, duration_ms: u64, detail: Option<&str>) -> HostFinished {
    HostFinished {
        host: host(name),
        outcome,
        duration_ms,
        detail: detail.map(str::to_owned),
        old: None,
        wanted: None,
        system: None,
        generation: None,
        build_ms: None,
        error: None,
    }
}

pub(super) fn finished(name: &str, outcome: Outcome) -> Event {
    Event::HostFinished(end(name, outcome, 400, None))
}

pub(super) fn failed(name: &str, outcome: Outcome, step: StepName, message: &str) -> Event {
    let error = Failed {
        step,
        message: message.to_owned(),
        command: Some(format!("nix build .#{name}")),
        output: vec!["web.c:3: error: expected `;`".to_owned(), "make: *** [web.o] Error 1".to_owned()],
        hints: vec![format!("mend hosts/{name}/default.nix")],
        log: Some(format!("/var/log/hubctl/42/{name}.log")),
    };
    Event::HostFinished(HostFinished { error: Some(error), ..end(name, outcome, 12_300, None) })
}

/// The summary of all that ended so far.
pub(super) fn summary(state: &RunState, duration_ms: u64) -> Event {
    let mut counts = std::collections::BTreeMap::new();
    for end in state.finished() {
        *counts.entry(end.outcome.to_string()).or_default() += 1;
    }
    let hosts = state.finished().map(|end| (end.host.clone(), end.outcome)).collect();
    let exit = exit_of(state.finished().map(|end| end.outcome)).code();
    Event::Summary(Summary { exit, duration_ms, counts, hosts })
}

/// The state after these events, one second apart from each other.
pub(super) fn fold(events: impl IntoIterator<Item = Event>) -> RunState {
    let mut state = RunState::default();
    for (second, event) in (0..).zip(events) {
        state.apply(&at(second, event));
    }
    state
}

/// The state at the end of a run of these hosts with these ends.
pub(super) fn run<const N: usize>(hosts: [&str; N], ends: impl IntoIterator<Item = Event>) -> RunState {
    let mut state = fold(std::iter::once(run_started(hosts)).chain(ends));
    let summary = summary(&state, 74_000);
    state.apply(&at(74, summary));
    state
}
