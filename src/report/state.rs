//! What is known of a run at one moment: a pure fold of its events.
//!
//! No event is kept, so that a run's memory does not grow with its length: of each host there is its present state and the
//! last lines that it printed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;

use super::event::{Event, Failed, HostFinished, Stamped, StepName, Summary};
use super::outcome::Outcome;
use super::text;
use crate::fleet::HostName;

/// How many lines of a host's output are kept.
const LOG_LINES: usize = 20;

/// How many lines of a failure's output are kept.
const OUTPUT_LINES: usize = 50;

/// How many characters of a line are kept.
const LINE_CHARS: usize = 2_000;

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub struct RunState {
    /// The deployment's id in `history`.
    pub deployment: Option<String>,
    /// The canonical command.
    pub command: String,
    /// What is to be reached on each host.
    pub goal: String,
    /// The hosts in the order of the selection.
    pub order: Vec<HostName>,
    /// What is known of each host.
    pub hosts: BTreeMap<HostName, HostState>,
    /// The number of the wave that began last, from 1 on, and how many there are; none in a run of one.
    pub wave: Option<(usize, usize)>,
    /// When the run began.
    pub started: Option<Timestamp>,
    /// Whether the user asked to stop; within, whether at once.
    pub cancelling: Option<bool>,
    /// The end, when it came.
    pub summary: Option<Summary>,
}

/// What is known of a host.
#[derive(Clone, Debug, Default)]
pub struct HostState {
    /// The steps under way, each with its beginning. A probe runs beside the evaluation.
    pub running: BTreeMap<StepName, Timestamp>,
    /// The steps that ended.
    pub ended: BTreeSet<StepName>,
    /// The steps that were left to do when that became known.
    pub planned: Vec<StepName>,
    /// How far the step under way is.
    pub progress: Option<Progress>,
    /// How many derivations each remote builder began to build, and Nix itself.
    pub built: BTreeMap<Option<String>, u64>,
    /// The last lines that builds and activations printed.
    pub log: VecDeque<String>,
    /// The end of the host's part, when it came.
    pub finished: Option<HostFinished>,
}

/// How far a build or copy is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The step.
    pub step: StepName,
    /// Derivations or paths done.
    pub done: u64,
    /// Derivations or paths in all, as far as Nix knows by now.
    pub expected: u64,
    /// The name of one that is under way, and of the remote builder that is at it.
    pub current: Option<String>,
}

/// How many hosts wait, work and are done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Hosts without a step under way.
    pub waiting: usize,
    /// Hosts with a step under way.
    pub running: usize,
    /// Hosts whose part ended.
    pub done: usize,
    /// Of these, the hosts whose part did not end well.
    pub failed: usize,
}

impl RunState {
    /// Takes in one event.
    pub fn apply(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::RunStarted { deployment, command, goal, hosts } => {
                self.deployment.clone_from(deployment);
                self.command.clone_from(command);
                self.goal.clone_from(goal);
                self.started = Some(stamped.time);
                for host in hosts {
                    self.host(host);
                }
            }
            Event::WaveStarted { wave, of, .. } => self.wave = Some((*wave, *of)),
            Event::StepStarted { host, step } => self.host(host).start(*step, stamped.time),
            Event::StepFinished { host, step, .. } => self.host(host).end(*step),
            Event::Decided { host, steps, .. } => self.host(host).planned.clone_from(steps),
            Event::Building { host, builder, .. } => {
                *self.host(host).built.entry(builder.clone()).or_default() += 1;
            }
            Event::Progress { host, step, done, expected, current, builder, .. } => {
                let (step, done, expected) = (*step, *done, *expected);
                let current = current.as_deref().map(|name| at_builder(name, builder.as_deref()));
                self.host(host).progress = Some(Progress { step, done, expected, current });
            }
            Event::Log { host, line, .. } => self.host(host).log_line(line),
            Event::HostFinished(finished) => self.host(&finished.host).finish(finished),
            Event::Cancelling { forced } => self.cancelling = Some(self.cancelling == Some(true) || *forced),
            Event::Summary(summary) => self.summary = Some(summary.clone()),
            Event::Source { .. } | Event::WaveFinished { .. } | Event::Evaluated { .. } | Event::Warning { .. } => {}
        }
    }

    fn host(&mut self, name: &HostName) -> &mut HostState {
        if !self.hosts.contains_key(name) {
            self.order.push(name.clone());
        }
        self.hosts.entry(name.clone()).or_default()
    }

    /// The hosts in the order of the selection.
    pub fn in_order(&self) -> impl Iterator<Item = (&HostName, &HostState)> {
        self.order.iter().filter_map(|name| self.hosts.get_key_value(name))
    }

    /// The ends of the hosts' parts so far, in the order of the selection.
    pub fn finished(&self) -> impl Iterator<Item = &HostFinished> {
        self.in_order().filter_map(|(_, host)| host.finished.as_ref())
    }

    /// The hosts that ended with this outcome, in the order of the selection.
    pub fn with_outcome(&self, outcome: Outcome) -> Vec<&HostName> {
        self.finished().filter(|end| end.outcome == outcome).map(|end| &end.host).collect()
    }

    /// How many hosts wait, work and are done.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for host in self.hosts.values() {
            match &host.finished {
                Some(end) => {
                    counts.done += 1;
                    counts.failed += usize::from(!end.outcome.is_success());
                }
                None if host.running.is_empty() => counts.waiting += 1,
                None => counts.running += 1,
            }
        }
        counts
    }
}

impl HostState {
    fn start(&mut self, step: StepName, time: Timestamp) {
        self.running.insert(step, time);
        self.ended.remove(&step);
    }

    fn end(&mut self, step: StepName) {
        self.running.remove(&step);
        self.ended.insert(step);
        if self.progress.as_ref().is_some_and(|progress| progress.step == step) {
            self.progress = None;
        }
    }

    fn log_line(&mut self, line: &str) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(clipped(line));
    }

    fn finish(&mut self, finished: &HostFinished) {
        self.running.clear();
        self.progress = None;
        let mut finished = finished.clone();
        if let Some(error) = &mut finished.error {
            self.complete(error);
        }
        self.finished = Some(finished);
        self.log = VecDeque::new();
    }

    /// Keeps the end of a failure's output; where the failure has none, what the host printed last stands in for it.
    fn complete(&self, error: &mut Failed) {
        if error.output.is_empty() {
            error.output = self.log.iter().cloned().collect();
        }
        let surplus = error.output.len().saturating_sub(OUTPUT_LINES);
        error.output.drain(..surplus);
        error.output.iter_mut().for_each(|line| *line = clipped(line));
    }

    /// The step to show: of several under way, the furthest.
    pub fn current(&self) -> Option<(StepName, Timestamp)> {
        self.running.last_key_value().map(|(step, since)| (*step, *since))
    }

    /// The step that comes next, when the plan is known.
    pub fn next(&self) -> Option<StepName> {
        self.planned.iter().copied().find(|step| !self.ended.contains(step))
    }

    /// What the step does at this moment: what is built or copied, or else the line that was printed last.
    pub fn doing(&self, step: StepName) -> Option<&str> {
        match &self.progress {
            Some(progress) if progress.step == step => progress.current.as_deref(),
            _ if step == StepName::Activate => self.log.back().map(String::as_str),
            _ => None,
        }
    }
}

/// What is under way, and where if that is not with Nix itself.
pub(super) fn at_builder(name: &str, builder: Option<&str>) -> String {
    builder.map_or_else(|| name.to_owned(), |builder| format!("{name} on {}", text::machine(builder)))
}

fn clipped(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        at, failed, finished, fold, host, log, progress, run_started, step_ended, step_started,
    };
    use super::*;

    #[test]
    fn a_host_goes_from_waiting_through_its_steps_to_its_end() {
        let mut state = fold([
            run_started(["p620", "p510"]),
            step_started("p620", StepName::Probe),
            step_started("p620", StepName::Evaluate),
        ]);
        assert_eq!(state.hosts[&host("p620")].current().map(|(step, _)| step), Some(StepName::Evaluate));
        assert_eq!(state.counts(), Counts { waiting: 1, running: 1, ..Counts::default() });

        state.apply(&at(3, step_ended("p620", StepName::Evaluate)));
        assert_eq!(state.hosts[&host("p620")].current(), Some((StepName::Probe, at(1, run_started([])).time)));

        state.apply(&at(4, finished("p620", Outcome::Unchanged)));
        assert_eq!(state.counts(), Counts { waiting: 1, done: 1, ..Counts::default() });
        assert_eq!(state.with_outcome(Outcome::Unchanged), [&host("p620")]);
    }

    #[test]
    fn the_order_is_that_of_the_selection_and_strangers_come_last() {
        let state = fold([run_started(["razer", "p510"]), step_started("a-stranger", StepName::Probe)]);
        let order: Vec<_> = state.in_order().map(|(name, _)| name.as_str()).collect();
        assert_eq!(order, ["razer", "p510", "a-stranger"]);
    }

    #[test]
    fn progress_ends_with_its_step() {
        let mut state = fold([step_started("p620", StepName::Build), progress("p620", StepName::Build, 3, 12)]);
        let p620 = &state.hosts[&host("p620")];
        assert_eq!(p620.progress.as_ref().map(|progress| (progress.done, progress.expected)), Some((3, 12)));
        assert_eq!(p620.doing(StepName::Build), Some("linux-6.12.40"));
        state.apply(&at(9, step_ended("p620", StepName::Build)));
        assert_eq!(state.hosts[&host("p620")].progress, None);
    }

    #[test]
    fn what_a_remote_builder_is_at_is_told_with_its_name() {
        let mut event = progress("p620", StepName::Build, 3, 12);
        if let Event::Progress { builder, .. } = &mut event {
            *builder = Some("ssh-ng://p510".to_owned());
        }
        let state = fold([step_started("p620", StepName::Build), event]);
        assert_eq!(state.hosts[&host("p620")].doing(StepName::Build), Some("linux-6.12.40 on p510"));
    }

    #[test]
    fn what_comes_next_is_the_first_planned_step_that_has_not_ended() {
        let steps = vec![StepName::Build, StepName::Copy, StepName::Activate];
        let decided = Event::Decided { host: host("p620"), steps, reason: "another system".to_owned() };
        let state = fold([decided, step_started("p620", StepName::Build), step_ended("p620", StepName::Build)]);
        assert_eq!(state.hosts[&host("p620")].next(), Some(StepName::Copy));
    }

    #[test]
    fn memory_is_bounded_however_much_is_printed() {
        let long = "x".repeat(1_000_000);
        let mut state = fold((0..1_000).map(|n| log("p620", StepName::Build, &format!("line {n}"))));
        state.apply(&at(1_000, log("p620", StepName::Build, &long)));
        let p620 = &state.hosts[&host("p620")];
        assert_eq!(p620.log.len(), LOG_LINES);
        assert_eq!(p620.log[LOG_LINES - 2], "line 999");
        assert!(p620.log[LOG_LINES - 1].len() < 3 * LINE_CHARS);

        let mut end = failed("p620", Outcome::BuildFailed, StepName::Build, "it failed");
        if let Event::HostFinished(HostFinished { error: Some(error), .. }) = &mut end {
            error.output = (0..500).map(|n| format!("line {n}")).collect();
        }
        state.apply(&at(1_001, end));
        let kept = &state.finished().next().unwrap().error.as_ref().unwrap().output;
        assert_eq!((kept.len(), kept[OUTPUT_LINES - 1].as_str()), (OUTPUT_LINES, "line 499"));
    }

    #[test]
    fn a_failure_without_output_is_told_with_what_the_host_printed_last() {
        let mut end = failed("p620", Outcome::ActivateFailed, StepName::Activate, "it failed");
        if let Event::HostFinished(HostFinished { error: Some(error), .. }) = &mut end {
            error.output.clear();
        }
        let state = fold([log("p620", StepName::Activate, "mount: no such device"), end]);
        let error = state.finished().next().unwrap().error.as_ref().unwrap();
        assert_eq!(error.output, ["mount: no such device"]);
    }

    #[test]
    fn cancelling_only_escalates() {
        let state = fold([Event::Cancelling { forced: true }, Event::Cancelling { forced: false }]);
        assert_eq!(state.cancelling, Some(true));
    }
}
