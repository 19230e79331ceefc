//! `hubctl history`.

use clap::{Args, Subcommand};

use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::HostName;
use crate::report::units::{duration, local};
use crate::report::{Cell, Output, Style, Table};
use crate::state::{Deployment, Filter, HostRecord, RunState, State, StateDirs};

/// How many deployments are looked at for those that belong together.
const LOOKED_AT: u32 = 1000;

/// Lists the deployments that were made from here, newest first: who deployed what where, and how it ended.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct HistoryArgs {
    /// Only deployments that this host took part in.
    #[arg(value_name = "HOST")]
    host: Option<HostName>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    #[command(subcommand)]
    command: Option<HistoryCommand>,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// Shows all that is known of one deployment.
    Show {
        /// Its id, or the beginning of it.
        id: String,
    },
}

pub(super) fn run(hub: &Hub, args: HistoryArgs) -> Result<Exit> {
    let (state, dirs) = hub.state()?;
    match args.command {
        Some(HistoryCommand::Show { id }) => show(hub, &state, &dirs, &id),
        None => list(hub, &state, &Filter { host: args.host, id: None, limit: Some(args.limit) }),
    }
}

fn list(hub: &Hub, state: &State, filter: &Filter) -> Result<Exit> {
    let found = state.deployments(filter).map_err(|error| Error::new(Kind::Failed, error))?;
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&found)
    } else if found.is_empty() {
        hub.ui.status("nothing has been deployed from here yet");
        Ok(())
    } else {
        hub.ui.table(&table(&found))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn table(found: &[Deployment]) -> Table {
    let mut table = Table::with_header(["ID", "WHEN", "COMMAND", "REVISION", "BY", "TOOK", "HOSTS"]).right(5);
    for one in found {
        table.row([
            Cell::styled(Style::Bold, one.id.clone()),
            local(one.started).into(),
            command(one).into(),
            revision(one).into(),
            one.operator.clone().into(),
            took(one).into(),
            outcomes(one),
        ]);
    }
    table
}

fn show(hub: &Hub, state: &State, dirs: &StateDirs, id: &str) -> Result<Exit> {
    let one = find(state, id)?;
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&one)
    } else {
        hub.ui.data(&headline(&one)).and_then(|()| hub.ui.table(&hosts_table(&one, dirs)))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

/// The deployment with this id, or the only one whose id begins so.
fn find(state: &State, id: &str) -> Result<Deployment> {
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    let mut found = state.deployments(&filter).map_err(|error| Error::new(Kind::Failed, error))?;
    let exact = found.iter().position(|one| one.id == id);
    match (exact, found.len()) {
        (Some(at), _) => Ok(found.swap_remove(at)),
        (None, 1) => Ok(found.swap_remove(0)),
        (None, 0) => {
            Err(Error::message(Kind::Usage, format!("there is no deployment `{id}`"))
                .hint("`hubctl history` lists them"))
        }
        (None, many) => Err(Error::message(Kind::Usage, format!("{many} deployments begin with `{id}`"))
            .hint("give more of the id; `hubctl history` lists them")),
    }
}

/// The deployment with this id, of the flake at hand. An error while it goes on: what becomes of its hosts is not known then.
pub(super) fn find_ended(hub: &Hub, id: &str) -> Result<Deployment> {
    let (state, _) = hub.state()?;
    let one = find(&state, id)?;
    if one.flake != hub.flake()?.to_string() {
        let message = format!("the deployment {} is of another flake, {}", one.id, one.flake);
        return Err(Error::message(Kind::Usage, message).hint("name that with --flake"));
    }
    check_ended(hub, &one)?;
    Ok(one)
}

/// An error while a deployment goes on.
pub(super) fn check_ended(hub: &Hub, one: &Deployment) -> Result<()> {
    let (_, dirs) = hub.state()?;
    if dirs.runs().state(&one.id) != RunState::Live {
        return Ok(());
    }
    Err(Error::message(Kind::Refused, format!("the deployment {} still goes on", one.id))
        .hint("wait for its end, or stop it with Ctrl-C where it runs"))
}

/// The deployments of the flake at hand, newest first.
pub(super) fn of_flake(hub: &Hub) -> Result<Vec<Deployment>> {
    let (state, _) = hub.state()?;
    let filter = Filter { limit: Some(LOOKED_AT), ..Filter::default() };
    let mut all = state.deployments(&filter).map_err(|error| Error::new(Kind::Failed, error))?;
    let flake = hub.flake()?.to_string();
    all.retain(|one| one.flake == flake);
    Ok(all)
}

fn headline(one: &Deployment) -> String {
    format!(
        "{}  {} by {}\nflake     {} ({})\nbegun     {}\ntook      {}\nexit code {}\n",
        one.id,
        command(one),
        one.operator,
        one.flake,
        revision(one),
        local(one.started),
        took(one),
        one.exit.map_or_else(|| "none: it was killed, or still runs".to_owned(), |exit| exit.to_string()),
    )
}

fn hosts_table(one: &Deployment, dirs: &StateDirs) -> Table {
    let mut table =
        Table::with_header(["HOST", "OUTCOME", "TOOK", "GEN", "FROM", "TO", "NOTE", "LOG"]).right(2).right(3);
    for (host, record) in &one.hosts {
        let hash =
            |path: &Option<crate::nix::StorePath>| path.as_ref().map_or("-", |path| path.short_hash()).to_owned();
        let log = dirs.logs(&one.id).join(format!("{host}.log"));
        table.row([
            Cell::styled(Style::Host, host.clone()),
            outcome(record),
            record.duration_ms.map(milliseconds).unwrap_or_default().into(),
            record.generation.map(|number| number.to_string()).unwrap_or_default().into(),
            hash(&record.old).into(),
            hash(&record.wanted).into(),
            record.error.as_ref().or(record.detail.as_ref()).cloned().unwrap_or_default().into(),
            if log.exists() { log.display().to_string() } else { String::new() }.into(),
        ]);
    }
    table
}

/// What was run, for a person.
pub(super) fn command(one: &Deployment) -> String {
    let goal = if one.goal == "switch" { String::new() } else { format!(" --goal {}", one.goal) };
    let of = one.follows.as_ref().map(|id| format!(" of {id}")).unwrap_or_default();
    format!("{}{goal}{of}", one.command)
}

fn revision(one: &Deployment) -> String {
    match &one.rev {
        Some(rev) => rev.chars().take(10).collect(),
        None if one.dirty => "dirty".to_owned(),
        None => "-".to_owned(),
    }
}

fn took(one: &Deployment) -> String {
    one.finished.map_or_else(
        || "unfinished".to_owned(),
        |finished| {
            milliseconds(u64::try_from(finished.as_millisecond() - one.started.as_millisecond()).unwrap_or_default())
        },
    )
}

fn milliseconds(ms: u64) -> String {
    duration(std::time::Duration::from_millis(ms))
}

fn outcome(record: &HostRecord) -> Cell {
    record.outcome.map_or_else(|| "not ended".into(), |outcome| Cell::styled(Style::of(outcome), outcome.as_str()))
}

/// The hosts' outcomes, the same ones together.
fn outcomes(one: &Deployment) -> Cell {
    let mut by_outcome = std::collections::BTreeMap::<_, Vec<&str>>::new();
    for (host, record) in &one.hosts {
        by_outcome.entry(record.outcome.map_or("not ended", |outcome| outcome.as_str())).or_default().push(host);
    }
    let parts: Vec<_> = by_outcome.iter().map(|(outcome, hosts)| format!("{outcome}: {}", hosts.join(" "))).collect();
    parts.join("; ").into()
}
