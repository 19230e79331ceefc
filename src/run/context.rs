//! What a run is to do, and what every host's part of it shares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::cache::HubCache;
use super::gate::Gate;
use super::soak::LastSeen;
use super::told::Told;
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName};
use crate::nix::{Nix, Silent, StorePath, Substituters, Validity};
use crate::plan::{Doubt, Goal, KnownMachine, Rule, Waves};
use crate::process::Cancel;
use crate::remote::{Connect, Elevation, SshTarget, Target};
use crate::report::{Event, EventSender};
use crate::state::Runs;

/// What is to be done, as the command line says it. A plain value.
#[derive(Clone, Debug)]
pub struct Job {
    /// The run's id, under which its logs are kept and, for a deployment, its record.
    pub id: String,
    /// Who runs it, as `user@machine`.
    pub operator: String,
    /// The canonical command.
    pub command: String,
    /// What is to be reached.
    pub goal: Goal,
    /// When a host that is as wanted is left alone.
    pub rule: Rule,
    /// The hosts, in order.
    pub hosts: Vec<Host>,
    /// In which waves they are changed, and when that ends early.
    pub waves: Waves,
    /// How many hosts are worked on at once.
    pub parallel: usize,
    /// What speaks against hosts in vain.
    pub overruled: BTreeSet<Doubt>,
}

impl Job {
    /// Whether the hosts of this wave are left to show themselves before the next one begins. Those that run nothing new have
    /// nothing to show.
    pub(super) fn soaks(&self, wave: usize) -> bool {
        self.goal.makes_current() && self.waves.soaks(wave)
    }
}

/// Where a run leaves things on this machine.
#[derive(Clone, Debug)]
pub struct Places {
    /// The directory of this run's logs.
    pub logs: PathBuf,
    /// The directory of the roots that keep what it works with from being collected.
    pub gcroots: PathBuf,
}

/// Where the system comes from that a host is to run.
#[derive(Clone, Debug)]
pub enum Wants {
    /// Its configuration in the flake, from the same source for every host.
    Flake(Arc<Evaluator>),
    /// A generation of its own profile: this number, or the one before the newest.
    Generation(Option<u64>),
    /// The system that the host ran before a deployment, which a generation of its profile has.
    Earlier(Arc<BTreeMap<HostName, Restore>>),
    /// The boot default that it has, to be booted.
    BootDefault,
}

/// A system that a host is to go back to.
#[derive(Clone, Debug)]
pub struct Restore {
    /// The system.
    pub toplevel: StorePath,
    /// What the host is to run now; a host that runs something else was deployed since, and is refused. None to go back from
    /// whatever it runs.
    pub instead_of: Option<StorePath>,
}

/// Hears of a host that is about to be changed: what it has, and what it is to have. Of a run that is killed then, that is all
/// that is ever known.
pub struct OnChange(Box<Hear>);

/// Takes the host, what it has, and what it is to have.
type Hear = dyn Fn(&HostName, &StorePath, &StorePath) + Send + Sync;

impl OnChange {
    /// By way of a function.
    pub fn new(hear: impl Fn(&HostName, &StorePath, &StorePath) + Send + Sync + 'static) -> Self {
        Self(Box::new(hear))
    }

    pub(super) fn tell(&self, host: &HostName, old: &StorePath, wanted: &StorePath) {
        (self.0)(host, old, wanted);
    }
}

impl Default for OnChange {
    fn default() -> Self {
        Self::new(|_, _, _| {})
    }
}

/// What every host's part of a run shares.
pub struct Context {
    /// What is to be done.
    pub job: Job,
    /// Nix on this machine.
    pub nix: Nix,
    /// What this machine's builds fetch from.
    pub substituters: Substituters,
    /// Tells what this machine's store has.
    pub validity: Validity,
    /// Where the system comes from that each host is to run.
    pub wants: Wants,
    /// All hosts of the fleet, for those that build for others.
    pub fleet: BTreeMap<HostName, Host>,
    /// Makes connections.
    pub connect: Arc<dyn Connect>,
    /// How to become root on each host that needs more than its ssh user.
    pub elevations: BTreeMap<HostName, Elevation>,
    /// The machines that the hosts are.
    pub machines: Machines,
    /// This machine's own name, to recognise it among the hosts.
    pub this_machine: Option<String>,
    /// Bounds the builds that run at once on each machine but this one.
    pub builders: Builders,
    /// The hub's cache, where closures go by way of it.
    pub cache: Option<Arc<HubCache>>,
    /// Where things are left.
    pub places: Places,
    /// Where the hosts' parts wait for their waves.
    pub gate: Gate,
    /// How hosts stood after they were activated.
    pub seen: LastSeen,
    /// Hears of each host before it is changed.
    pub on_change: OnChange,
    /// The runs of this user.
    pub runs: Runs,
    /// What is told once for all hosts.
    pub told: Arc<Told>,
    /// Takes what happens.
    pub events: EventSender,
    /// The user's wish to stop.
    pub cancel: Cancel,
}

/// The machines that hosts are, by their machine ids.
#[derive(Debug, Default)]
pub struct Machines {
    /// Those that they were when they were deployed to last.
    known: BTreeMap<HostName, KnownMachine>,
    /// Those that nothing speaks against now.
    accepted: Mutex<BTreeMap<HostName, String>>,
}

impl Machines {
    /// Those that the hosts were when they were deployed to last.
    pub fn known(known: BTreeMap<HostName, KnownMachine>) -> Self {
        Self { known, ..Self::default() }
    }

    /// The machine that `host` was when it was deployed to last.
    pub(super) fn before(&self, host: &HostName) -> Option<&KnownMachine> {
        self.known.get(host)
    }

    pub(super) fn accept(&self, host: &HostName, id: String) {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), id);
    }

    /// The machine that answered as `host` in this run, where nothing speaks against it.
    pub fn accepted(&self, host: &HostName) -> Option<String> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }
}

/// How many builds run at once on a machine that is not this one. Each takes one of the few sessions of the connection there
/// for as long as it lasts, and Nix there goes about the derivations of each in parallel by itself.
const BUILDS_AT_ONCE: usize = 3;

/// The turns to build on each of the hosts that build for others.
#[derive(Debug, Default)]
pub struct Builders(Mutex<BTreeMap<HostName, Arc<Semaphore>>>);

impl Builders {
    /// The turns at `host`, the same for all who build there.
    pub(super) fn turns(&self, host: &HostName) -> Arc<Semaphore> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(host.clone()).or_insert_with(|| Arc::new(Semaphore::new(BUILDS_AT_ONCE))).clone()
    }
}

impl Context {
    /// Nix as this machine builds with it: with the substituters that answer. Those that do not are told, once.
    pub(super) async fn building(&self) -> &Nix {
        let tell = |silent: &Silent| {
            let (message, hint) = (silent.to_string(), Some(Silent::HINT.to_owned()));
            self.events.emit(Event::Warning { host: None, message, hint });
        };
        self.substituters.nix(&self.cancel, tell).await
    }

    /// Finds out in the background what [`Self::building`] tells, since something is likely to be built soon.
    pub(super) fn expect_builds(self: &Arc<Self>) {
        let context = self.clone();
        tokio::spawn(async move {
            context.building().await;
        });
    }

    /// Where `host` is: this machine when it has the host's name and nothing else is said, otherwise behind ssh.
    pub fn target_of(&self, host: &Host) -> Target {
        target_of(host, self.this_machine.as_deref())
    }

    /// How to become root on `host`.
    pub fn elevation_of(&self, host: &Host) -> Elevation {
        let plain = || Elevation { how: host.elevate, password: None };
        self.elevations.get(&host.name).cloned().unwrap_or_else(plain)
    }
}

/// Where `host` is, seen from the machine called `this_machine`.
pub fn target_of(host: &Host, this_machine: Option<&str>) -> Target {
    if let Some((_, place)) = host.name.home() {
        let is_ours = host.user.is_some() && host.user == std::env::var("USER").ok();
        if is_ours && host.target == place && this_machine == Some(place) {
            return Target::Local;
        }
    }
    if host.target == host.name.as_str() && this_machine == Some(host.name.as_str()) {
        return Target::Local;
    }
    Target::Ssh(SshTarget { host: host.target.clone(), user: host.user.clone(), port: host.port })
}
