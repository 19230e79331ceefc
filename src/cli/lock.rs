//! `hubctl lock`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::confirm::confirm;
use super::hub::{Hub, this_machine};
use super::passwords;
use super::select::{Hosts, HostsOrAll};
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::process::Cancel;
use crate::remote::{Broken, Connect, Elevation, Lock, break_lock};
use crate::report::units::local_time;
use crate::report::{Cell, Output, Style, Table};
use crate::run::{Access, Holder, fan_out, held_since, holder, reach, target_of};
use crate::state::Runs;

/// How many hosts are asked at once.
const AT_ONCE: usize = 64;

/// Tells who deploys to which host, or breaks the lock that a deployment left behind.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct LockArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    #[command(subcommand)]
    command: Option<LockCommand>,
}

#[derive(Debug, Subcommand)]
enum LockCommand {
    /// Tells who deploys to which host, and since when.
    Status {
        #[command(flatten)]
        hosts: HostsOrAll,
    },
    /// Removes the locks of hosts, after showing whose they are and asking.
    ///
    /// The deployment that has the lock does not begin to activate then. An activation that is under way is not stopped.
    Break {
        #[command(flatten)]
        hosts: Hosts,
        /// Does not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// A host, with the way there or why there is none.
struct Looked {
    host: HostName,
    access: std::result::Result<Access, String>,
}

pub(super) async fn run(hub: &Hub, args: LockArgs) -> Result<Exit> {
    match args.command {
        Some(LockCommand::Break { hosts, yes }) => break_locks(hub, &hosts.hosts, yes).await,
        Some(LockCommand::Status { hosts }) => status(hub, &hosts).await,
        None => status(hub, &args.hosts).await,
    }
}

async fn status(hub: &Hub, words: &HostsOrAll) -> Result<Exit> {
    let fleet = hub.reachable(&words.hosts).await?;
    let hosts = words.select(hub, &fleet.inventory)?;
    let connect: Arc<dyn Connect> = hub.connector(&fleet.config)?;
    let seen = look(hub, &connect, hosts, BTreeMap::new()).await?;
    connect.close().await;
    let runs = hub.state()?.1.runs();
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&seen.iter().map(|one| json(one, &runs)).collect::<Vec<_>>())
    } else {
        hub.ui.table(&table(&seen, &runs))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(exit_of(&seen))
}

async fn break_locks(hub: &Hub, words: &[String], yes: bool) -> Result<Exit> {
    let fleet = hub.reachable(words).await?;
    let hosts = hub.select(&fleet.inventory, words)?;
    let connect: Arc<dyn Connect> = hub.connector(&fleet.config)?;
    let broken = show_and_break(hub, &connect, hosts, yes).await;
    connect.close().await;
    broken
}

async fn show_and_break(hub: &Hub, connect: &Arc<dyn Connect>, hosts: Vec<Host>, yes: bool) -> Result<Exit> {
    let elevations = hub.unless_stopped(passwords::elevations(hub, connect.as_ref(), &hosts)).await?;
    let seen = look(hub, connect, hosts, elevations).await?;
    for one in &seen {
        tell(hub, one);
    }
    let locked: Vec<_> = seen.iter().filter_map(|one| Some((one, one.access.as_ref().ok()?, one.lock()?))).collect();
    if !locked.is_empty() && !yes {
        let names: Vec<_> = locked.iter().map(|(one, ..)| one.host.as_str()).collect();
        confirm(hub, &format!("Break the lock of {}?", names.join(", "))).await?;
    }
    let mut exit = exit_of(&seen);
    let mut listed = Vec::new();
    for (one, access, lock) in &locked {
        let result = break_one(access, lock).await;
        if let Err(why) = &result {
            exit = Exit::Failed;
            hub.ui.warning(&format!("{}: the lock stays: {why}", one.host), None);
        } else {
            hub.ui.status(&format!("{}: the lock is broken", one.host));
        }
        listed.push(
            serde_json::json!({ "host": one.host, "lock": lock, "broken": result.is_ok(), "error": result.err() }),
        );
    }
    if hub.ui.output() == Output::Json {
        hub.ui.data_json(&listed).map_err(|error| Error::new(Kind::Failed, error))?;
    }
    Ok(exit)
}

/// Says what a host's lock is before anybody is asked whether to break it.
fn tell(hub: &Hub, one: &Looked) {
    let host = &one.host;
    match (&one.access, one.lock()) {
        (Err(why), _) => hub.ui.warning(&format!("{host}: {why}"), None),
        (Ok(_), None) => hub.ui.status(&format!("{host} is not locked")),
        (Ok(access), Some(lock)) => {
            hub.ui.status(&format!("{host} is locked by {}", held_since(lock)));
            if access.facts.activating.is_some() {
                let message = format!("{host}: an activation is under way, which breaking the lock does not stop");
                hub.ui.warning(&message, None);
            }
        }
    }
}

async fn break_one(access: &Access, lock: &Lock) -> std::result::Result<(), String> {
    match break_lock(&access.remote, lock, false).await {
        Ok(Broken::Gone) => Ok(()),
        Ok(Broken::Held(other)) if other.id != lock.id => Err(format!("by now it is that of {}", held_since(&other))),
        Ok(_) => Err("it cannot be removed by this user; see `elevate` in hub.toml".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks hosts who deploys to them.
async fn look(
    hub: &Hub,
    connect: &Arc<dyn Connect>,
    hosts: Vec<Host>,
    elevations: BTreeMap<HostName, Elevation>,
) -> Result<Vec<Looked>> {
    let mut seen = Vec::new();
    let work = |host: Host| {
        let elevation = Elevation { how: host.elevate, password: None };
        let elevation = elevations.get(&host.name).cloned().unwrap_or(elevation);
        ask(connect.clone(), host, elevation, hub.cancel.clone())
    };
    fan_out(hosts, AT_ONCE, work, |one| seen.push(one)).await;
    hub.not_stopped()?;
    seen.sort_by(|a: &Looked, b| a.host.cmp(&b.host));
    Ok(seen)
}

async fn ask(connect: Arc<dyn Connect>, host: Host, elevation: Elevation, cancel: Cancel) -> Looked {
    let target = target_of(&host, this_machine().as_deref());
    let access = reach(connect.as_ref(), &target, elevation, host.kind.platform(), &cancel).await;
    let access = access.map_err(|stop| stop.failed.map(|failed| failed.message).unwrap_or_default());
    Looked { host: host.name, access }
}

impl Looked {
    fn lock(&self) -> Option<&Lock> {
        self.access.as_ref().ok()?.facts.lock.as_ref()
    }
}

fn exit_of(seen: &[Looked]) -> Exit {
    if seen.iter().any(|one| one.access.is_err()) { Exit::Failed } else { Exit::Success }
}

/// Whether the run that has a lock is gone, so that the next deployment takes it over.
fn is_left_behind(lock: &Lock, runs: &Runs) -> bool {
    holder(lock, "", runs.state(&lock.id)) == Holder::Nobody
}

fn table(seen: &[Looked], runs: &Runs) -> Table {
    let mut table = Table::with_header(["HOST", "LOCK", "OWNER", "SINCE", "DEPLOYMENT"]);
    for one in seen {
        let name = Cell::styled(Style::Host, one.host.to_string());
        match (&one.access, one.lock()) {
            (Err(why), _) => table.row([name, Cell::styled(Style::Fail, format!("unreachable: {why}"))]),
            (Ok(_), None) => table.row([name, Cell::styled(Style::Dim, "free")]),
            (Ok(_), Some(lock)) => {
                let word = if is_left_behind(lock, runs) { "left behind" } else { "held" };
                let (owner, since, id) = (lock.owner.clone(), local_time(lock.since), lock.id.clone());
                table.row([name, Cell::styled(Style::Warn, word), owner.into(), since.into(), id.into()]);
            }
        }
    }
    table
}

fn json(one: &Looked, runs: &Runs) -> serde_json::Value {
    let lock = one.lock();
    serde_json::json!({
        "host": one.host, "reachable": one.access.is_ok(), "lock": lock,
        "left-behind": lock.is_some_and(|lock| is_left_behind(lock, runs)), "error": one.access.as_ref().err(),
    })
}
