//! The course of a run: waves begin one after the other, and end it when too many hosts failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::context::Context;
use super::fan_out::fan_out;
use super::host::{HostPart, milliseconds};
use super::soak::look_again;
use crate::fleet::{Host, HostName, OnFailure};
use crate::plan::Waves;
use crate::process::Level;
use crate::report::{Event, Failed, HostFinished, Outcome, StepName};

/// How many of the hosts that failed a reason names.
const NAMED: usize = 4;

/// What conducts the waves of a run, and hears how each host's part ended.
pub(super) struct Course<'a, F> {
    context: &'a Arc<Context>,
    ends: UnboundedReceiver<HostFinished>,
    on_finished: F,
    /// The ends that were told.
    finished: Vec<HostFinished>,
    /// The ends of hosts that were changed, and of which it is not decided yet whether they stay so.
    held: BTreeMap<HostName, HostFinished>,
    /// How each host's part ended so far.
    outcomes: BTreeMap<HostName, Outcome>,
    /// Whether more ends may come.
    is_open: bool,
}

impl<'a, F: FnMut(&HostFinished)> Course<'a, F> {
    /// The course of a run whose parts' ends come by way of `ends`. `on_finished` hears of each, and once more of one that
    /// turned out otherwise.
    pub(super) fn new(context: &'a Arc<Context>, ends: UnboundedReceiver<HostFinished>, on_finished: F) -> Self {
        let (finished, held, outcomes) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { context, ends, on_finished, finished, held, outcomes, is_open: true }
    }

    /// Goes through the waves, and gives how each host ended.
    pub(super) async fn run(mut self) -> Vec<HostFinished> {
        let mut stopped = None;
        for number in 0..self.waves().waves.len() {
            self.begin(number);
            self.wait_for(number).await;
            self.soak(number).await;
            if self.context.cancel.is_requested() {
                break;
            }
            stopped = self.stops_after(number);
            self.end(number, stopped.is_some());
            if let Some(reason) = &stopped {
                self.context.gate.stop(reason);
                break;
            }
            self.release(number);
        }
        while self.take_next().await {}
        if let Some(reason) = stopped.filter(|_| self.waves().policy.on_failure == OnFailure::RollBack) {
            self.roll_back(&reason).await;
        }
        for end in std::mem::take(&mut self.held).into_values() {
            self.tell(end);
        }
        self.finished
    }

    fn waves(&self) -> &'a Waves {
        &self.context.job.waves
    }

    fn begin(&self, number: usize) {
        let waves = self.waves();
        if !waves.is_single() {
            let wave = &waves.waves[number];
            let (hosts, reason) = (wave.hosts.clone(), wave.reason.to_string());
            self.context.events.emit(Event::WaveStarted { wave: number + 1, of: waves.waves.len(), hosts, reason });
        }
        self.context.gate.begin(number);
    }

    fn end(&self, number: usize, stops: bool) {
        let waves = self.waves();
        if !waves.is_single() {
            let hosts = &waves.waves[number].hosts;
            let failed =
                hosts.iter().filter(|host| self.outcomes.get(host).copied().is_some_and(fails)).cloned().collect();
            self.context.events.emit(Event::WaveFinished { wave: number + 1, of: waves.waves.len(), failed, stops });
        }
    }

    /// Hears of parts that ended until all of this wave have.
    async fn wait_for(&mut self, number: usize) {
        let hosts = &self.waves().waves[number].hosts;
        while hosts.iter().any(|host| !self.outcomes.contains_key(host)) && self.take_next().await {}
    }

    async fn take_next(&mut self) -> bool {
        let Some(ended) = self.ends.recv().await else {
            self.is_open = false;
            return false;
        };
        self.take(ended);
        true
    }

    fn take(&mut self, ended: HostFinished) {
        self.outcomes.insert(ended.host.clone(), ended.outcome);
        let soaks = self.waves().wave_of(&ended.host).is_some_and(|wave| self.context.job.soaks(wave));
        let may_go_back = self.waves().policy.on_failure == OnFailure::RollBack;
        if ended.outcome.changed_host() && (soaks || may_go_back) {
            (self.on_finished)(&ended);
            self.held.insert(ended.host.clone(), ended);
        } else {
            self.tell(ended);
        }
    }

    /// Tells how a host ended, for good.
    fn tell(&mut self, ended: HostFinished) {
        (self.on_finished)(&ended);
        self.context.events.emit(Event::HostFinished(ended.clone()));
        self.finished.push(ended);
    }

    /// Tells of the hosts of this wave, unless what becomes of them hangs on later ones.
    fn release(&mut self, number: usize) {
        if self.waves().policy.on_failure == OnFailure::Keep {
            for host in &self.waves().waves[number].hosts {
                if let Some(end) = self.held.remove(host) {
                    self.tell(end);
                }
            }
        }
    }

    /// Why no wave may follow this one, if none may.
    fn stops_after(&self, number: usize) -> Option<String> {
        let waves = self.waves();
        let begun = waves.waves[..=number].iter().flat_map(|wave| &wave.hosts);
        let failed: Vec<_> = begun
            .filter_map(|host| Some((host, *self.outcomes.get(host)?)))
            .filter(|(_, outcome)| fails(*outcome))
            .collect();
        if failed.len() <= waves.policy.max_failures {
            return None;
        }
        let named = failed.iter().take(NAMED).map(|(host, outcome)| format!("{host} ({outcome})"));
        let more = failed.len().checked_sub(NAMED).filter(|more| *more > 0).map(|more| format!("{more} more"));
        let all: Vec<_> = named.chain(more).collect();
        let place =
            if waves.is_single() { String::new() } else { format!(" by wave {} of {}", number + 1, waves.waves.len()) };
        Some(format!("{} failed{place}", all.join(", ")))
    }

    /// Leaves the hosts of this wave that were changed to themselves for a while, and looks whether they are still well.
    async fn soak(&mut self, number: usize) {
        let waves = self.waves();
        let later: Vec<_> = waves.waves[number + 1..].iter().flat_map(|wave| &wave.hosts).collect();
        let is_awaited = later.iter().any(|host| !self.outcomes.contains_key(host));
        let changed: BTreeSet<_> =
            waves.waves[number].hosts.iter().filter(|host| self.held.contains_key(host)).collect();
        // Where nothing follows there is nothing to keep from others.
        if !self.context.job.soaks(number) || changed.is_empty() || !is_awaited {
            return;
        }
        let hosts: Vec<Host> =
            self.context.job.hosts.iter().filter(|host| changed.contains(&host.name)).cloned().collect();
        for host in &hosts {
            self.context.events.emit(Event::StepStarted { host: host.name.clone(), step: StepName::Soak });
        }
        let (context, begun) = (self.context.clone(), std::time::Instant::now());
        let (soak, asked) = (waves.policy.soak, hosts.clone());
        let looking = context.cancel.unless(Level::Soft, async {
            tokio::time::sleep(soak).await;
            look_again(&context, asked).await
        });
        tokio::pin!(looking);
        let findings = loop {
            tokio::select! {
                findings = &mut looking => break findings.unwrap_or_default(),
                ended = self.ends.recv(), if self.is_open => match ended {
                    Some(ended) => self.take(ended),
                    None => self.is_open = false,
                },
            }
        };
        let duration_ms = milliseconds(begun.elapsed());
        for host in &hosts {
            self.context.events.emit(Event::StepFinished {
                host: host.name.clone(),
                step: StepName::Soak,
                duration_ms,
            });
        }
        for (host, (outcome, why)) in findings {
            self.fell_ill(&host, outcome, &why, duration_ms);
        }
    }

    /// A host that was well when it was deployed is not any more.
    fn fell_ill(&mut self, host: &HostName, outcome: Outcome, why: &str, after_ms: u64) {
        let Some(end) = self.held.get_mut(host) else { return };
        end.outcome = outcome;
        end.detail = None;
        end.duration_ms += after_ms;
        end.error = Some(failed(StepName::Soak, format!("it was deployed, and since then {why}")));
        self.outcomes.insert(host.clone(), outcome);
    }

    /// Brings the hosts that this run changed back to the systems that they ran before.
    async fn roll_back(&mut self, reason: &str) {
        let part = |host: &Host| HostPart::back(self.context.clone(), host.clone(), self.held.get(&host.name)?);
        let parts: Vec<_> = self.context.job.hosts.iter().filter_map(part).collect();
        let mut ends = Vec::new();
        fan_out(parts, self.context.job.parallel, HostPart::run, |end: HostFinished| ends.push(end)).await;
        for end in ends {
            let Some(first) = self.held.remove(&end.host) else { continue };
            let (told, warning) = after_going_back(first, end, reason);
            if let Some(message) = warning {
                self.context.events.emit(Event::Warning { host: Some(told.host.clone()), message, hint: None });
            }
            self.tell(told);
        }
    }
}

/// Whether a host that ended so counts against `max-failures`. A host that is live with failed units has been judged by the
/// policy for those; what was never tried has not failed.
fn fails(outcome: Outcome) -> bool {
    !outcome.is_success() && !matches!(outcome, Outcome::Degraded | Outcome::Skipped | Outcome::Cancelled)
}

fn failed(step: StepName, message: String) -> Failed {
    Failed { step, message, command: None, output: Vec::new(), hints: Vec::new(), log: None }
}

/// How a host ended that was changed and then brought back, and what is to be said of that beside. One that could not be
/// brought back is what it was.
fn after_going_back(first: HostFinished, back: HostFinished, reason: &str) -> (HostFinished, Option<String>) {
    let duration_ms = first.duration_ms + back.duration_ms;
    match back.outcome {
        Outcome::Deployed | Outcome::Unchanged | Outcome::Degraded | Outcome::RebootNeeded => {
            let message = format!("it was brought back to the system that it ran before, since {reason}");
            let error = Some(failed(StepName::Activate, message));
            let generation = back.generation.or(first.generation);
            (HostFinished { outcome: Outcome::RolledBack, detail: None, duration_ms, generation, error, ..first }, None)
        }
        Outcome::Unknown => (HostFinished { duration_ms, wanted: first.wanted, old: first.old, ..back }, None),
        _ => {
            let why = back.error.map_or_else(|| back.outcome.to_string(), |error| error.message);
            (
                HostFinished { duration_ms, ..first },
                Some(format!("it could not be brought back, and keeps its new system: {why}")),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn end(outcome: Outcome, message: Option<&str>) -> HostFinished {
        let error = message.map(|message| failed(StepName::Activate, message.to_owned()));
        HostFinished { error, ..samples::end("p620", outcome, 5, None) }
    }

    #[test]
    fn a_host_that_was_brought_back_says_why() {
        let (told, warning) =
            after_going_back(end(Outcome::Deployed, None), end(Outcome::Deployed, None), "p510 failed");
        assert_eq!((told.outcome, told.duration_ms, warning), (Outcome::RolledBack, 10, None));
        let message = told.error.unwrap().message;
        assert_eq!(message, "it was brought back to the system that it ran before, since p510 failed");
    }

    #[test]
    fn a_host_that_could_not_be_brought_back_is_what_it_was() {
        let back = end(Outcome::Refused, Some("no generation has it"));
        let (told, warning) = after_going_back(end(Outcome::Degraded, Some("web failed")), back, "p510 failed");
        assert_eq!(told.outcome, Outcome::Degraded);
        assert!(warning.unwrap().ends_with("no generation has it"));
        let (told, _) = after_going_back(end(Outcome::Deployed, None), end(Outcome::Unknown, Some("lost")), "x");
        assert_eq!(told.outcome, Outcome::Unknown);
    }

    #[test]
    fn what_is_live_or_was_not_tried_has_not_failed() {
        for outcome in [Outcome::Degraded, Outcome::Skipped, Outcome::Cancelled, Outcome::Unchanged, Outcome::Deployed]
        {
            assert!(!fails(outcome), "{outcome}");
        }
        for outcome in
            [Outcome::Unhealthy, Outcome::RolledBack, Outcome::Unreachable, Outcome::Refused, Outcome::Unknown]
        {
            assert!(fails(outcome), "{outcome}");
        }
    }
}
