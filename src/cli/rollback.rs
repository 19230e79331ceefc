//! `hubctl rollback`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use super::history;
use super::hub::{Fleet, Hub};
use super::job::{self, Kept, Wish};
use super::select::{Despite, Parallel};
use super::waves::WaveOptions;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::plan::{Doubt, Goal, Rule};
use crate::report::Outcome;
use crate::run::{Restore, Wants};
use crate::state::{Deployment, HostRecord};

/// Brings hosts back to the generation before their profile's own, to one that is named, or to before a deployment.
///
/// Works without the flake: a configuration that is broken keeps nobody from going back.
#[derive(Args, Debug)]
pub(super) struct RollbackArgs {
    /// The hosts: names, globs (`web-*`), tags (`@edge`), each with `!` in front to leave it out. With --deployment, all that it
    /// changed without one.
    #[arg(value_name = "HOST", required_unless_present = "deployment")]
    hosts: Vec<String>,
    /// The generation to go to; `hubctl generations HOST` lists them.
    #[arg(long, value_name = "GENERATION", conflicts_with = "deployment")]
    to: Option<u64>,
    /// Brings each host back to the system that it ran before this deployment; `hubctl history` lists them.
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    /// Also brings back hosts that run something else by now than what that deployment gave them.
    #[arg(long, requires = "deployment")]
    even_if_changed: bool,
    #[command(flatten)]
    parallel: Parallel,
    #[command(flatten)]
    despite: Despite,
    #[command(flatten)]
    waves: WaveOptions,
    /// Shows what would be done with each host, and does nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// What a rollback brings back.
struct Aim {
    fleet: Fleet,
    hosts: Vec<Host>,
    wants: Wants,
    /// What was reached by what is taken back.
    goal: Goal,
    /// The deployment that is taken back.
    follows: Option<String>,
}

pub(super) async fn run(hub: &Hub, args: RollbackArgs) -> Result<Exit> {
    let aim = match &args.deployment {
        Some(id) => before_deployment(hub, id, &args).await?,
        None => generation(hub, &args).await?,
    };
    let Aim { fleet, hosts, wants, goal, follows } = aim;
    // Its name is not known without the flake, and going back is urgent and costs little.
    let overruled = args.despite.doubts().into_iter().chain([Doubt::Battery]).collect();
    let wish = Wish {
        command: "rollback",
        goal,
        rule: Rule::IfChanged,
        waves: args.waves.waves(hub, &fleet, &hosts).await?,
        hosts,
        parallel: args.parallel.by_default(&fleet.config),
        overruled,
        dry_run: args.dry_run,
        wants,
        cache: None,
        kept: Kept { follows, ..Kept::default() },
    };
    job::run(hub, fleet, wish).await
}

async fn generation(hub: &Hub, args: &RollbackArgs) -> Result<Aim> {
    let fleet = hub.reachable(&args.hosts).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts)?;
    Ok(Aim { fleet, hosts, wants: Wants::Generation(args.to), goal: Goal::Switch, follows: None })
}

/// The hosts that a deployment changed, each with what it ran before.
async fn before_deployment(hub: &Hub, id: &str, args: &RollbackArgs) -> Result<Aim> {
    let one = history::find_ended(hub, id)?;
    let changed = changed(&with_resumes(&one, &history::of_flake(hub)?), args.even_if_changed);
    if changed.is_empty() {
        return Err(Error::message(Kind::NoHost, format!("the deployment {} changed no host", one.id))
            .hint(format!("`hubctl history show {}` shows what became of its hosts", one.id)));
    }
    let all: Vec<_> = changed.keys().map(ToString::to_string).collect();
    let fleet = hub.reachable(if args.hosts.is_empty() { &all } else { &args.hosts }).await?;
    let hosts = if args.hosts.is_empty() {
        still_there(hub, &fleet, &changed)
    } else {
        chosen(hub, &fleet, &one, &changed, &args.hosts)?
    };
    let goal = if one.goal == Goal::Boot.as_str() { Goal::Boot } else { Goal::Switch };
    Ok(Aim { fleet, hosts, wants: Wants::Earlier(Arc::new(changed)), goal, follows: Some(one.id) })
}

/// The hosts that were deployed and are still in the fleet.
fn still_there(hub: &Hub, fleet: &Fleet, changed: &BTreeMap<HostName, Restore>) -> Vec<Host> {
    for gone in changed.keys().filter(|name| fleet.inventory.get(name).is_none()) {
        hub.ui.warning(&format!("{gone} is no host of the flake any more, and is left out"), None);
    }
    changed.keys().filter_map(|name| fleet.inventory.get(name)).cloned().collect()
}

/// The hosts that the user names, of which the deployment must have changed all.
fn chosen(
    hub: &Hub,
    fleet: &Fleet,
    one: &Deployment,
    changed: &BTreeMap<HostName, Restore>,
    words: &[String],
) -> Result<Vec<Host>> {
    let hosts = hub.select(&fleet.inventory, words)?;
    match hosts.iter().find(|host| !changed.contains_key(&host.name)) {
        None => Ok(hosts),
        Some(other) => {
            Err(Error::message(Kind::Usage, format!("the deployment {} did not change {}", one.id, other.name))
                .hint(format!("`hubctl rollback {}` brings it back to the generation before", other.name)))
        }
    }
}

/// A deployment and those that resumed it, in their order.
fn with_resumes<'a>(one: &'a Deployment, all: &'a [Deployment]) -> Vec<&'a Deployment> {
    let mut found = vec![one];
    for other in all.iter().rev().filter(|other| other.command == "resume") {
        if found.iter().any(|earlier| other.follows.as_ref() == Some(&earlier.id)) {
            found.push(other);
        }
    }
    found
}

/// What each host that these deployments changed, or may have changed, ran before the first of them.
fn changed(deployments: &[&Deployment], even_if_changed: bool) -> BTreeMap<HostName, Restore> {
    let mut found: BTreeMap<HostName, Restore> = BTreeMap::new();
    let records = deployments.iter().flat_map(|one| &one.hosts).filter(|(_, record)| may_have_changed(record));
    for (host, record) in records {
        let (Ok(host), Some(old)) = (host.parse(), record.old.clone()) else { continue };
        let restore = found.entry(host).or_insert(Restore { toplevel: old, instead_of: None });
        restore.instead_of = record.wanted.clone().filter(|_| !even_if_changed);
    }
    found
}

fn may_have_changed(record: &HostRecord) -> bool {
    let changes =
        |outcome: Outcome| outcome.changed_host() || matches!(outcome, Outcome::ActivateFailed | Outcome::Unknown);
    // One whose run was killed has these only where it was about to be changed.
    record.outcome.is_none_or(changes) && record.old.is_some() && record.old != record.wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::StorePath;

    #[test]
    fn only_what_was_changed_is_brought_back() {
        let path = |hash: char| -> StorePath {
            format!("/nix/store/{}-nixos-system-a-25.11", hash.to_string().repeat(32)).parse().unwrap()
        };
        let record = |outcome, old, wanted| HostRecord {
            outcome,
            old: Some(path(old)),
            wanted: Some(path(wanted)),
            ..HostRecord::default()
        };
        let hosts = [
            ("deployed", record(Some(Outcome::Deployed), 'a', 'b')),
            ("unknown", record(Some(Outcome::Unknown), 'a', 'b')),
            ("again", record(Some(Outcome::Deployed), 'b', 'b')),
            ("back", record(Some(Outcome::RolledBack), 'a', 'b')),
            ("skipped", record(Some(Outcome::Skipped), 'a', 'b')),
            ("killed", HostRecord::default()),
            ("cut-short", record(None, 'a', 'b')),
        ];
        let deployment = |id: &str, follows: Option<&str>, hosts: &[(&str, HostRecord)]| Deployment {
            id: id.to_owned(),
            command: "resume".to_owned(),
            goal: "switch".to_owned(),
            flake: "/hub".to_owned(),
            follows: follows.map(str::to_owned),
            hosts: hosts.iter().map(|(host, record)| ((*host).to_owned(), record.clone())).collect(),
            ..Deployment::default()
        };
        let one = deployment("1", None, &hosts);
        let of = |host: &str, found: &BTreeMap<HostName, Restore>| {
            let restore = found.get(&host.parse().unwrap())?;
            Some((restore.toplevel.clone(), restore.instead_of.clone()))
        };
        let found = changed(&[&one], false);
        assert_eq!(found.keys().map(HostName::as_str).collect::<Vec<_>>(), ["cut-short", "deployed", "unknown"]);
        assert_eq!(of("deployed", &found), Some((path('a'), Some(path('b')))));
        assert_eq!(of("deployed", &changed(&[&one], true)), Some((path('a'), None)));

        let ends = [("unknown", 'b', 'c'), ("skipped", 'a', 'c')];
        let ends = ends.map(|(host, old, wanted)| (host, record(Some(Outcome::Deployed), old, wanted)));
        let all = [deployment("3", Some("2"), &[]), deployment("2", Some("1"), &ends), one];
        let found = changed(&with_resumes(&all[2], &all), false);
        assert_eq!(
            found.keys().map(HostName::as_str).collect::<Vec<_>>(),
            ["cut-short", "deployed", "skipped", "unknown"]
        );
        assert_eq!(of("unknown", &found), Some((path('a'), Some(path('c')))));
        assert_eq!(with_resumes(&all[2], &all).len(), 3);
    }
}
