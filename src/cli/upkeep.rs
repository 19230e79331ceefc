//! Making room on hosts, as several commands do it: what would go is shown, asked for, and then done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::confirm::confirm;
use super::hub::{Fleet, Hub, this_machine};
use super::job::operator;
use super::passwords;
use super::select::Parallel;
use super::upkeep_view as view;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName, KeepPolicy, Kind as HostKind, keep_since};
use crate::nix::StorePath;
use crate::process::{Cancel, Level};
use crate::remote::{Connect, Elevation, GarbageError, probe};
use crate::report::{Outcome, Output, StepName, exit_of};
use crate::run::{
    Access, HostLock, Made, Stop, Survey, Work, check_root, clear_remains, fan_out, make_room, reach, survey, target_of,
};
use crate::state::{Filter, Runs, State, StateError};

/// How many of a host's deployments are looked at for the last one of each flake.
const LOOKED_AT: u32 = 50;

/// Options of commands that make room.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct RoomOptions {
    /// Keeps so many of the newest generations, whatever hub.toml says.
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroUsize>,
    /// Keeps every generation that was made since, such as `14d`, whatever hub.toml says.
    #[arg(long, value_name = "AGE", value_parser = keep_since)]
    keep_since: Option<Duration>,
    #[command(flatten)]
    parallel: Parallel,
    /// Shows what would go, and what keeps each generation that stays, and does nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Does not ask.
    #[arg(long, short)]
    yes: bool,
}

impl RoomOptions {
    /// For what needs no question.
    pub(super) fn unasked(parallel: Parallel) -> Self {
        Self { keep: None, keep_since: None, parallel, dry_run: false, yes: true }
    }

    /// Which generations stay, where hub.toml says `general`.
    pub(super) fn policy(self, general: KeepPolicy) -> KeepPolicy {
        KeepPolicy {
            keep: self.keep.unwrap_or(general.keep),
            keep_since: self.keep_since.unwrap_or(general.keep_since),
        }
    }
}

/// What is to be done, and how the user wants it.
pub(super) struct Upkeep {
    pub(super) work: Work,
    /// Whether what killed runs of hubctl left on hosts is removed.
    pub(super) remains: bool,
    /// Links on this machine that are removed.
    pub(super) links: Vec<PathBuf>,
    pub(super) options: RoomOptions,
}

/// A host's part until it is done.
pub(super) struct Part {
    pub(super) host: Host,
    pub(super) access: Access,
    /// The systems that its last deployment promises.
    confirmed: BTreeSet<StorePath>,
    pub(super) survey: Survey,
}

/// What became of a host: what was known of it, and what was done or why not.
pub(super) struct Ended {
    pub(super) host: HostName,
    pub(super) survey: Option<Survey>,
    /// None where nothing was to be done.
    pub(super) made: std::result::Result<Option<Made>, Stop>,
}

/// All that the hosts' parts share.
struct Shared {
    connect: Arc<dyn Connect>,
    elevations: BTreeMap<HostName, Elevation>,
    state: Arc<State>,
    /// The flake as the state knows it.
    flake: String,
    runs: Runs,
    id: String,
    upkeep: Upkeep,
    cancel: Cancel,
}

pub(super) async fn run(hub: &Hub, fleet: &Fleet, hosts: Vec<Host>, upkeep: Upkeep) -> Result<Exit> {
    let connect: Arc<dyn Connect> = hub.connector(&fleet.config)?;
    let done = look_and_do(hub, fleet, connect.clone(), hosts, upkeep).await;
    connect.close().await;
    done
}

async fn look_and_do(
    hub: &Hub,
    fleet: &Fleet,
    connect: Arc<dyn Connect>,
    hosts: Vec<Host>,
    upkeep: Upkeep,
) -> Result<Exit> {
    let elevations = hub.unless_stopped(passwords::elevations(hub, connect.as_ref(), &hosts)).await?;
    let (state, dirs) = hub.state()?;
    let parallel = upkeep.options.parallel.by_default(&fleet.config);
    let (id, runs, cancel) = (hub.run_id(&dirs).to_owned(), dirs.runs(), hub.cancel.clone());
    let shared = Arc::new(Shared { connect, elevations, state, flake: fleet.flake_key(), runs, id, upkeep, cancel });
    let (parts, mut ended) = shared.look(hosts, parallel).await;
    hub.not_stopped()?;

    let Upkeep { options, links, .. } = &shared.upkeep;
    if hub.ui.output() != Output::Json {
        view::show_survey(hub, &parts, &ended, links, options.dry_run)?;
    }
    let is_idle = links.is_empty() && parts.iter().all(|part| shared.is_idle(part));
    if options.dry_run || is_idle {
        if is_idle && ended.is_empty() {
            hub.ui.status("there is nothing to remove");
        }
        ended.extend(parts.into_iter().map(Part::left));
    } else {
        shared.ask(hub, &parts).await?;
        fan_out(parts, parallel, |part| shared.clone().act(part), |one| ended.push(one)).await;
        for link in links {
            fs::remove_file(link).map_err(|error| {
                Error::message(Kind::Failed, format!("{} cannot be removed: {error}", link.display()))
            })?;
        }
    }
    ended.sort_by(|a, b| a.host.cmp(&b.host));
    view::show_end(hub, &ended, links)?;
    Ok(exit_of(ended.iter().map(|one| one.made.as_ref().map_or_else(|stop| stop.outcome, |_| Outcome::Unchanged))))
}

impl Part {
    /// The part's end where nothing is done.
    fn left(self) -> Ended {
        Ended { host: self.host.name, survey: Some(self.survey), made: Ok(None) }
    }
}

impl Shared {
    /// Finds out what would be done on each host, and tells apart those of which that is not known.
    async fn look(self: &Arc<Self>, hosts: Vec<Host>, parallel: usize) -> (Vec<Part>, Vec<Ended>) {
        let (mut parts, mut ended) = (Vec::new(), Vec::new());
        let work = |host: Host| {
            let shared = self.clone();
            async move { (host.name.clone(), shared.look_at(host).await) }
        };
        fan_out(hosts, parallel, work, |(host, looked)| match looked {
            Ok(part) => parts.push(part),
            Err(stop) => ended.push(Ended { host, survey: None, made: Err(stop) }),
        })
        .await;
        parts.sort_by(|a, b| a.host.name.cmp(&b.host.name));
        (parts, ended)
    }

    async fn look_at(&self, host: Host) -> std::result::Result<Part, Stop> {
        check_whole(&host)?;
        let target = target_of(&host, this_machine().as_deref());
        let plain = Elevation { how: host.elevate, password: None };
        let elevation = self.elevations.get(&host.name).cloned().unwrap_or(plain);
        let access = reach(self.connect.as_ref(), &target, elevation, host.kind.platform(), &self.cancel).await?;
        check_root(&host, &access).await?;
        check_idle(&access)?;
        let confirmed = confirmed(&self.state, &host.name).map_err(|error| refused(error.to_string()))?;
        let surveying = survey(&access, self.upkeep.work, &confirmed);
        let surveyed = self.cancel.unless(Level::Soft, surveying).await.ok_or_else(Stop::cancelled)?;
        let survey = surveyed.map_err(|error| failed(&error))?;
        Ok(Part { host, access, confirmed, survey })
    }

    /// Whether there is nothing to be done on a host.
    fn is_idle(&self, part: &Part) -> bool {
        let garbage = part.survey.garbage.is_some_and(|garbage| garbage.paths > 0);
        let remains = self.upkeep.remains && part.access.facts.remains;
        part.survey.going().is_empty() && !garbage && !remains && !self.upkeep.work.optimise
    }

    async fn ask(&self, hub: &Hub, parts: &[Part]) -> Result<()> {
        let work = self.upkeep.work;
        let removes = work.policy.is_some() || work.collect || !self.upkeep.links.is_empty();
        if self.upkeep.options.yes || !removes {
            return Ok(());
        }
        let busy: Vec<_> =
            parts.iter().filter(|part| !self.is_idle(part)).map(|part| part.host.name.as_str()).collect();
        let place = if busy.is_empty() { "here".to_owned() } else { format!("on {}", busy.join(", ")) };
        confirm(hub, &format!("Remove this {place}?")).await
    }

    async fn act(self: Arc<Self>, part: Part) -> Ended {
        if self.is_idle(&part) {
            return part.left();
        }
        let made = if self.cancel.is_requested() {
            Err(Stop::cancelled())
        } else {
            // What was begun comes to its end, unless the user is urgent: then it does so without anybody watching.
            self.cancel.unless(Level::Hard, self.do_it(&part)).await.unwrap_or_else(|| Err(Stop::cancelled()))
        };
        Ended { host: part.host.name, survey: Some(part.survey), made: made.map(Some) }
    }

    async fn do_it(&self, part: &Part) -> std::result::Result<Made, Stop> {
        let remote = &part.access.remote;
        let lock = HostLock::take(remote, &self.id, &operator(), &self.runs).await.map_err(refused)?;
        let made = self.under_lock(part).await;
        lock.release().await;
        if let Ok(made) = &made
            && let Err(error) =
                self.state.remember_removed(&self.flake, &part.host.name, &made.removed, Timestamp::now())
        {
            tracing::warn!(%error, host = %part.host.name, "what was removed is not remembered");
        }
        made
    }

    /// The host may have been deployed to while the user was asked.
    async fn under_lock(&self, part: &Part) -> std::result::Result<Made, Stop> {
        let remote = &part.access.remote;
        let facts = probe(remote).await.map_err(|error| Stop::not_probed(&error))?;
        let access = Access { facts, ..part.access.clone() };
        check_idle(&access)?;
        if self.upkeep.remains {
            clear_remains(remote, &self.runs).await;
        }
        let made = make_room(&access, self.upkeep.work, &part.confirmed, &part.survey.going()).await;
        made.map_err(|error| failed(&error))
    }
}

/// Declines homes: the store that they are in is their host's business.
fn check_whole(host: &Host) -> std::result::Result<(), Stop> {
    if host.kind != HostKind::Home {
        return Ok(());
    }
    let stop = refused(format!("{} is a home, and the store that it is in belongs to its host", host.name));
    Err(stop.hint(Some("name the host itself")))
}

/// Declines a host that is about to become another system.
fn check_idle(access: &Access) -> std::result::Result<(), Stop> {
    if access.facts.activating.is_none() {
        return Ok(());
    }
    let stop = refused("an activation is under way, or waits to be confirmed".to_owned());
    Err(stop.hint(Some("`hubctl status` tells when it is over")))
}

fn refused(message: String) -> Stop {
    Stop::failed(Outcome::Refused, StepName::Probe, message)
}

fn failed(error: &GarbageError) -> Stop {
    let hint = if let GarbageError::Run(error) = error { error.hint() } else { None };
    Stop::failed(Outcome::ActivateFailed, StepName::Activate, error).hint(hint)
}

/// The systems that the last deployment of each flake to `host` promises: what it left there, and what it can be taken back to.
pub(super) fn confirmed(state: &State, host: &HostName) -> std::result::Result<BTreeSet<StorePath>, StateError> {
    let changed = Outcome::ALL.into_iter().filter(|outcome| outcome.changed_host()).map(Some).collect();
    let filter =
        Filter { host: Some(host.clone()), outcomes: Some(changed), limit: Some(LOOKED_AT), ..Filter::default() };
    let (mut flakes, mut found) = (BTreeSet::new(), BTreeSet::new());
    for mut one in state.deployments(&filter)? {
        if flakes.insert(one.flake)
            && let Some(record) = one.hosts.remove(host.as_str())
        {
            found.extend(record.wanted.into_iter().chain(record.old));
        }
    }
    Ok(found)
}
