//! `hubctl status`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::hub::{Fleet, Hub};
use super::looker::{Looker, Seen, records};
use super::metrics;
use super::select::HostsOrAll;
use super::status_ask::Asker;
use super::status_rows::{Rows, tell_rest};
use super::watch;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName, Inventory, parse_age};
use crate::plan::Drift;
use crate::process::Cancel;
use crate::report::Output;
use crate::run::fan_out;
use crate::state::{Sighting, State};

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

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
    /// Shows it in a view of the whole screen that is kept up to date, with a page for each host; deploys, rolls back and opens shells
    /// from there. `?` in it lists the keys.
    #[arg(long)]
    watch: bool,
    /// How long --watch leaves a host alone before it is asked again, such as `2s` or `1m`.
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = pause, default_value = "5s")]
    every: Duration,
}

/// A time between two questions, which is not to be none.
fn pause(text: &str) -> std::result::Result<Duration, String> {
    let time = parse_age(text).ok_or("there are times such as `2s`, `1m` and `1m30s`")?;
    if time.is_zero() { Err("hosts need some time between two questions, such as `1s`".to_owned()) } else { Ok(time) }
}

pub(super) async fn run(hub: &Hub, args: StatusArgs) -> Result<Exit> {
    if args.watch {
        watch::check_terminal(hub)?;
    }
    // Ctrl-C ends a command that is run from the view, and not what the view does meanwhile.
    let cancel = if args.watch { Cancel::never() } else { hub.cancel.clone() };
    // Whatever is wrong here is wrong below too, and told there.
    let early = ask_early(hub, &args, &cancel).ok();
    let (fleet, evaluator) = if args.no_eval {
        (hub.reachable(&args.hosts.hosts).await?, None)
    } else {
        let (fleet, evaluator) = hub.load().await?;
        (fleet, Some(evaluator))
    };
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let looker = looker(hub, &fleet, evaluator, asker(hub, &fleet, early, &args, &cancel)?)?;
    if args.watch {
        let wish = watch::Wish { hosts: args.hosts, every: args.every, at_once: AT_ONCE };
        return watch::run(hub, fleet, hosts, looker, wish).await;
    }
    let looker = Arc::new(looker);
    let mut rows = (hub.ui.output() != Output::Json).then(|| Rows::new(hub, &hosts, silent(hub)));
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

/// The hosts that did not answer when they were asked last, where that is known.
fn silent(hub: &Hub) -> BTreeSet<HostName> {
    let known = || Some((hub.flake().ok()?.to_string(), hub.state().ok()?.0.sightings().ok()?));
    let Some((flake, sightings)) = known() else { return BTreeSet::new() };
    let silent = sightings.into_iter().filter(|(of, _, sighting)| *of == flake && !sighting.reachable);
    silent.filter_map(|(_, host, _)| host.parse().ok()).collect()
}

/// Begins to ask the hosts that will probably be wanted.
fn ask_early(hub: &Hub, args: &StatusArgs, cancel: &Cancel) -> Result<Arc<Asker>> {
    let (connector, hosts) = hub.guessed(|_| AT_ONCE, |inventory| guess(inventory, &args.hosts))?;
    let asker = Arc::new(Asker::new(connector, !args.no_health, silent(hub), cancel.clone()));
    asker.ask_early(hosts);
    Ok(asker)
}

/// What asks the hosts: `early`, where that goes the right way.
fn asker(
    hub: &Hub,
    fleet: &Fleet,
    early: Option<Arc<Asker>>,
    args: &StatusArgs,
    cancel: &Cancel,
) -> Result<Arc<Asker>> {
    let connector = hub.connector(&fleet.config)?;
    let early = early.filter(|early| early.goes_over(&connector));
    Ok(early.unwrap_or_else(|| Arc::new(Asker::new(connector, !args.no_health, silent(hub), cancel.clone()))))
}

fn looker(hub: &Hub, fleet: &Fleet, evaluator: Option<Arc<Evaluator>>, asker: Arc<Asker>) -> Result<Looker> {
    let records = records(&hub.state()?.0);
    Ok(Looker::new(asker, evaluator, fleet.flake.clone(), records))
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

/// Remembers how hosts are, for commands that ask nobody. Losing it loses a number there.
pub(super) fn remember<'a>(state: &State, fleet: &Fleet, seen: impl IntoIterator<Item = &'a Seen>) {
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
