//! A run as the commands that build and deploy have it in common: set up, shown, carried out, written down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::hooks::{Hooks, Told};
use super::hub::{Fleet, Hub, this_machine};
use super::metrics;
use super::passwords;
use super::plan;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::nix::{Source, StorePath, Validity, changed_files};
use crate::plan::{Doubt, Drift, Goal, Rule, Waves};
use crate::remote::{Connect, Elevation};
use crate::report::{Event, EventSender, HostFinished, Outcome, Reporter, Summary, Ui, exit_of};
use crate::run::{
    Builders, Context, Gate, HubCache, Job, LastSeen, Machines, OnChange, Places, Wants, execute, plan as find_out,
};
use crate::state::{Deployment, HostRecord, Sighting, State, StateDirs, StateError};

/// What a command wants done, beside what every run has.
pub(super) struct Wish {
    pub(super) command: &'static str,
    pub(super) goal: Goal,
    pub(super) rule: Rule,
    pub(super) waves: Waves,
    pub(super) hosts: Vec<Host>,
    pub(super) parallel: usize,
    pub(super) overruled: BTreeSet<Doubt>,
    pub(super) dry_run: bool,
    pub(super) wants: Wants,
    /// The cache that closures go by, if they do.
    pub(super) cache: Option<HubCache>,
    pub(super) kept: Kept,
}

/// What is written down of a run so that later ones can refer to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// How it is wanted, for whoever resumes it.
    pub(super) options: Option<String>,
    /// The deployment that it resumes or takes back.
    pub(super) follows: Option<String>,
}

/// Carries out what a command wants.
pub(super) async fn run(hub: &Hub, fleet: Fleet, wish: Wish) -> Result<Exit> {
    let ui = if wish.dry_run { hub.ui.without_events() } else { hub.ui.clone() };
    Ok(Box::pin(run_told(hub, fleet, wish, &ui)).await?.0)
}

/// As [`run`], as a part of another command: no event stands on stdout. Gives how each host ended as well.
pub(super) async fn run_within(hub: &Hub, fleet: Fleet, wish: Wish) -> Result<(Exit, Vec<HostFinished>)> {
    Box::pin(run_told(hub, fleet, wish, &hub.ui.without_events())).await
}

async fn run_told(hub: &Hub, fleet: Fleet, mut wish: Wish, ui: &Ui) -> Result<(Exit, Vec<HostFinished>)> {
    let connect = hub.connector(&fleet.config)?;
    let elevations = if wish.goal.needs_target() {
        hub.unless_stopped(passwords::elevations(hub, connect.as_ref(), &wish.hosts)).await?
    } else {
        BTreeMap::new()
    };
    let (state, dirs) = hub.state()?;
    let gcroots = Hub::gcroots(&dirs)?;
    let recorded = (wish.goal != Goal::Build && !wish.dry_run).then_some(state.as_ref());
    let begun = Instant::now();
    let started = Timestamp::now();
    let id = hub.run_id(&dirs).to_owned();
    let hooks = recorded.map(|_| Hooks::of(hub, &fleet, dirs.logs(&id), told(&id, &fleet, &wish)));
    if let Some(hooks) = &hooks {
        hooks.before().await?;
    }
    let (reporter, events) = Reporter::start(ui).map_err(|error| Error::new(Kind::Failed, error))?;

    let (dry_run, kept) = (wish.dry_run, std::mem::take(&mut wish.kept));
    let places = Places { logs: dirs.logs(&id), gcroots };
    let context = Arc::new(context(
        hub,
        &fleet,
        wish,
        Reaching { connect, elevations },
        places,
        (&state, &dirs, recorded.is_some()),
        &events,
    ));

    if dry_run {
        let planned = find_out(&context).await;
        reporter.finish().await;
        return Ok((plan::show(hub, &context.job.waves, &planned)?, Vec::new()));
    }

    let record = Record::begin(recorded, hub, &fleet, &context, kept, started).await;
    tell_begin(&context, recorded.map(|_| id));
    let finished = execute(&context, |ended| {
        record.host(ended);
        remember(&state, &fleet, &context, ended);
    })
    .await;
    let exit = exit_of(finished.iter().map(|ended| ended.outcome));
    record.end(exit);
    let summary = summary(&finished, exit, begun);
    if let Some(hooks) = &hooks {
        hooks.ended(&summary, exit, &events).await;
    }
    if recorded.is_some() {
        for message in metrics::publish(hub, &fleet.config, &state).await {
            events.emit(Event::Warning { host: None, message, hint: Some(metrics::HINT.to_owned()) });
        }
    }
    events.emit(Event::Summary(summary));
    reporter.finish().await;
    prune_logs(&dirs);
    Ok((exit, finished))
}

/// Tells what begins; its id where it is recorded.
fn tell_begin(context: &Context, deployment: Option<String>) {
    let job = &context.job;
    context.events.emit(Event::RunStarted {
        deployment,
        command: job.command.clone(),
        goal: job.goal.to_string(),
        hosts: job.hosts.iter().map(|host| host.name.clone()).collect(),
    });
    if let Some(source) = source_of(&context.wants) {
        let Source { url, path, rev, dirty, .. } = source.clone();
        context.events.emit(Event::Source { flake: url, path, rev, dirty });
    }
}

/// How a run gets to its hosts.
struct Reaching {
    connect: Arc<dyn Connect>,
    elevations: BTreeMap<HostName, Elevation>,
}

/// All that the hosts' parts of a run share.
fn context(
    hub: &Hub,
    fleet: &Fleet,
    wish: Wish,
    reaching: Reaching,
    places: Places,
    (state, dirs, recorded): (&Arc<State>, &StateDirs, bool),
    events: &EventSender,
) -> Context {
    let id = hub.run_id(dirs).to_owned();
    let expected = known_outputs(&wish);
    // Without them nothing speaks against a machine.
    let machines = Machines::known(state.machines_of(&fleet.flake_key()).unwrap_or_default());
    Context {
        job: Job {
            id,
            operator: operator(),
            command: wish.command.to_owned(),
            goal: wish.goal,
            rule: wish.rule,
            hosts: wish.hosts,
            waves: wish.waves,
            parallel: wish.parallel,
            overruled: wish.overruled,
        },
        nix: fleet.nix.clone(),
        validity: Validity::new(fleet.nix.clone()).expecting(expected),
        // Nothing is built in a dry run.
        substituters: fleet.substituters(!wish.dry_run),
        wants: wish.wants,
        fleet: fleet.hosts(),
        connect: reaching.connect,
        elevations: reaching.elevations,
        machines,
        this_machine: this_machine(),
        builders: Builders::default(),
        cache: wish.cache.map(Arc::new),
        places,
        gate: Gate::default(),
        seen: LastSeen::default(),
        on_change: noted(state, recorded.then(|| hub.run_id(dirs).to_owned())),
        runs: dirs.runs(),
        told: Arc::default(),
        events: events.clone(),
        cancel: hub.cancel.clone(),
    }
}

/// Writes down, for the run of this id, what each host has before it is changed.
fn noted(state: &Arc<State>, id: Option<String>) -> OnChange {
    let (Some(id), state) = (id, state.clone()) else { return OnChange::default() };
    OnChange::new(move |host, old, wanted| {
        if let Err(error) = state.host_begun(&id, host, old, wanted) {
            tracing::warn!(%error, %host, "what it runs is not on record before it ends");
        }
    })
}

/// What hosts that are only built are known to be, so that their outputs are looked for all at once.
fn known_outputs(wish: &Wish) -> Vec<StorePath> {
    let Wants::Flake(evaluator) = &wish.wants else { return Vec::new() };
    let hosts = wish.hosts.iter().filter(|_| wish.goal == Goal::Build);
    hosts.filter_map(|host| Some(evaluator.held(host.attribute())?.out)).collect()
}

/// The deployment as hooks are told of it.
fn told(id: &str, fleet: &Fleet, wish: &Wish) -> Told {
    let source = source_of(&wish.wants);
    Told {
        deployment: id.to_owned(),
        command: wish.command.to_owned(),
        goal: wish.goal.to_string(),
        operator: operator(),
        flake: fleet.flake_key(),
        rev: source.and_then(|source| source.rev.clone()),
        dirty: source.is_some_and(|source| source.dirty),
        hosts: wish.hosts.iter().map(|host| host.name.clone()).collect(),
        waves: wish.waves.waves.iter().map(|wave| wave.hosts.clone()).collect(),
    }
}

fn source_of(wants: &Wants) -> Option<&Source> {
    match wants {
        Wants::Flake(evaluator) => Some(evaluator.source()),
        Wants::Generation(_) | Wants::Earlier(_) | Wants::BootDefault => None,
    }
}

fn summary(finished: &[HostFinished], exit: Exit, begun: Instant) -> Summary {
    let mut counts = BTreeMap::new();
    for ended in finished {
        *counts.entry(ended.outcome.to_string()).or_default() += 1;
    }
    Summary {
        exit: exit.code(),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        counts,
        hosts: finished.iter().map(|ended| (ended.host.clone(), ended.outcome)).collect(),
    }
}

/// Writes a deployment down as it goes. A state database that fails is told once and never ends the run.
struct Record<'a> {
    state: Option<&'a State>,
    hub: &'a Hub,
    id: String,
}

impl<'a> Record<'a> {
    async fn begin(
        state: Option<&'a State>,
        hub: &'a Hub,
        fleet: &Fleet,
        context: &Context,
        kept: Kept,
        started: Timestamp,
    ) -> Self {
        let job = &context.job;
        let source = source_of(&context.wants);
        let wave = |host: &Host| job.waves.wave_of(&host.name).and_then(|wave| u64::try_from(wave + 1).ok());
        let record = Self { state, hub, id: job.id.clone() };
        let is_dirty = state.is_some() && source.is_some_and(|source| source.dirty);
        let dirty_files = if is_dirty { changed_files(&fleet.flake, &hub.cancel).await } else { Vec::new() };
        let deployment = Deployment {
            id: job.id.clone(),
            command: job.command.clone(),
            goal: job.goal.to_string(),
            flake: fleet.flake_key(),
            rev: source.and_then(|source| source.rev.clone()),
            dirty: source.is_some_and(|source| source.dirty),
            dirty_files,
            operator: job.operator.clone(),
            started,
            finished: None,
            exit: None,
            follows: kept.follows,
            options: kept.options,
            hosts: job
                .hosts
                .iter()
                .map(|host| (host.name.to_string(), HostRecord { wave: wave(host), ..HostRecord::default() }))
                .collect(),
        };
        record.write(|state| state.begin(&deployment));
        record
    }

    fn host(&self, ended: &HostFinished) {
        self.write(|state| state.host_finished(&self.id, ended));
    }

    fn end(&self, exit: Exit) {
        self.write(|state| state.finish(&self.id, exit.code(), Timestamp::now()));
    }

    fn write(&self, write: impl FnOnce(&State) -> Result<(), StateError>) {
        if let Some(Err(error)) = self.state.map(write) {
            self.hub.ui.warning(&format!("this deployment is not fully recorded: {error}"), None);
        }
    }
}

/// Remembers what later runs want to know of a host beside its record. Losing it loses a column of a table, an order, a doubt.
fn remember(state: &State, fleet: &Fleet, context: &Context, ended: &HostFinished) {
    let (flake, host) = (fleet.flake_key(), &ended.host);
    let note = |what: &str, written: Result<(), StateError>| {
        if let Err(error) = written {
            tracing::warn!(%error, %host, "{what} is not remembered");
        }
    };
    if let Some(system) = &ended.system {
        note("the system", state.remember_system(&flake, host, system));
    }
    if let Some(build_ms) = ended.build_ms {
        note("the time that it took to build", state.remember_build_time(&flake, host, build_ms));
    }
    if let Some(drift) = drift_after(context.job.goal, ended.outcome) {
        let sighting = Sighting {
            asked: Timestamp::now(),
            reachable: true,
            drift: Some(drift),
            failed_units: None,
            generation: ended.generation,
            store: None,
            boot: None,
        };
        note("what it runs", state.remember_sighting(&flake, host, &sighting));
    }
    if let Some(machine) = context
        .machines
        .accepted(host)
        .filter(|_| matches!(ended.outcome, Outcome::Degraded) || ended.outcome.is_success())
    {
        note("the machine", state.remember_machine(&flake, host, &machine, Timestamp::now()));
    }
}

/// How a host differs from the flake after it was deployed to, where its end tells that.
fn drift_after(goal: Goal, outcome: Outcome) -> Option<Drift> {
    match (goal, outcome) {
        (Goal::Switch, Outcome::Unchanged | Outcome::Deployed) => Some(Drift::None),
        (Goal::Switch, Outcome::RebootNeeded) => Some(Drift::RebootPending),
        _ => None,
    }
}

/// Who runs this, as `user@machine`.
pub(super) fn operator() -> String {
    let uid = rustix::process::getuid();
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|key| std::env::var(key).ok());
    let user = named.unwrap_or_else(|| if uid.is_root() { "root".to_owned() } else { uid.as_raw().to_string() });
    format!("{user}@{}", this_machine().unwrap_or_else(|| "unknown".to_owned()))
}

/// How many runs' logs are kept.
const LOGS_KEPT: usize = 200;

/// Removes the logs of all but the last runs. Their names sort by time.
fn prune_logs(dirs: &StateDirs) {
    let Ok(entries) = std::fs::read_dir(dirs.logs("")) else { return };
    let mut runs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    runs.sort_unstable();
    for old in runs.iter().rev().skip(LOGS_KEPT) {
        // Another hubctl may be at the same.
        let _ = std::fs::remove_dir_all(old);
    }
}
