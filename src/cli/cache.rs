//! `hubctl cache`.

use std::sync::Arc;

use clap::{Args, Subcommand};

use super::hub::Hub;
use super::select::HostsOrAll;
use crate::error::{Error, Exit, Kind, Result};
use crate::evaluate::{Evaluator, Verified};
use crate::fleet::Host;
use crate::nix::EvalError;
use crate::process::Cancel;
use crate::report::{Cell, Output, Style, Table};
use crate::run::fan_out;

/// Shows, verifies or clears what is known of evaluations.
#[derive(Args, Debug)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Tells how much is known, and of each host whether its evaluation holds now.
    Status {
        #[command(flatten)]
        hosts: HostsOrAll,
    },
    /// Evaluates hosts afresh and compares; forgets what is wrong, and exits with 1 if anything was.
    Verify {
        #[command(flatten)]
        hosts: HostsOrAll,
    },
    /// Forgets all that is known.
    Clear,
}

pub(super) async fn run(hub: &Hub, args: CacheArgs) -> Result<Exit> {
    match args.command {
        CacheCommand::Status { hosts } => status(hub, &hosts).await,
        CacheCommand::Verify { hosts } => verify(hub, &hosts).await,
        CacheCommand::Clear => clear(hub),
    }
}

fn clear(hub: &Hub) -> Result<Exit> {
    let (state, dirs) = hub.state()?;
    match std::fs::remove_dir_all(dirs.lint()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::new(Kind::Failed, error)),
        _ => {}
    }
    let failed = |error| Error::new(Kind::Failed, anyhow::Error::new(error));
    let (evaluations, sources) = state.evaluation_counts().map_err(failed)?;
    state.clear_evaluations().map_err(failed)?;
    hub.ui.status(&format!("forgot {evaluations} evaluations and {sources} sources"));
    Ok(Exit::Success)
}

async fn status(hub: &Hub, words: &HostsOrAll) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = words.select(hub, &fleet.inventory)?;
    let mut table = Table::with_header(["HOST", "HOLDS", "WHY"]);
    let mut listed = Vec::new();
    for host in &hosts {
        let known = evaluator.known(host.attribute(), &hub.cancel).await;
        let (holds, why) = match &known.holds {
            Ok(()) => ("yes", "nothing that it was read from has changed".to_owned()),
            Err(reason) => ("no", reason.to_string()),
        };
        let style = if known.holds.is_ok() { Style::Ok } else { Style::Warn };
        listed.push(serde_json::json!({ "host": host.name, "holds": known.holds.is_ok(), "reason": why }));
        table.row([Cell::styled(Style::Host, host.name.to_string()), Cell::styled(style, holds), why.into()]);
    }
    let written = if hub.ui.output() == Output::Json { hub.ui.data_json(&listed) } else { hub.ui.table(&table) };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

async fn verify(hub: &Hub, words: &HostsOrAll) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let hosts = words.select(hub, &fleet.inventory)?;
    let parallel = hosts.len();
    let mut verified = Vec::new();
    let work = |host| verify_host(evaluator.clone(), hub.cancel.clone(), host);
    fan_out(hosts, parallel, work, |one| verified.push(one)).await;
    verified.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    show(hub, &verified).map_err(|error| Error::new(Kind::Failed, error))?;
    let well = |result: &std::result::Result<Verified, EvalError>| {
        matches!(result, Ok(Verified::Right | Verified::NothingKept))
    };
    Ok(if verified.iter().all(|(_, result)| well(result)) { Exit::Success } else { Exit::Failed })
}

type HostVerified = (Host, std::result::Result<Verified, EvalError>);

async fn verify_host(evaluator: Arc<Evaluator>, cancel: Cancel, host: Host) -> HostVerified {
    let verified = evaluator.verify(host.attribute(), &cancel).await;
    (host, verified)
}

fn show(hub: &Hub, verified: &[HostVerified]) -> std::io::Result<()> {
    let mut table = Table::with_header(["HOST", "KEPT ANSWER", "NOTE"]);
    let mut listed = Vec::new();
    for (host, result) in verified {
        let (word, style, note) = match result {
            Ok(Verified::Right) => ("right", Style::Ok, String::new()),
            Ok(Verified::NothingKept) => ("none", Style::Dim, "nothing is kept that would hold now".to_owned()),
            Ok(Verified::Wrong { fresh, .. }) => {
                ("wrong", Style::Fail, format!("forgotten; a fresh evaluation gives {fresh}"))
            }
            Err(error) => ("unknown", Style::Fail, format!("it does not evaluate: {error}")),
        };
        listed.push(serde_json::json!({ "host": host.name, "kept": word, "note": note }));
        table.row([Cell::styled(Style::Host, host.name.to_string()), Cell::styled(style, word), note.into()]);
    }
    if hub.ui.output() == Output::Json { hub.ui.data_json(&listed) } else { hub.ui.table(&table) }
}
