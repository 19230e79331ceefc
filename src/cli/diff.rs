//! `hubctl diff` and `hubctl diff-hosts`.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use super::change_list::{markdown, text};
use super::compare::{AskUnits, Compared, Comparer, Side};
use super::hub::{Fleet, Hub};
use super::passwords;
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::{Host, HostName};
use crate::report::Output;

/// Shows what deploying would change on hosts: packages, the size of the whole, units, users, open ports, secrets, files in /etc, and
/// what takes a reboot.
///
/// The base is what each host runs now, and the wanted systems are built first, where hub.toml has them built. Changes that several hosts have are shown once.
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    /// Copies the new systems to the hosts, so that each can tell which of its units would stop, restart, reload or start. Without, only
    /// hosts that have theirs already tell.
    #[arg(long, conflicts_with_all = ["rev", "generation"])]
    units: bool,
    /// Compares with what a commit, branch or tag of the flake wants instead of what runs; given twice, compares the two. No host is
    /// asked.
    #[arg(long, value_name = "REV", conflicts_with = "generation")]
    rev: Vec<String>,
    /// Compares what the host runs with a generation of its profile, as the older one; given twice, compares the two.
    #[arg(long, value_name = "GENERATION")]
    generation: Vec<u64>,
    /// Writes Markdown, for a pull request.
    #[arg(long)]
    markdown: bool,
}

/// Shows what the systems that the flake wants for two hosts have different.
#[derive(Args, Debug)]
pub(super) struct DiffHostsArgs {
    /// The host to compare from.
    old: HostName,
    /// The host to compare with.
    new: HostName,
    /// Writes Markdown, for a pull request.
    #[arg(long)]
    markdown: bool,
}

pub(super) async fn run(hub: &Hub, args: DiffArgs) -> Result<Exit> {
    check_markdown(hub, args.markdown)?;
    let (fleet, hosts, old, new) = match args.generation.as_slice() {
        [] => of_flake(hub, &args).await?,
        numbers => {
            let (old, new) = generations(numbers)?;
            let fleet = hub.reachable(&args.hosts.hosts).await?;
            let hosts = args.hosts.select(hub, &fleet.inventory)?;
            (fleet, hosts, old, new)
        }
    };
    let elevations = if args.units {
        let connect = hub.connector(&fleet.config)?;
        hub.unless_stopped(passwords::elevations(hub, connect.as_ref(), &hosts)).await?
    } else {
        BTreeMap::new()
    };
    let ask_units = if args.units { AskUnits::Copied } else { AskUnits::IfThere };
    let comparer = Arc::new(Comparer::new(hub, &fleet, ask_units, elevations)?);
    let found = comparer.all(hosts, &old, &new).await;
    comparer.close().await;
    hub.not_stopped()?;
    show(hub, &found, args.markdown)
}

pub(super) async fn run_between(hub: &Hub, args: DiffHostsArgs) -> Result<Exit> {
    check_markdown(hub, args.markdown)?;
    let (fleet, evaluator) = hub.load().await?;
    let one = |name: &HostName| {
        let hosts = hub.select(&fleet.inventory, &[name.to_string()])?;
        hosts.into_iter().next().ok_or_else(|| Error::message(Kind::NoHost, format!("there is no host {name}")))
    };
    let (old, new) = (one(&args.old)?, one(&args.new)?);
    let comparer = Comparer::new(hub, &fleet, AskUnits::IfThere, BTreeMap::new())?;
    let found = comparer.between(&old, &new, &Side::Flake(evaluator)).await;
    hub.not_stopped()?;
    show(hub, &[found], args.markdown)
}

/// Both say how the answer is to be written.
fn check_markdown(hub: &Hub, wanted: bool) -> Result<()> {
    if wanted && hub.ui.output() == Output::Json {
        return Err(
            Error::message(Kind::Usage, "--json and --markdown exclude each other").hint("leave one of them out")
        );
    }
    Ok(())
}

/// The fleet, its hosts, and which systems of them are compared, where at least one comes from the flake.
async fn of_flake(hub: &Hub, args: &DiffArgs) -> Result<(Fleet, Vec<Host>, Side, Side)> {
    if args.rev.len() > 2 {
        return Err(Error::message(Kind::Usage, format!("--rev is given {} times", args.rev.len()))
            .hint("give one revision, to compare with the flake as it is, or two"));
    }
    let (fleet, evaluator) = hub.load().await?;
    let hosts = args.hosts.select(hub, &fleet.inventory)?;
    let (old, new) = match args.rev.as_slice() {
        [] => (Side::Running, Side::Flake(evaluator)),
        [old] => (Side::Flake(at_revision(hub, &evaluator, old).await?), Side::Flake(evaluator)),
        [old, new, ..] => {
            let (old, new) = (at_revision(hub, &evaluator, old).await?, at_revision(hub, &evaluator, new).await?);
            (Side::Flake(old), Side::Flake(new))
        }
    };
    Ok((fleet, hosts, old, new))
}

async fn at_revision(hub: &Hub, evaluator: &Evaluator, name: &str) -> Result<Arc<Evaluator>> {
    let flake = hub.flake()?.at_revision(name, &hub.cancel).await.map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        Error::new(Kind::Usage, error).hints(hint)
    })?;
    Ok(Arc::new(hub.evaluator_at(evaluator, flake).await?))
}

fn generations(numbers: &[u64]) -> Result<(Side, Side)> {
    match numbers {
        [old] => Ok((Side::Generation(*old), Side::Running)),
        [old, new] => Ok((Side::Generation(*old), Side::Generation(*new))),
        _ => Err(Error::message(Kind::Usage, format!("--generation is given {} times", numbers.len()))
            .hint("give one generation, to compare with what runs, or two")),
    }
}

fn show(hub: &Hub, compared: &[Compared], as_markdown: bool) -> Result<Exit> {
    let written = match hub.ui.output() {
        Output::Json => hub.ui.data_json(&compared),
        _ if as_markdown => hub.ui.data(&markdown(compared)),
        _ => hub.ui.data(&text(compared, hub.ui.out(), hub.ui.out_width())),
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    if hub.ui.output() != Output::Json {
        tell_unknown(hub, compared);
    }
    Ok(if compared.iter().any(|one| one.error.is_some()) { Exit::Failed } else { Exit::Success })
}

/// Tells what is not known of whom, the same reasons together.
pub(super) fn tell_unknown(hub: &Hub, compared: &[Compared]) {
    let mut notes = BTreeMap::<&str, Vec<&str>>::new();
    for (one, note) in compared.iter().flat_map(|one| one.notes.iter().map(move |note| (one, note))) {
        notes.entry(note).or_default().push(&one.host);
    }
    for (note, hosts) in notes {
        hub.ui.status(&format!("{}: {note}", hosts.join(" ")));
    }
    for one in compared {
        if let Some(error) = &one.error {
            hub.ui.warning(&format!("{}: {error}", one.host), None);
        }
    }
}
