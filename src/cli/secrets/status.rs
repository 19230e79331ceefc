//! `hubctl secrets status`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::both::Both;
use super::matrix::Matrix;
use super::place::{Place, told};
use super::values::{self, Values};
use super::{live, sops};
use crate::cli::config::Config;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::Inventory;
use crate::report::{Cell, Output, Style, Table};
use crate::secrets::rotation::{Standing, Target};
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
        return matrix(hub, &Both::of(hub).await?, args).await;
    }
    let both = Both::of(hub).await?;
    let list = ToRotate::read(&both.root).map_err(told)?;
    let report = match &both.agenix {
        Some(place) => Some(of_agenix(hub, place).await?),
        None => None,
    };
    let values = Values::of(hub, &both.root, both.agenix.as_ref().map(|place| (place, &place.rules)))?;
    for name in values.care.unknown() {
        hub.ui.warning(&format!("hub.toml: there is no secret for {name}"), None);
    }
    let rotation = values.standing(hub, &both.sops.secrets).await?;
    let sops = sops::rows(both.sops, &list);
    let told = AllSecrets { report: report.as_ref(), sops: &sops, rotation: &rotation };
    told.tell(hub)?;
    Ok(if args.check && !told.is_well() { Exit::Failed } else { Exit::Success })
}

async fn matrix(hub: &Hub, both: &Both, args: &StatusArgs) -> Result<Exit> {
    let matrix = Matrix::of(hub, both, &args.hosts).await?;
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rotation: &'a [Standing],
}

impl AllSecrets<'_> {
    fn is_well(&self) -> bool {
        self.report.is_none_or(Report::is_well)
            && self.sops.iter().all(sops::Row::is_well)
            && self.rotation.iter().all(Standing::is_well)
    }

    fn tell(&self, hub: &Hub) -> Result<()> {
        let json = hub.ui.output() == Output::Json;
        let written = if json { hub.ui.data_json(self) } else { hub.ui.table(&self.table()) };
        written.map_err(|error| Error::new(Kind::Failed, error))?;
        if let Some(report) = self.report {
            hub.ui.status(&summary(report));
        }
        let due = self.rotation.iter().filter(|one| one.due).count();
        if due > 0 {
            hub.ui.status(&format!("{due} older than they may become: `hubctl secrets rotate --due`"));
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::with_header(["SECRET", "RECIPIENTS", "BYTES", "STATE"]).right(1).right(2);
        let mut others: BTreeMap<&Target, &Standing> = self.rotation.iter().map(|one| (&one.secret, one)).collect();
        let mut of = |path: &Path| others.remove(&Target::file(path)).map(values::words).unwrap_or_default();
        if let Some(report) = self.report {
            fill(&mut table, report, &mut of);
        }
        sops::tabulate(self.sops, &mut table, &mut of);
        // Values within files, which have no rows of their own otherwise.
        for (secret, standing) in others {
            let name = Cell::styled(Style::Bold, secret.to_string());
            table.row([name, "".into(), "".into(), sops::state_of(&values::words(standing))]);
        }
        table
    }
}

/// The names of the hosts, as far as `hub.toml` tells them.
pub(super) fn hosts(hub: &Hub) -> Result<BTreeSet<String>> {
    let config = Config::of(&hub.flake()?)?;
    let inventory = config.file().map(Inventory::from_file_only);
    Ok(inventory.iter().flat_map(Inventory::iter).map(|host| host.name.to_string()).collect())
}

/// Puts the secrets of agenix into the table; `more` is about their values.
fn fill(table: &mut Table, report: &Report, more: &mut impl FnMut(&Path) -> Vec<String>) {
    for row in &report.secrets {
        let bytes = row.bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        table.row([
            Cell::styled(Style::Bold, row.name.clone()),
            row.recipients.to_string().into(),
            bytes.into(),
            state(row, more(&row.path)),
        ]);
    }
    for orphan in &report.orphans {
        let name = Cell::styled(Style::Bold, orphan.display().to_string());
        table.row([name, "".into(), "".into(), Cell::styled(Style::Warn, "no rule names it")]);
    }
}

fn state(row: &Row, more: Vec<String>) -> Cell {
    let is_well = row.is_well() && more.is_empty();
    let words: Vec<_> = row.conditions.iter().map(words).chain(more).collect();
    match row {
        _ if words.is_empty() => Cell::styled(Style::Ok, "fine"),
        _ if is_well => Cell::styled(Style::Dim, words.join("; ")),
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
