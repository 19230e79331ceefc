//! `hubctl status`.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::hub::{Fleet, Hub, this_machine};
use super::metrics;
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName};
use crate::nix::{Evaluation, StorePath};
use crate::plan::{Drift, Sought, drift};
use crate::process::{Cancel, Level};
use crate::remote::{Ailment, Connect, Elevation, Facts, RunError, Space, TakenBack};
use crate::report::units::{bytes, local_time};
use crate::report::{Cell, Outcome, Output, Style, Table};
use crate::run::{Stop, Tries, check_health, fan_out, held_since, reach, target_of};
use crate::state::{Filter, Sighting, State};

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// Tells what hosts run: whether it is what the flake wants and boots by default, failed units, space, uptime.
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
    connect: Arc<dyn Connect>,
    evaluator: Option<Arc<Evaluator>>,
    health: bool,
    state: Arc<State>,
    cancel: Cancel,
}

/// The health checks that fail, where they could be run.
type Checked = std::result::Result<Vec<Ailment>, RunError>;

/// What is known of a host.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Seen {
    host: HostName,
    reachable: bool,
    drift: Option<Drift>,
    wanted: Option<StorePath>,
    #[serde(flatten)]
    facts: Option<Facts>,
    failed_checks: Vec<Ailment>,
    errors: Vec<String>,
}

pub(super) async fn run(hub: &Hub, args: StatusArgs) -> Result<Exit> {
    let (fleet, evaluator) = if args.no_eval {
        (hub.reachable(&args.hosts.hosts).await?, None)
    } else {
        let (fleet, evaluator) = hub.load().await?;
        (fleet, Some(evaluator))
    };
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let looker = Arc::new(looker(hub, &fleet, evaluator, !args.no_health)?);
    let mut seen = Vec::new();
    let work = |host| {
        let looker = looker.clone();
        async move { looker.look(host).await }
    };
    fan_out(hosts, AT_ONCE, work, |one: Seen| seen.push(one)).await;
    looker.connect.close().await;
    hub.not_stopped()?;
    seen.sort_by(|a, b| a.host.cmp(&b.host));
    remember(&looker.state, &fleet, &seen);
    for wrong in metrics::publish(hub, &fleet.config, &looker.state).await {
        hub.ui.warning(&wrong, Some(metrics::HINT));
    }
    show(hub, &seen).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(exit_of(&seen))
}

fn looker(hub: &Hub, fleet: &Fleet, evaluator: Option<Arc<Evaluator>>, health: bool) -> Result<Looker> {
    let (connect, cancel) = (hub.connector(&fleet.config)?, hub.cancel.clone());
    Ok(Looker { connect, evaluator, health, state: hub.state()?.0, cancel })
}

impl Looker {
    async fn look(&self, host: Host) -> Seen {
        let (asked, evaluated) = tokio::join!(self.ask(&host), self.wanted(&host));
        let mut errors = Vec::new();
        let mut failed_checks = Vec::new();
        let facts = match asked {
            Ok((facts, checked)) => {
                match checked {
                    Ok(found) => failed_checks = found,
                    Err(error) => errors.push(format!("its health was not checked: {error}")),
                }
                Some(facts)
            }
            Err(stop) => {
                errors.extend(stop.failed.map(|failed| failed.message));
                None
            }
        };
        let wanted = match evaluated {
            Some(Ok(evaluation)) => Some(evaluation.out),
            Some(Err(error)) => {
                errors.push(error);
                None
            }
            None => None,
        };
        let sought = |toplevel| Sought { toplevel, specialisation: host.specialisation.as_deref() };
        let sought = wanted.as_ref().map(sought);
        let drift = facts.as_ref().map(|facts| drift(sought, facts, &self.deployed(&host.name)));
        Seen { host: host.name, reachable: facts.is_some(), drift, wanted, facts, failed_checks, errors }
    }

    /// What a host runs, and which of its health checks fail now.
    async fn ask(&self, host: &Host) -> std::result::Result<(Facts, Checked), Stop> {
        let target = target_of(host, this_machine().as_deref());
        let access =
            reach(self.connect.as_ref(), &target, Elevation::default(), host.kind.platform(), &self.cancel).await?;
        let checked = if self.health {
            let checking = check_health(host, &target, &access.remote, Tries::One);
            self.cancel.unless(Level::Soft, checking).await.ok_or_else(Stop::cancelled)?
        } else {
            Ok(Vec::new())
        };
        Ok((access.facts, checked))
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

    /// The toplevels that were deployed to a host from here. Without history, none is known.
    fn deployed(&self, host: &HostName) -> BTreeSet<StorePath> {
        let filter = Filter { host: Some(host.clone()), ..Filter::default() };
        let past = self.state.deployments(&filter).unwrap_or_default();
        let of_host = past.into_iter().filter_map(|mut deployment| deployment.hosts.remove(host.as_str()));
        of_host.filter(|record| record.outcome.is_some_and(Outcome::changed_host)).filter_map(|r| r.wanted).collect()
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

fn show(hub: &Hub, seen: &[Seen]) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        return hub.ui.data_json(&seen);
    }
    hub.ui.table(&table(seen))?;
    for one in seen {
        for error in &one.errors {
            hub.ui.warning(&format!("{}: {error}", one.host), None);
        }
        if let Some(lock) = one.facts.as_ref().and_then(|facts| facts.lock.as_ref()) {
            hub.ui.warning(&format!("{}: locked by {}", one.host, held_since(lock)), None);
        }
        if let Some(taken) = one.facts.as_ref().and_then(|facts| facts.reverted.as_ref()) {
            hub.ui.warning(&format!("{}: {}", one.host, taken_back(taken)), None);
        }
        let units = one.facts.as_ref().map(|facts| facts.failed_units.join(", ")).unwrap_or_default();
        if !units.is_empty() {
            let hint = format!("`systemctl status` on {} tells more", one.host);
            hub.ui.warning(&format!("{}: failed units: {units}", one.host), Some(&hint));
        }
        for ailment in &one.failed_checks {
            hub.ui.warning(&format!("{}: health check failed: {ailment}", one.host), None);
        }
    }
    Ok(())
}

/// Tells of an activation that the host took back by itself.
fn taken_back(taken: &TakenBack) -> String {
    let when = local_time(taken.at);
    let what = if taken.complete { "was taken back" } else { "was to be taken back, which failed" };
    format!("an activation {what} at {when}, since {}", taken.reason)
}

fn table(seen: &[Seen]) -> Table {
    let header = ["HOST", "STATE", "RUNS", "GEN", "BOOT DEFAULT", "FAILED", "STORE FREE", "/BOOT FREE", "UPTIME"];
    let mut table = Table::with_header(header).right(3).right(5).right(6).right(7).right(8);
    for one in seen {
        let name = Cell::styled(Style::Host, one.host.to_string());
        match &one.facts {
            None => table.row([name, Cell::styled(Style::Fail, "unreachable")]),
            Some(facts) => table.row(row(name, one.drift, facts)),
        }
    }
    table
}

fn row(name: Cell, drift: Option<Drift>, facts: &Facts) -> Vec<Cell> {
    let drift = drift.unwrap_or(Drift::Unknown);
    let style = match drift {
        Drift::None => Style::Ok,
        Drift::Unknown => Style::Dim,
        _ => Style::Warn,
    };
    let failed = facts.failed_units.len();
    let failed_style = if failed == 0 { Style::Dim } else { Style::Fail };
    let boot = match (&facts.profile, &facts.current) {
        (Some(profile), Some(current)) if profile == current => "yes".to_owned(),
        (Some(profile), _) => profile.short_hash().to_owned(),
        (None, _) => "-".to_owned(),
    };
    let free = |space: Option<Space>| space.map_or_else(|| "-".to_owned(), |space| bytes(space.free));
    vec![
        name,
        Cell::styled(style, drift.as_str()),
        runs(facts).into(),
        facts.generation.map_or_else(|| "-".to_owned(), |number| number.to_string()).into(),
        boot.into(),
        Cell::styled(failed_style, failed.to_string()),
        free(facts.store_space).into(),
        free(facts.boot_space).into(),
        facts.uptime.map_or_else(|| "-".to_owned(), uptime).into(),
    ]
}

/// What runs, in few letters.
fn runs(facts: &Facts) -> String {
    let hash = facts.current.as_ref().map_or("-", |path| path.short_hash());
    facts.specialisation.as_ref().map_or_else(|| hash.to_owned(), |name| format!("{hash} ({name})"))
}

/// An uptime in its two largest units.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
