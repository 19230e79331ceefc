//! `hubctl status`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

use super::hub::{Fleet, Hub};
use super::metrics;
use super::select::HostsOrAll;
use super::status_ask::Asker;
use super::status_rows::{Rows, tell_rest};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName, Inventory};
use crate::nix::{Evaluation, FlakeRef, StorePath};
use crate::plan::{Deployed, Drift, Sought, drifts};
use crate::process::Cancel;
use crate::remote::{Ailment, Facts};
use crate::report::{Outcome, Output};
use crate::run::fan_out;
use crate::state::{Filter, Sighting, State};

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// How many deployments are looked at for what made a host what it is.
const LOOKED_AT: u32 = 300;

/// Tells what hosts run: how that differs from what the flake wants and from what they boot, failed units, health, space, and who
/// deployed it when.
#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    /// Asks the hosts alone and evaluates nothing: whether they run what the flake wants stays open.
    #[arg(long)]
    no_eval: bool,
    /// Leaves out the health checks of hub.toml.
    #[arg(long)]
    no_health: bool,
}

/// What looking at a host needs.
struct Looker {
    asker: Arc<Asker>,
    evaluator: Option<Arc<Evaluator>>,
    flake: FlakeRef,
    records: BTreeMap<String, Vec<Record>>,
    /// What is known of revisions: each is looked up once.
    orders: Mutex<BTreeMap<String, Option<Ordering>>>,
    cancel: Cancel,
}

/// A deployment that changed a host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    /// The deployment's id.
    pub(super) id: String,
    pub(super) operator: String,
    pub(super) at: Timestamp,
    #[serde(skip)]
    command: String,
    #[serde(skip)]
    deployed: Deployed,
}

/// What is known of a host.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Seen {
    pub(super) host: HostName,
    pub(super) reachable: bool,
    /// The main one of the drifts.
    pub(super) drift: Option<Drift>,
    pub(super) drifts: Vec<Drift>,
    pub(super) wanted: Option<StorePath>,
    #[serde(flatten)]
    pub(super) facts: Option<Facts>,
    /// The deployment from here that made the host run what it runs.
    pub(super) deployed: Option<Record>,
    /// How many health checks were run.
    pub(super) checks: Option<usize>,
    pub(super) failed_checks: Vec<Ailment>,
    pub(super) errors: Vec<String>,
}

pub(super) async fn run(hub: &Hub, args: StatusArgs) -> Result<Exit> {
    // Whatever is wrong here is wrong below too, and told there.
    let early = ask_early(hub, &args).ok();
    let (fleet, evaluator) = if args.no_eval {
        (hub.reachable(&args.hosts.hosts).await?, None)
    } else {
        let (fleet, evaluator) = hub.load().await?;
        (fleet, Some(evaluator))
    };
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let mut rows = (hub.ui.output() != Output::Json).then(|| Rows::new(hub, &hosts));
    let looker = Arc::new(looker(hub, &fleet, evaluator, early, &args)?);
    let seen = look_at_all(looker.clone(), hosts, rows.as_mut()).await.map_err(failed)?;
    looker.asker.close().await;
    hub.not_stopped()?;
    match rows {
        Some(_) => tell_rest(hub, &seen),
        None => hub.ui.data_json(&seen).map_err(failed)?,
    }
    let (state, _) = hub.state()?;
    remember(&state, &fleet, &seen);
    for wrong in metrics::publish(hub, &fleet.config, &state).await {
        hub.ui.warning(&wrong, Some(metrics::HINT));
    }
    Ok(exit_of(&seen))
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Failed, error)
}

fn guess(inventory: &Inventory, hosts: &HostsOrAll) -> Vec<Host> {
    if hosts.hosts.is_empty() { inventory.active().cloned().collect() } else { Hub::guess(inventory, &hosts.hosts) }
}

/// Begins to ask the hosts that will probably be wanted.
fn ask_early(hub: &Hub, args: &StatusArgs) -> Result<Arc<Asker>> {
    let (connector, hosts) = hub.guessed(|_| AT_ONCE, |inventory| guess(inventory, &args.hosts))?;
    let asker = Arc::new(Asker::new(connector, !args.no_health, hub.cancel.clone()));
    asker.ask_early(hosts);
    Ok(asker)
}

fn looker(
    hub: &Hub,
    fleet: &Fleet,
    evaluator: Option<Arc<Evaluator>>,
    early: Option<Arc<Asker>>,
    args: &StatusArgs,
) -> Result<Looker> {
    let connector = hub.connector(&fleet.config)?;
    let asker = early.filter(|early| early.goes_over(&connector));
    let asker = asker.unwrap_or_else(|| Arc::new(Asker::new(connector, !args.no_health, hub.cancel.clone())));
    let records = records(&hub.state()?.0);
    let (flake, cancel) = (fleet.flake.clone(), hub.cancel.clone());
    Ok(Looker { asker, evaluator, flake, records, orders: Mutex::default(), cancel })
}

/// The deployments that changed each host, newest first. Without history, none is known.
fn records(state: &State) -> BTreeMap<String, Vec<Record>> {
    let filter = Filter { limit: Some(LOOKED_AT), ..Filter::default() };
    let mut records = BTreeMap::<_, Vec<Record>>::new();
    for mut deployment in state.deployments(&filter).unwrap_or_default() {
        for (host, record) in std::mem::take(&mut deployment.hosts) {
            let Some(toplevel) = record.wanted.filter(|_| record.outcome.is_some_and(Outcome::changed_host)) else {
                continue;
            };
            records.entry(host).or_default().push(Record {
                id: deployment.id.clone(),
                operator: deployment.operator.clone(),
                at: deployment.started,
                command: deployment.command.clone(),
                deployed: Deployed { toplevel, rev: deployment.rev.clone() },
            });
        }
    }
    records
}

/// Looks at all hosts at once; `rows` shows each as soon as it is known.
async fn look_at_all(looker: Arc<Looker>, hosts: Vec<Host>, rows: Option<&mut Rows>) -> std::io::Result<Vec<Seen>> {
    let (known, mut found) = mpsc::unbounded_channel();
    let work = |host| {
        let looker = looker.clone();
        async move { looker.look(host).await }
    };
    let looking = async move {
        // Who takes them is there until the last of them.
        fan_out(hosts, AT_ONCE, work, |one: Seen| drop(known.send(one))).await;
    };
    let showing = async {
        if let Some(rows) = rows {
            return rows.show(&mut found).await;
        }
        let mut seen = Vec::new();
        while let Some(one) = found.recv().await {
            seen.push(one);
        }
        Ok(seen)
    };
    let ((), seen) = tokio::join!(looking, showing);
    let mut seen = seen?;
    seen.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(seen)
}

impl Looker {
    async fn look(&self, host: Host) -> Seen {
        let (asked, evaluated) = tokio::join!(self.asker.ask(&host), self.wanted(&host));
        let (mut errors, mut failed_checks) = (Vec::new(), Vec::new());
        let mut checks = None;
        let facts = match asked {
            Ok((facts, checked)) => {
                match checked {
                    Ok(found) => (failed_checks, checks) = (found, self.asker.health.then_some(host.health.len())),
                    Err(error) => errors.push(format!("its health was not checked: {error}")),
                }
                Some(facts)
            }
            Err(stop) => {
                errors.extend(stop.failed.map(|failed| failed.message));
                None
            }
        };
        let wanted = evaluated.and_then(|evaluated| evaluated.map_err(|error| errors.push(error)).ok());
        let wanted = wanted.map(|evaluation| evaluation.out);
        let sought =
            wanted.as_ref().map(|toplevel| Sought { toplevel, specialisation: host.specialisation.as_deref() });
        let records = self.records.get(host.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let drifts = match &facts {
            Some(facts) => self.drifts(sought, facts, records).await,
            None => Vec::new(),
        };
        let drift = facts.as_ref().map(|_| drifts.first().copied().unwrap_or(Drift::None));
        let runs = facts.as_ref().and_then(Facts::system);
        let deployed = records.iter().find(|record| Some(&record.deployed.toplevel) == runs).cloned();
        let reachable = facts.is_some();
        Seen { host: host.name, reachable, drift, drifts, wanted, facts, deployed, checks, failed_checks, errors }
    }

    async fn drifts(&self, sought: Option<Sought<'_>>, facts: &Facts, records: &[Record]) -> Vec<Drift> {
        // What was gone back to is older than its record.
        let deployed: Vec<_> =
            records.iter().filter(|record| record.command != "rollback").map(|one| one.deployed.clone()).collect();
        let mut orders = BTreeMap::new();
        if sought.is_some_and(|sought| !sought.runs(facts) && !sought.boots(facts)) {
            let made_it = deployed.iter().filter(|one| Some(&one.toplevel) == facts.system());
            for rev in made_it.filter_map(|one| one.rev.as_deref()) {
                if let Some(order) = self.order(rev).await {
                    orders.insert(rev, order);
                }
            }
        }
        drifts(sought, facts, &deployed, |rev| orders.get(rev).copied())
    }

    /// Whether a revision is later than the flake at hand.
    async fn order(&self, rev: &str) -> Option<Ordering> {
        let mut orders = self.orders.lock().await;
        if let Some(known) = orders.get(rev) {
            return *known;
        }
        let order = self.flake.order_of(rev, &self.cancel).await;
        orders.insert(rev.to_owned(), order);
        order
    }

    async fn wanted(&self, host: &Host) -> Option<std::result::Result<Evaluation, String>> {
        let evaluator = self.evaluator.as_ref()?;
        let evaluated = evaluator.system(host.attribute(), &self.cancel, &mut |_| ()).await;
        Some(
            evaluated
                .map(|answer| answer.value)
                .map_err(|error| format!("the configuration does not evaluate: {error}")),
        )
    }
}

/// Remembers how hosts are, for commands that ask nobody. Losing it loses a number there.
fn remember(state: &State, fleet: &Fleet, seen: &[Seen]) {
    let asked = Timestamp::now();
    for one in seen {
        let facts = one.facts.as_ref();
        let sighting = Sighting {
            asked,
            reachable: one.reachable,
            drift: one.drift.filter(|drift| *drift != Drift::Unknown),
            failed_units: facts.and_then(|facts| u64::try_from(facts.failed_units.len()).ok()),
            generation: facts.and_then(|facts| facts.generation),
            store: facts.and_then(|facts| facts.store_space),
            boot: facts.and_then(|facts| facts.boot_space),
        };
        if let Err(error) = state.remember_sighting(&fleet.flake_key(), &one.host, &sighting) {
            tracing::warn!(%error, host = %one.host, "how it is, is not remembered");
        }
    }
}

fn exit_of(seen: &[Seen]) -> Exit {
    if seen.iter().any(|one| !one.errors.is_empty()) {
        return Exit::Failed;
    }
    let failed = |one: &Seen| {
        !one.failed_checks.is_empty() || one.facts.as_ref().is_some_and(|facts| !facts.failed_units.is_empty())
    };
    if seen.iter().any(failed) { Exit::Degraded } else { Exit::Success }
}
