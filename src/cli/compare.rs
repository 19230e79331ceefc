//! What differs between two systems of a host, or of two: found where the systems are, and told by commands that only show it and by
//! those that ask before they change anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OnceCell;

use super::hub::{Fleet, Hub, this_machine};
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::fleet::{BuildOn, Host, HostName};
use crate::nix::{Closure, CopySource, Evaluation, GcRoot, Nix, Silent, StorePath, Substituters, build, copy};
use crate::plan::{Changes, Sought, changes, too_full};
use crate::process::{Cancel, Level, shell_quote};
use crate::remote::{
    Connect, DryActivation, Elevation, LocalConnection, Remote, System, UnitChanges, dry_activate, generations, system,
};
use crate::report::Ui;
use crate::run::{Access, Stop, build_away, fan_out, reach, target_of};

/// How many hosts are compared at once.
const AT_ONCE: usize = 8;

/// One of the systems that are compared.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// What the host runs.
    Running,
    /// A generation of the host's profile.
    Generation(u64),
    /// What a source of the flake wants for the host.
    Flake(Arc<Evaluator>),
}

/// Whether hosts are asked what becomes of their units.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AskUnits {
    /// They are, where they have the new system already.
    IfThere,
    /// The new system is copied to them first.
    Copied,
}

/// What differs, or why that is not known.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Compared {
    /// The host, or both of them.
    pub(super) host: String,
    pub(super) old: Option<StorePath>,
    pub(super) new: Option<StorePath>,
    #[serde(flatten)]
    pub(super) changes: Option<Changes>,
    /// What of it could not be found out, and what helps.
    pub(super) notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// What comparing needs.
pub(super) struct Comparer {
    ui: Ui,
    nix: Nix,
    substituters: Substituters,
    connect: Arc<dyn Connect>,
    elevations: BTreeMap<HostName, Elevation>,
    /// All hosts, for those that build for others.
    hosts: BTreeMap<HostName, Host>,
    ask_units: AskUnits,
    gcroots: PathBuf,
    id: String,
    cancel: Cancel,
}

/// Why something is not known, for a person.
type Known<T> = std::result::Result<T, String>;

/// A system, and where it is or can be made.
struct Found {
    path: StorePath,
    place: Place,
}

enum Place {
    /// Where it is built. The name of the specialisation that is to run.
    Wanted(Box<Evaluation>, Option<String>),
    /// The host's store.
    There(Box<Access>),
}

/// A system that was looked at. What keeps it from being collected goes with this value.
struct Seen {
    path: StorePath,
    system: System,
    /// The machine that has it, where that is neither this one nor the host that was asked.
    builder: Option<Access>,
    _root: Option<GcRoot>,
}

impl Compared {
    /// Whether anything differs, as far as that is known.
    pub(super) fn differs(&self) -> bool {
        self.error.is_none() && self.old != self.new
    }
}

impl Comparer {
    /// With passwords for hosts that want one, `elevations`; where it has none, a host that wants one tells nothing of its units.
    pub(super) fn new(
        hub: &Hub,
        fleet: &Fleet,
        ask_units: AskUnits,
        elevations: BTreeMap<HostName, Elevation>,
    ) -> Result<Self> {
        let (_, dirs) = hub.state()?;
        Ok(Self {
            id: hub.run_id(&dirs).to_owned(),
            ui: hub.ui.clone(),
            nix: fleet.nix.clone(),
            substituters: fleet.substituters(true),
            connect: hub.connector(&fleet.config)?,
            elevations,
            hosts: fleet.hosts(),
            ask_units,
            gcroots: Hub::gcroots(&dirs)?,
            cancel: hub.cancel.clone(),
        })
    }

    /// Compares two systems of each host, all at once and in the order of their names.
    pub(super) async fn all(self: &Arc<Self>, hosts: Vec<Host>, old: &Side, new: &Side) -> Vec<Compared> {
        let mut found = Vec::new();
        let work = |host: Host| {
            let (comparer, old, new) = (self.clone(), old.clone(), new.clone());
            async move { comparer.one(&host, &old, &new).await }
        };
        fan_out(hosts, AT_ONCE, work, |one: Compared| found.push(one)).await;
        found.sort_by(|a, b| a.host.cmp(&b.host));
        found
    }

    async fn one(&self, host: &Host, old: &Side, new: &Side) -> Compared {
        self.compare(host.name.to_string(), (host, old), (host, new)).await
    }

    /// Compares what a source of the flake wants for two hosts.
    pub(super) async fn between(&self, old: &Host, new: &Host, side: &Side) -> Compared {
        self.compare(format!("{} → {}", old.name, new.name), (old, side), (new, side)).await
    }

    /// Ends the connections that are not to be kept.
    pub(super) async fn close(&self) {
        self.connect.close().await;
    }

    async fn compare(&self, name: String, old: (&Host, &Side), new: (&Host, &Side)) -> Compared {
        let mut compared = Compared { host: name, old: None, new: None, changes: None, notes: Vec::new(), error: None };
        let filling = Box::pin(self.fill(&mut compared, old, new));
        let comparing = self.cancel.unless(Level::Soft, filling);
        if let Err(error) = comparing.await.unwrap_or_else(|| Err("stopped".to_owned())) {
            compared.error = Some(error);
            compared.changes = None;
        }
        compared
    }

    async fn fill(&self, compared: &mut Compared, old: (&Host, &Side), new: (&Host, &Side)) -> Known<()> {
        let access = OnceCell::new();
        let (before, after) = tokio::join!(self.find(old, &access), self.find(new, &access));
        // A configuration that is wrong is what the user can mend, whatever else is unknown.
        let (after, before) = (after?, before?);
        if is_same(&before, &after) {
            (compared.old, compared.new) = (Some(before.path.clone()), Some(before.path));
            compared.changes = Some(Changes::default());
            return Ok(());
        }
        let (before, after) = tokio::try_join!(self.see(old.0, before, "old"), self.see(new.0, after, "new"))?;
        let mut found = changes(&before.system, &after.system);
        if let (Side::Running, Side::Flake(_), Some(access)) = (old.1, new.1, access.get()) {
            match self.units(new.0, access, &before, &after).await {
                Ok(units) => found.units = Some(units),
                Err(note) => compared.notes.push(note),
            }
        }
        (compared.old, compared.new, compared.changes) = (Some(before.path), Some(after.path), Some(found));
        Ok(())
    }

    /// Finds out which system is meant; nothing is built for that.
    async fn find(&self, (host, side): (&Host, &Side), access: &OnceCell<Access>) -> Known<Found> {
        let reached = || access.get_or_try_init(|| self.reach(host));
        match side {
            Side::Flake(evaluator) => {
                let answer = evaluator.system(host.attribute(), &self.cancel, &mut |_| ()).await;
                let evaluation = answer.map_err(|error| format!("the configuration does not evaluate: {error}"))?.value;
                let path = evaluation.out.clone();
                Ok(Found { path, place: Place::Wanted(Box::new(evaluation), host.specialisation.clone()) })
            }
            Side::Running => {
                let access = reached().await?;
                let current = access.facts.current.clone().ok_or("the host runs no system that Nix knows")?;
                Ok(Found { path: current, place: Place::There(Box::new(access.clone())) })
            }
            Side::Generation(number) => {
                let access = reached().await?;
                let all = generations(&access.remote).await.map_err(|error| error.to_string())?;
                let found = all.into_iter().find(|one| one.number == *number).ok_or_else(|| {
                    format!("it has no generation {number}; `hubctl generations {}` lists them", host.name)
                })?;
                Ok(Found { path: found.toplevel, place: Place::There(Box::new(access.clone())) })
            }
        }
    }

    async fn reach(&self, host: &Host) -> Known<Access> {
        let target = target_of(host, this_machine().as_deref());
        let plain = Elevation { how: host.elevate, password: None };
        let elevation = self.elevations.get(&host.name).cloned().unwrap_or(plain);
        let access = reach(self.connect.as_ref(), &target, elevation, host.kind.platform(), &self.cancel).await;
        access.map_err(untold)
    }

    /// Looks at a system where it is. One that is wanted is built first.
    async fn see(&self, host: &Host, found: Found, side: &str) -> Known<Seen> {
        let Found { path, place } = found;
        let (path, remote, builder, root) = match place {
            Place::There(access) => (path, access.remote, None, None),
            Place::Wanted(evaluation, specialisation) => {
                let builder = self.builder(host, &evaluation).await?;
                let (remote, root) = if let Some(builder) = &builder {
                    let name = format!("{}-{side}", host.name);
                    let built = build_away(&self.nix, &builder.remote, &evaluation, &name, &self.cancel).await;
                    built.map_err(untold)?;
                    (builder.remote.clone(), None)
                } else {
                    let here = Remote::new(Arc::new(LocalConnection), Elevation::default());
                    (here, Some(self.build(host, &evaluation, side).await?))
                };
                (specialised(&remote, evaluation.out, specialisation.as_deref()).await?, remote, builder, root)
            }
        };
        let system = system(&remote, &path).await.map_err(|error| error.to_string())?;
        Ok(Seen { path, system, builder, _root: root })
    }

    /// The machine that builds for a host; none where this one does, or has the result already.
    async fn builder(&self, host: &Host, evaluation: &Evaluation) -> Known<Option<Access>> {
        let builder = match &host.build_on {
            BuildOn::Here => return Ok(None),
            _ if evaluation.out.as_path().exists() => return Ok(None),
            BuildOn::Target => host,
            BuildOn::Host(name) => self
                .hosts
                .get(name)
                .ok_or_else(|| format!("it is to be built on `{name}`, which is no host of the fleet"))?,
        };
        let reached = self.reach(builder).await;
        let access = reached.map_err(|error| format!("{}, which builds it, is not reached: {error}", builder.name))?;
        // This machine may be the one that is named.
        Ok(access.remote.store().is_some().then_some(access))
    }

    async fn build(&self, host: &Host, evaluation: &Evaluation, side: &str) -> Known<GcRoot> {
        let root = GcRoot::at(self.gcroots.join(format!("{}-{}-{side}", self.id, host.name)));
        let is_here = evaluation.out.as_path().exists();
        let tell = |silent: &Silent| self.ui.warning(&silent.to_string(), Some(Silent::HINT));
        let nix = if is_here { &self.nix } else { self.substituters.nix(&self.cancel, tell).await };
        build(nix, &evaluation.drv, &root, &self.cancel, |_, _| ())
            .await
            .map_err(|error| format!("the toplevel does not build: {}", error.output.join("\n")))?;
        Ok(root)
    }

    /// What activating the new system would do to the host's units, or why that is not known.
    async fn units(&self, host: &Host, access: &Access, old: &Seen, new: &Seen) -> Known<UnitChanges> {
        if !access.facts.systemd {
            return Err("the host runs no systemd, so nothing is known of its units".to_owned());
        }
        if self.ask_units == AskUnits::Copied {
            let missing = larger_by(&old.system.closure, &new.system.closure);
            let full = access.facts.store_space.and_then(|space| too_full(host, "the store", missing, space, ""));
            if let Some(objection) = full {
                return Err(format!("what becomes of units is not known: {}", objection.message));
            }
            self.copy_to(access, new).await?;
        }
        let untold = |why: &dyn Display| Err(format!("what becomes of units is not known: {why}"));
        match dry_activate(&access.remote, &new.path).await {
            Ok(DryActivation::Units(units)) => Ok(units),
            Ok(DryActivation::Absent) => Err("what becomes of units is known once the host has the new system; \
                                              --units copies it there and asks"
                .to_owned()),
            Ok(DryActivation::Untold(said)) => untold(&said),
            Err(error) => untold(&error),
        }
    }

    async fn copy_to(&self, access: &Access, new: &Seen) -> Known<()> {
        let Some(to) = access.remote.store() else { return Ok(()) };
        let built_on = new.builder.as_ref().and_then(|builder| builder.remote.store());
        let from = match &built_on {
            // It was built there.
            Some(store) if *store == to => return Ok(()),
            Some(store) => CopySource::Remote(store),
            None => CopySource::Local,
        };
        let copied = copy(&self.nix, &new.path, from, &to, &self.cancel, |_, _| ()).await;
        copied.map_err(|error| format!("what becomes of units is not known, since the system was not copied: {error}"))
    }
}

/// Whether the new system is the old one, also where a specialisation of it runs that is to run.
fn is_same(old: &Found, new: &Found) -> bool {
    match (&old.place, &new.place) {
        (Place::There(access), Place::Wanted(evaluation, name)) if access.facts.current.as_ref() == Some(&old.path) => {
            Sought { toplevel: &evaluation.out, specialisation: name.as_deref() }.runs(&access.facts)
        }
        (Place::Wanted(_, a), Place::Wanted(_, b)) => old.path == new.path && a == b,
        _ => old.path == new.path,
    }
}

/// What runs of a system that is at `remote`: the system itself, or a specialisation of it.
async fn specialised(remote: &Remote, toplevel: StorePath, name: Option<&str>) -> Known<StorePath> {
    let Some(name) = name else { return Ok(toplevel) };
    let link = format!("{toplevel}/specialisation/{name}");
    let link = shell_quote(&link);
    let script = remote.script(&format!("[ ! -e {link} ] || real {link}"));
    let (_, printed) = remote.run(&script).await.map_err(|error| error.to_string())?;
    StorePath::containing(&printed).map_err(|_| format!("the system has no specialisation `{name}`"))
}

/// What stopped a part, in a line.
fn untold(stop: Stop) -> String {
    stop.failed.map_or_else(|| "stopped".to_owned(), |failed| failed.message)
}

/// How much of a closure another one does not have, in bytes.
fn larger_by(old: &Closure, new: &Closure) -> u64 {
    let known: BTreeSet<_> = old.iter().map(|(path, _)| path).collect();
    new.iter().filter(|(path, _)| !known.contains(path)).map(|(_, size)| size).sum()
}
