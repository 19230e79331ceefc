//! `hubctl ci`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::hub::{Fleet, Hub};
use super::select::{Cached, HostsOrAll};
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName};
use crate::nix::{EvalError, Evaluation, StorePath, Validity};
use crate::plan::{CiJob, Share, share_out};
use crate::process::Cancel;
use crate::report::Output;
use crate::run::fan_out;

/// What a CI needs to know of the fleet.
#[derive(Args, Debug)]
pub(super) struct CiArgs {
    #[command(subcommand)]
    command: CiCommand,
}

#[derive(Debug, Subcommand)]
enum CiCommand {
    /// Shares the changed hosts out over jobs and prints them as a matrix: `{"include":[{"job":1,"hosts":"a b","system":".."}]}`.
    ///
    /// A host has changed when its system is another one than at the revision that --changed-since names; without that, when its
    /// system is not built in this machine's store. No changed host makes an empty matrix. With --json, each host is told
    /// instead, with the reason and its job.
    Matrix(MatrixArgs),
}

#[derive(Args, Debug)]
struct MatrixArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    /// Takes the hosts whose systems differ from those of this commit, branch or tag.
    #[arg(long, visible_alias = "base", value_name = "REV")]
    changed_since: Option<String>,
    /// Makes at most N jobs, or one for each system where those are more.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Leaves out hosts whose systems are in the hub's cache already: in that of hub.toml, or in the store at URL.
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    cached: Option<String>,
}

/// A host, and whether it is to be built.
struct Judged {
    host: HostName,
    system: String,
    changed: bool,
    reason: String,
    cost: Option<u64>,
}

/// A matrix as GitHub Actions takes it.
#[derive(Serialize)]
struct Matrix<'a> {
    include: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    job: usize,
    hosts: String,
    system: &'a str,
}

/// What a host's configuration evaluates to, or why it does not.
type Evaluated = BTreeMap<HostName, std::result::Result<Evaluation, EvalError>>;

pub(super) async fn run(hub: &Hub, args: CiArgs) -> Result<Exit> {
    match args.command {
        CiCommand::Matrix(args) => matrix(hub, &args).await,
    }
}

async fn matrix(hub: &Hub, args: &MatrixArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let mut hosts = args.hosts.select(hub, &fleet.inventory)?;
    hosts.retain(|host| !fleet.inventory.is_missing_from_flake(&host.name));
    let cache = Cached { cached: args.cached.clone() }.settings(hub, &fleet)?;
    let now = evaluate(&evaluator, &hosts, &hub.cancel).await;
    hub.not_stopped()?;
    let mut known = match &args.changed_since {
        Some(base) => same_as_before(hub, &evaluator, base, &hosts, &now).await?,
        None => built_already(&fleet, &now, &hub.cancel).await,
    };
    if let Some(cache) = cache {
        let wanted: Vec<_> = toplevels(&now).filter(|(host, _)| !known.contains_key(host)).collect();
        let paths: Vec<_> = wanted.iter().map(|(_, path)| path.clone()).collect();
        match cache.missing(&fleet.nix, &paths, &hub.cancel).await {
            Ok(missing) => {
                let there = wanted.into_iter().filter(|(_, path)| !missing.contains(path));
                known.extend(there.map(|(host, _)| (host, format!("its system is in {}", cache.url))));
            }
            Err(error) => {
                let message = format!("the cache {} cannot be asked what it has: {error}", cache.url);
                hub.ui.warning(&message, error.hint());
            }
        }
    }
    hub.not_stopped()?;
    let judged = hosts.iter().map(|host| judge(hub, &fleet, &evaluator, host, &now, &known));
    show(hub, &judged.collect::<Result<Vec<_>>>()?, usize::from(args.jobs))?;
    Ok(Exit::Success)
}

/// Evaluates the hosts, side by side.
async fn evaluate(evaluator: &Arc<Evaluator>, hosts: &[Host], cancel: &Cancel) -> Evaluated {
    let mut evaluated = BTreeMap::new();
    let work = |host: Host| {
        let (evaluator, cancel) = (evaluator.clone(), cancel.clone());
        async move {
            let answer = evaluator.system(host.attribute(), &cancel, &mut |_| ()).await;
            (host.name, answer.map(|answer| answer.value))
        }
    };
    // The evaluator itself bounds how many run at once.
    fan_out(hosts.to_vec(), hosts.len(), work, |(host, answer)| {
        evaluated.insert(host, answer);
    })
    .await;
    evaluated
}

fn toplevels(evaluated: &Evaluated) -> impl Iterator<Item = (HostName, StorePath)> {
    evaluated.iter().filter_map(|(host, answer)| Some((host.clone(), answer.as_ref().ok()?.out.clone())))
}

/// The hosts that have the same system at the revision `base`, with words for that.
async fn same_as_before(
    hub: &Hub,
    evaluator: &Evaluator,
    base: &str,
    hosts: &[Host],
    now: &Evaluated,
) -> Result<BTreeMap<HostName, String>> {
    let flake = hub.flake()?.at_revision(base, &hub.cancel).await.map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        Error::new(Kind::Usage, error).hints(hint)
    })?;
    let before = Arc::new(hub.evaluator_at(evaluator, flake).await?);
    let before = evaluate(&before, hosts, &hub.cancel).await;
    let same = |(host, path): &(HostName, StorePath)| {
        before.get(host).and_then(|answer| answer.as_ref().ok()).is_some_and(|before| before.out == *path)
    };
    Ok(toplevels(now).filter(same).map(|(host, _)| (host, format!("its system is the one of {base}"))).collect())
}

/// The hosts whose systems this machine's store has, with words for that.
async fn built_already(fleet: &Fleet, now: &Evaluated, cancel: &Cancel) -> BTreeMap<HostName, String> {
    let validity = Validity::new(fleet.nix.clone());
    let mut built = BTreeMap::new();
    for (host, path) in toplevels(now) {
        if validity.of(&path, cancel).await {
            built.insert(host, "its system is built".to_owned());
        }
    }
    built
}

fn judge(
    hub: &Hub,
    fleet: &Fleet,
    evaluator: &Evaluator,
    host: &Host,
    now: &Evaluated,
    known: &BTreeMap<HostName, String>,
) -> Result<Judged> {
    let (state, _) = hub.state()?;
    let failed = |error| Error::new(Kind::Failed, anyhow::Error::new(error));
    let remembered = state.system_of(&fleet.flake_key(), &host.name).map_err(failed)?;
    let built = state.build_time_of(&fleet.flake_key(), &host.name).map_err(failed)?;
    let evaluated = evaluator.last_cost(host.attribute()).map(|cost| cost.duration_ms);
    let (system, reason) = match now.get(&host.name) {
        Some(Ok(evaluation)) => (Some(evaluation.system.clone()), "its system is another one".to_owned()),
        // Its job is where that is to be seen.
        Some(Err(error)) => (None, format!("it does not evaluate: {error}")),
        None => (None, "it was not evaluated".to_owned()),
    };
    if system.is_none() {
        hub.ui.warning(&format!("{}: {reason}", host.name), Some("it is in the matrix, so that its job fails"));
    }
    let system = system.or_else(|| host.system.clone()).or(remembered).unwrap_or_else(own_system);
    let (changed, reason) = known.get(&host.name).map_or((true, reason), |words| (false, words.clone()));
    let cost = evaluated.into_iter().chain(built).reduce(u64::saturating_add);
    Ok(Judged { host: host.name.clone(), system, changed, reason, cost })
}

/// This machine's own system, as Nix names it.
fn own_system() -> String {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    format!("{}-{os}", std::env::consts::ARCH)
}

fn show(hub: &Hub, judged: &[Judged], jobs: usize) -> Result<()> {
    let changed = judged.iter().filter(|one| one.changed);
    let share = |one: &Judged| Share { host: one.host.clone(), system: one.system.clone(), cost: one.cost };
    let jobs = share_out(&changed.map(share).collect::<Vec<_>>(), jobs);
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&judged.iter().map(|one| told(one, &jobs)).collect::<Vec<_>>())
    } else {
        let matrix = Matrix { include: jobs.iter().map(entry).collect() };
        let text = serde_json::to_string(&matrix).map_err(|error| Error::new(Kind::Failed, error))?;
        hub.ui.data(&text)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))
}

fn entry(job: &CiJob) -> Entry<'_> {
    let hosts: Vec<_> = job.hosts.iter().map(HostName::as_str).collect();
    Entry { job: job.job, hosts: hosts.join(" "), system: &job.system }
}

fn told(one: &Judged, jobs: &[CiJob]) -> Value {
    let job = jobs.iter().find(|job| job.hosts.contains(&one.host)).map(|job| job.job);
    let Judged { host, system, changed, reason, cost } = one;
    json!({ "host": host, "system": system, "changed": changed, "reason": reason, "job": job, "last-ms": cost })
}
