//! `hubctl info`.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::nix::{Input, inputs};
use crate::report::units::{elapsed, local};
use crate::report::{Cell, Output, Style, Table};

/// Tells what hubctl works with: the flake and its revision, its inputs and their age, Nix, and where things are kept.
#[derive(Args, Debug)]
pub(super) struct InfoArgs {}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    flake: String,
    source: String,
    rev: Option<String>,
    dirty: bool,
    hub_toml: Option<String>,
    hosts: usize,
    archived: usize,
    nix: String,
    hubctl: &'static str,
    state: String,
    inputs: Vec<Input>,
}

pub(super) async fn run(hub: &Hub) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let (_, dirs) = hub.state()?;
    let source = evaluator.source();
    let active = fleet.inventory.active().count();
    let info = Info {
        flake: source.url.clone(),
        source: source.path.to_string(),
        rev: source.rev.clone(),
        dirty: source.dirty,
        hub_toml: fleet.config.file().map(|file| file.path().display().to_string()),
        hosts: active,
        archived: fleet.inventory.iter().count() - active,
        nix: fleet.nix.version().to_string(),
        hubctl: env!("CARGO_PKG_VERSION"),
        state: dirs.root().display().to_string(),
        inputs: inputs(source.locks()),
    };
    show(hub, &info).map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}

fn show(hub: &Hub, info: &Info) -> std::io::Result<()> {
    if hub.ui.output() == Output::Json {
        return hub.ui.data_json(info);
    }
    let revision = match (&info.rev, info.dirty) {
        (Some(rev), _) => rev.as_str(),
        (None, true) => "a work tree with changes that no commit has",
        (None, false) => "none",
    };
    let mut table = Table::new();
    for (what, text) in [
        ("flake", info.flake.as_str()),
        ("revision", revision),
        ("source", &info.source),
        ("hub.toml", info.hub_toml.as_deref().unwrap_or("none")),
        ("hosts", &format!("{} active, {} archived", info.hosts, info.archived)),
        ("Nix", &info.nix),
        ("hubctl", info.hubctl),
        ("state", &info.state),
    ] {
        table.row([Cell::styled(Style::Dim, what), text.into()]);
    }
    hub.ui.table(&table)?;
    if info.inputs.is_empty() {
        return Ok(());
    }
    hub.ui.data("\n")?;
    hub.ui.table(&inputs_table(&info.inputs, Timestamp::now()))
}

fn inputs_table(inputs: &[Input], now: Timestamp) -> Table {
    let mut table = Table::with_header(["INPUT", "FROM", "REVISION", "MADE", "AGE"]).right(4);
    for input in inputs {
        let age = input.modified.map(|time| elapsed(now.duration_since(time).unsigned_abs()));
        table.row([
            Cell::styled(Style::Bold, input.name.clone()),
            input.from.clone().into(),
            input.rev.as_deref().map(|rev| rev.chars().take(10).collect::<String>()).unwrap_or_default().into(),
            input.modified.map(local).unwrap_or_default().into(),
            age.unwrap_or_default().into(),
        ]);
    }
    table
}
