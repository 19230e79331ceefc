//! One host's part of a run, from the first question to the last look.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::activate::activate_host;
use super::build::{BuildPlace, Built, build_host};
use super::cache::push_only;
use super::context::{Context, Restore, Wants};
use super::copy::copy_to_host;
use super::gate::meanwhile;
use super::lock::{HostLock, beside};
use super::log::HostLog;
use super::prepare::{Origin, Prepared, evaluate_host, prepare};
use super::reboot::reboot_host;
use super::space::check_space;
use super::specialisation::specialised;
use super::stop::Stop;
use super::told::Told;
use crate::evaluate::{Answer, Whence};
use crate::fleet::{BuildOn, Host, HostName};
use crate::nix::{BuildState, Fetching, GcRoot, LogLine, StorePath};
use crate::plan::{Action, Decision, Goal, Trial};
use crate::process::Level;
use crate::remote::Standing;
use crate::report::{Event, EventSender, HostFinished, Outcome, StepName};

/// Progress is told at most so often.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// What `--dry-run` says of a host.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The host.
    pub host: HostName,
    /// The number of its wave, from 0 on.
    pub wave: usize,
    /// What it runs.
    pub old: Option<StorePath>,
    /// What the flake wants.
    pub wanted: Option<StorePath>,
    /// What would be done, step by step, or why that cannot be said.
    pub decision: Result<(Decision, Vec<StepName>), Stop>,
}

/// A host's part while it goes on: what is known so far, its log, and how it tells what happens.
pub struct HostPart {
    pub(super) context: Arc<Context>,
    pub(super) host: Host,
    /// Where its system comes from: that of the run, unless this part takes the run back.
    pub(super) wants: Wants,
    /// Tells its activations from those of the host's other part.
    pub(super) suffix: &'static str,
    /// The number of the wave that it waits for, from 0 on.
    wave: Option<usize>,
    pub(super) log: HostLog,
    pub(super) old: Option<StorePath>,
    pub(super) wanted: Option<StorePath>,
    pub(super) system: Option<String>,
    pub(super) generation: Option<u64>,
    pub(super) build_ms: Option<u64>,
    /// The secrets that its new system lacks, once that was looked for.
    pub(super) missing_secrets: Vec<String>,
    /// The host's lock, while it is ours.
    pub(super) lock: Option<HostLock>,
    begun: Instant,
}

/// How a host's part tells what happens.
#[derive(Clone)]
pub(super) struct HostEvents {
    host: HostName,
    sender: EventSender,
    told: Arc<Told>,
}

/// A host that is locked, with what was built for it and where; none where it has that itself.
struct Ready {
    built: Option<(BuildPlace, Built)>,
}

/// How a host's part reached its end.
pub(super) struct Reached {
    pub(super) outcome: Outcome,
    pub(super) detail: Option<String>,
}

impl HostPart {
    pub(super) fn new(context: Arc<Context>, host: Host) -> Self {
        let log = HostLog::new(&context.places.logs, &host.name);
        let (old, wanted, system, generation, build_ms) = (None, None, None, None, None);
        let (wants, wave) = (context.wants.clone(), context.job.waves.wave_of(&host.name));
        let (lock, begun) = (None, Instant::now());
        Self {
            context,
            host,
            wants,
            suffix: "",
            wave,
            log,
            old,
            wanted,
            system,
            generation,
            build_ms,
            missing_secrets: Vec::new(),
            lock,
            begun,
        }
    }

    /// The part that brings a host back to what it ran before its first part, which ended as `end` says. None where it ran
    /// nothing that is known, or the same system.
    pub(super) fn back(context: Arc<Context>, host: Host, end: &HostFinished) -> Option<Self> {
        let toplevel = end.old.clone().filter(|old| Some(old) != end.wanted.as_ref())?;
        let restore = Restore { toplevel, instead_of: end.wanted.clone() };
        let wants = Wants::Earlier(Arc::new(BTreeMap::from([(host.name.clone(), restore)])));
        Some(Self { wants, suffix: "-back", wave: None, ..Self::new(context, host) })
    }

    /// The two sides that a step tells things to, so that it may do so while the part itself is in use.
    pub(super) fn split(&mut self) -> (HostEvents, &mut HostLog) {
        (self.events(), &mut self.log)
    }

    pub(super) fn events(&self) -> HostEvents {
        let (sender, told) = (self.context.events.clone(), self.context.told.clone());
        HostEvents { host: self.host.name.clone(), sender, told }
    }

    /// A root for the closure that this host's part works with.
    pub(super) fn gc_root(&self) -> std::io::Result<GcRoot> {
        let directory = &self.context.places.gcroots;
        std::fs::create_dir_all(directory)?;
        Ok(GcRoot::at(directory.join(format!("{}-{}", self.context.job.id, self.host.name))))
    }

    /// Carries out the whole part.
    pub(super) async fn run(mut self) -> HostFinished {
        let ended = match self.stop_if_asked() {
            Err(stop) => Err(stop),
            Ok(()) if self.context.job.goal.needs_target() => Box::pin(self.deploy()).await,
            Ok(()) => self.build_only().await,
        };
        self.unlock(&ended).await;
        self.finished(ended)
    }

    /// Finds out what would be done, and does nothing.
    pub(super) async fn plan(mut self) -> Planned {
        let prepared = prepare(&mut self).await;
        let decision = prepared.map(|prepared| (prepared.decision.clone(), self.steps(&prepared)));
        let wave = self.wave.unwrap_or_default();
        Planned { host: self.host.name, wave, old: self.old, wanted: self.wanted, decision }
    }

    async fn build_only(&mut self) -> Result<Reached, Stop> {
        let (context, host) = (self.context.clone(), self.host.clone());
        let (events, log) = self.split();
        let Wants::Flake(evaluator) = &context.wants else {
            return Err(Stop::failed(Outcome::BuildFailed, StepName::Build, "a generation is built already"));
        };
        let mut on_line = |line: &str| log.line(StepName::Evaluate, line);
        let evaluating = evaluate_host(&context, evaluator, &host, &mut on_line);
        let evaluation = events.evaluated(events.step(StepName::Evaluate, evaluating).await?);
        self.wanted = Some(evaluation.out.clone());
        self.system = Some(evaluation.system.clone());
        // Where it is to be built elsewhere, having it here says nothing.
        let is_here = self.host.build_on == BuildOn::Here;
        if is_here && context.validity.of(&evaluation.out, &context.cancel).await {
            push_only(self, &BuildPlace::Here, &evaluation.out).await?;
        } else {
            let place = BuildPlace::of(self, None).await?;
            let _built = build_host(self, &place, &evaluation).await?;
            push_only(self, &place, &evaluation.out).await?;
        }
        Ok(Reached { outcome: Outcome::Built, detail: Some(evaluation.out.to_string()) })
    }

    async fn deploy(&mut self) -> Result<Reached, Stop> {
        let events = self.events();
        let mut prepared = prepare(self).await?;
        loop {
            let reason = prepared.decision.reason.to_string();
            events.decided(self.steps(&prepared), reason.clone());
            self.context.tidy(&prepared.access, &events).await;
            let changed = match &prepared.decision.action {
                Action::Nothing => return Ok(Reached { outcome: Outcome::Unchanged, detail: None }),
                Action::AwaitReboot => return Ok(Reached { outcome: Outcome::RebootNeeded, detail: Some(reason) }),
                Action::Activate { verb, set_profile } => self.change(&prepared, *verb, *set_profile).await?,
                Action::Reboot(trial) => self.boot(&prepared, trial).await?,
            };
            if let Some(reached) = changed {
                return Ok(reached);
            }
            events.warning("the host was deployed to or booted meanwhile: what is left to do is decided anew", None);
            prepared = prepare(self).await?;
        }
    }

    /// The steps that are left to do, in order.
    fn steps(&self, prepared: &Prepared) -> Vec<StepName> {
        let mut steps = prepared.steps(&self.host, self.context.cache.is_some());
        if !steps.is_empty() && self.wave.is_some_and(|wave| self.context.job.soaks(wave)) {
            steps.push(StepName::Soak);
        }
        steps
    }

    /// Does what was decided; none where the host is not any more as it was then.
    async fn change(&mut self, prepared: &Prepared, verb: Goal, set_profile: bool) -> Result<Option<Reached>, Stop> {
        if self.host.build_on == BuildOn::Target {
            // It is at work with that itself.
            self.context.turn(self.wave).await?;
        }
        let Some(Ready { built }) = self.lock_and_build(prepared).await? else { return Ok(None) };
        if let Some((place, _)) = &built {
            self.stop_if_asked()?;
            check_space(self, place, prepared, verb).await?;
            copy_to_host(self, place, prepared).await?;
            self.stop_if_asked()?;
        }
        let prepared = specialised(self, prepared).await?;
        self.tell_change();
        let reached = Box::pin(activate_host(self, &prepared, verb, set_profile)).await;
        // Until the host itself holds the system, this machine must not collect it.
        drop(built);
        reached.map(Some)
    }

    /// Boots the host; none where it is not any more as it was when that was decided.
    async fn boot(&mut self, prepared: &Prepared, trial: &Trial) -> Result<Option<Reached>, Stop> {
        let Some(Ready { .. }) = self.lock_and_build(prepared).await? else { return Ok(None) };
        self.stop_if_asked()?;
        self.tell_change();
        reboot_host(self, prepared, trial).await.map(Some)
    }

    /// Tells what the host has and is to have. Going back from that is no change of its own.
    fn tell_change(&self) {
        if let (Some(old), Some(wanted), "") = (&self.old, &self.wanted, self.suffix) {
            self.context.on_change.tell(&self.host.name, old, wanted);
        }
    }

    /// Waits for the host's wave, takes its lock, unless it is ours already, and builds meanwhile: the lock costs no time. None
    /// where the host turns out not to be any more as it was when this was decided.
    async fn lock_and_build(&mut self, prepared: &Prepared) -> Result<Option<Ready>, Stop> {
        let (context, host, events, wave) = (self.context.clone(), self.host.clone(), self.events(), self.wave);
        let (held, decided) = (self.lock.take(), prepared.access.facts.standing());
        let building = meanwhile(context.turn(wave), self.build(prepared)).await?;
        let locking = async {
            if let Some(lock) = held {
                return Ok((lock, decided.clone()));
            }
            let locking = context.lock(&host, &prepared.access, &events);
            context.cancel.unless(Level::Hard, locking).await.unwrap_or_else(|| Err(Stop::cancelled()))
        };
        let is_as_decided = |(_, standing): &(HostLock, Standing)| *standing == decided;
        let (locked, built) = beside(locking, is_as_decided, Box::pin(building)).await;
        let (lock, standing) = match (locked, built) {
            (Ok((lock, standing)), Some(built)) if standing == decided => {
                self.lock = Some(lock);
                return Ok(Some(Ready { built: built? }));
            }
            (Ok(locked), _) => locked,
            (Err(_), Some(Err(stop))) | (Err(stop), _) => return Err(stop),
        };
        self.lock = Some(lock);
        tracing::debug!(?standing, ?decided, host = %self.host.name, "the host is not as it was");
        Ok(None)
    }

    /// Builds what the host is to run, where that is not one of its own generations.
    async fn build(&mut self, prepared: &Prepared) -> Result<Option<(BuildPlace, Built)>, Stop> {
        let Origin::Flake(evaluation) = &prepared.wanted.origin else { return Ok(None) };
        let place = BuildPlace::of(self, Some(&prepared.access)).await?;
        let built = build_host(self, &place, evaluation).await?;
        Ok(Some((place, built)))
    }

    /// Ends the part when the user stops the run, or when its wave will not begin.
    pub(super) fn stop_if_asked(&self) -> Result<(), Stop> {
        if self.context.cancel.is_requested() {
            return Err(Stop::cancelled());
        }
        self.wave.map_or(Ok(()), |wave| self.context.gate.check(wave))
    }

    fn finished(mut self, ended: Result<Reached, Stop>) -> HostFinished {
        let log = self.log.path();
        let (outcome, detail, mut error) = match ended {
            Ok(reached) => (reached.outcome, reached.detail, None),
            Err(stop) => (stop.outcome, stop.detail, stop.failed.map(|failed| *failed)),
        };
        if let Some(error) = &mut error {
            error.log = log;
        }
        HostFinished {
            host: self.host.name,
            outcome,
            duration_ms: milliseconds(self.begun.elapsed()),
            detail,
            old: self.old,
            wanted: self.wanted,
            system: self.system,
            generation: self.generation,
            build_ms: self.build_ms,
            error,
        }
    }
}

impl HostEvents {
    /// Runs a step, telling its begin and its end.
    pub(super) async fn step<T>(&self, step: StepName, work: impl Future<Output = T>) -> T {
        self.sender.emit(Event::StepStarted { host: self.host.clone(), step });
        let begun = Instant::now();
        let result = work.await;
        let duration_ms = milliseconds(begun.elapsed());
        self.sender.emit(Event::StepFinished { host: self.host.clone(), step, duration_ms });
        result
    }

    /// Tells how what the host is to run was come by, and gives it.
    pub(super) fn evaluated<T>(&self, answer: Answer<T>) -> T {
        let (cached, reason) = (answer.whence == Whence::Kept, answer.whence.to_string());
        self.sender.emit(Event::Evaluated { host: self.host.clone(), cached, reason });
        answer.value
    }

    pub(super) fn decided(&self, steps: Vec<StepName>, reason: String) {
        self.sender.emit(Event::Decided { host: self.host.clone(), steps, reason });
    }

    pub(super) fn log(&self, step: StepName, line: &str) {
        self.sender.emit(Event::Log { host: self.host.clone(), step, line: line.to_owned() });
    }

    pub(super) fn warning(&self, message: impl Into<String>, hint: Option<&str>) {
        let (message, hint) = (message.into(), hint.map(str::to_owned));
        self.sender.emit(Event::Warning { host: Some(self.host.clone()), message, hint });
    }

    /// Tells, once for each server, what a log in which nobody looks would hide: why it takes so long. Copying is the host's own
    /// doing, which asks servers of its own.
    fn tell_complaint(&self, step: StepName, said: &LogLine) {
        let host = (step == StepName::Copy).then(|| self.host.clone());
        if let (LogLine::Message(text), Some(server)) = (said, said.complains_of()) {
            // This machine and each host have troubles of their own with a server.
            let trouble = host.as_ref().map_or_else(|| format!("here: {server}"), |host| format!("{host}: {server}"));
            self.told.once(&trouble, || {
                let message = format!("Nix has trouble with {server}: {}", text.trim());
                self.sender.emit(Event::Warning { host, message, hint: None });
            });
        }
    }

    /// A consumer of Nix's log that tells its lines and, now and then, how far it is.
    pub(super) fn nix_log<'a>(
        &'a self,
        step: StepName,
        log: &'a mut HostLog,
    ) -> impl FnMut(&BuildState, Option<&LogLine>) + Send + 'a {
        let mut told = Instant::now();
        move |state, said| {
            if let Some(said) = said {
                self.tell_complaint(step, said);
                self.nix_said(step, said, log);
            }
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                let (done, running, expected) = state.progress();
                let (current, builder) = state.current().unzip();
                let (current, builder) = (current.map(str::to_owned), builder.flatten().map(str::to_owned));
                let host = self.host.clone();
                self.sender.emit(Event::Progress { host, step, done, running, expected, current, builder });
            }
        }
    }

    fn nix_said(&self, step: StepName, said: &LogLine, log: &mut HostLog) {
        let line = match said {
            LogLine::Begun { name, builder } => {
                let (host, name) = (self.host.clone(), name.clone());
                log.line(step, &format!("building {name} {}", place(builder.as_deref())));
                self.sender.emit(Event::Building { host, name, builder: builder.clone() });
                return;
            }
            LogLine::Build { name, line } => format!("{name}> {line}"),
            LogLine::NoBuilder { builder, why } => {
                self.told.once(builder, || {
                    self.warning_of_all(
                        format!("the remote builder {builder} cannot be used: {why}"),
                        Some("Nix asks it as root where it has a daemon, with root's ssh configuration, keys and known hosts"),
                    );
                });
                format!("cannot build on {builder}: {why}")
            }
            LogLine::BuildersIgnored(text) => {
                self.told.once("builders", || {
                    self.warning_of_all(
                        "this machine's Nix does not take --builders from this user",
                        Some("add the user to `trusted-users` in its nix.conf, or set `builders` there"),
                    );
                });
                text.clone()
            }
            LogLine::Message(text) => text.clone(),
        };
        for line in line.lines() {
            log.line(step, line);
            self.log(step, line);
        }
    }

    /// Warns of something that concerns no host more than others.
    pub(super) fn warning_of_all(&self, message: impl Into<String>, hint: Option<&str>) {
        let (message, hint) = (message.into(), hint.map(str::to_owned));
        self.sender.emit(Event::Warning { host: None, message, hint });
    }

    /// Tells how far the host is with what it fetches.
    pub(super) fn fetching(&self, fetching: &Fetching) {
        let (done, running, expected) = fetching.progress();
        let (host, current) = (self.host.clone(), fetching.current().map(str::to_owned));
        let step = StepName::Copy;
        self.sender.emit(Event::Progress { host, step, done, running, expected, current, builder: None });
    }
}

/// Where a derivation is built, for a log.
fn place(builder: Option<&str>) -> String {
    builder.map_or_else(|| "here".to_owned(), |builder| format!("on {builder}"))
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
