//! `hubctl secrets status`.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use super::both::Both;
use super::matrix::Matrix;
use super::place::{Place, told};
use super::{live, sops};
use crate::cli::config::Config;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::Inventory;
use crate::report::{Cell, Output, Style, Table};
use crate::secrets::{Condition, Report, Row, ToRotate, git_state, report};

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// Exits with 1 where something has to be done, for CI.
    #[arg(long)]
    pub(super) check: bool,
    /// Tells instead which host needs which secret and can read what, by its configuration; that is evaluated where it changed.
    #[arg(long)]
    matrix: bool,
    /// Asks the hosts instead what secrets they have: names, modes and owners, and which are missing or empty.
    #[arg(long, conflicts_with = "matrix")]
    pub(super) live: bool,
    /// These hosts alone: names, globs and tags. Without --live it is the matrix that is told of them.
    #[arg(long = "host", value_name = "HOST")]
    pub(super) hosts: Vec<String>,
}

pub(super) async fn run(hub: &Hub, args: &StatusArgs) -> Result<Exit> {
    if args.live {
        return live::run(hub, args).await;
    }
    if args.matrix || !args.hosts.is_empty() {
        return matrix(hub, &Place::of(hub).await?, args).await;
    }
    let both = Both::of(hub).await?;
    let list = ToRotate::read(&both.root).map_err(told)?;
    let report = match &both.agenix {
        Some(place) => Some(of_agenix(hub, place).await?),
        None => None,
    };
    let sops = sops::rows(both.sops, &list);
    let told = AllSecrets { report: report.as_ref(), sops: &sops };
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&told)
    } else {
        let mut table = Table::with_header(["SECRET", "RECIPIENTS", "BYTES", "STATE"]).right(1).right(2);
        if let Some(report) = &report {
            fill(&mut table, report);
        }
        sops::tabulate(&sops, &mut table);
        hub.ui.table(&table)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    if let Some(report) = &report {
        hub.ui.status(&summary(report));
    }
    let well = report.is_none_or(|report| report.is_well()) && sops.iter().all(sops::Row::is_well);
    Ok(if args.check && !well { Exit::Failed } else { Exit::Success })
}

async fn matrix(hub: &Hub, place: &Place, args: &StatusArgs) -> Result<Exit> {
    let matrix = Matrix::of(hub, place, &args.hosts).await?;
    let written =
        if hub.ui.output() == Output::Json { hub.ui.data_json(&matrix.json()) } else { hub.ui.table(&matrix.table()) };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    matrix.tell(hub);
    hub.ui.status(&matrix.summary());
    Ok(if args.check && !matrix.is_well() { Exit::Failed } else { Exit::Success })
}

/// How it stands with the secrets of agenix.
async fn of_agenix(hub: &Hub, place: &Place) -> Result<Report> {
    let mut paths: Vec<_> = place.rules.list.iter().map(|rule| rule.path.clone()).collect();
    paths.push(place.rules.file.clone());
    let git = git_state(&place.root, &paths, &hub.cancel).await;
    hub.not_stopped()?;
    if let Some(git) = git.as_ref().filter(|git| !git.is_tracked(&place.rules.file)) {
        let ignored = if git.is_ignored(&place.rules.file) { "git ignores it" } else { "git does not know it" };
        let message = format!("{} is not in the flake: {ignored}", place.rules.file.display());
        hub.ui.warning(&message, Some(&format!("git add --force {}", place.rules.file.display())));
    }
    report(&place.root, &place.vault, &place.rules, git.as_ref(), &hosts(hub)?).map_err(told)
}

/// How it stands with the secrets of both formats.
#[derive(Serialize)]
struct AllSecrets<'a> {
    #[serde(flatten)]
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sops: &'a [sops::Row],
}

/// The names of the hosts, as far as `hub.toml` tells them.
pub(super) fn hosts(hub: &Hub) -> Result<BTreeSet<String>> {
    let config = Config::of(&hub.flake()?)?;
    let inventory = config.file().map(Inventory::from_file_only);
    Ok(inventory.iter().flat_map(Inventory::iter).map(|host| host.name.to_string()).collect())
}

fn fill(table: &mut Table, report: &Report) {
    for row in &report.secrets {
        let bytes = row.bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        table.row([
            Cell::styled(Style::Bold, row.name.clone()),
            row.recipients.to_string().into(),
            bytes.into(),
            state(row),
        ]);
    }
    for orphan in &report.orphans {
        let name = Cell::styled(Style::Bold, orphan.display().to_string());
        table.row([name, "".into(), "".into(), Cell::styled(Style::Warn, "no rule names it")]);
    }
}

fn state(row: &Row) -> Cell {
    let words: Vec<_> = row.conditions.iter().map(words).collect();
    match row {
        _ if words.is_empty() => Cell::styled(Style::Ok, "fine"),
        row if row.is_well() => Cell::styled(Style::Dim, words.join("; ")),
        _ => Cell::styled(Style::Fail, words.join("; ")),
    }
}

pub(super) fn words(condition: &Condition) -> String {
    match condition {
        Condition::Missing => "it has no file".to_owned(),
        Condition::Damaged { why } => format!("damaged: {why}"),
        Condition::Empty => "it is empty".to_owned(),
        Condition::Ignored => "git ignores it".to_owned(),
        Condition::Untracked => "git does not know it".to_owned(),
        Condition::Unsure => "may be for others: its keys leave no tag".to_owned(),
        Condition::ToRotate { reader, since } => format!("{reader} could read it until {since}: replace its value"),
        Condition::OneHuman => "only one human can read it".to_owned(),
        Condition::Drifted { missing, stale, untagged } => {
            let missing = (!missing.is_empty()).then(|| format!("not yet for {}", missing.join(", ")));
            let stale = (!stale.is_empty()).then(|| format!("still for {}", stale.join(", ")));
            let untagged = untagged.then(|| "another number of recipients without tags".to_owned());
            missing.into_iter().chain(stale).chain(untagged).collect::<Vec<_>>().join("; ")
        }
    }
}

fn summary(report: &Report) -> String {
    let wrong = report.secrets.iter().filter(|row| !row.is_well()).count();
    let drifted = |row: &&Row| row.conditions.iter().any(|one| matches!(one, Condition::Drifted { .. }));
    let all = report.secrets.len();
    let of = if all == 1 { "1 secret".to_owned() } else { format!("{all} secrets") };
    let mut text =
        if wrong == 0 { format!("{of}, all as they should be") } else { format!("{wrong} of {of} need something") };
    if report.secrets.iter().any(|row| drifted(&row)) {
        text.push_str("; `hubctl secrets rekey` encrypts those anew that drifted");
    }
    text
}
