//! The command, and what it gathers.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::page::page;
use crate::cli::config::Config;
use crate::cli::hub::Hub;
use crate::cli::moment::{Moment, parse_moment};
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::{FlakeHosts, HostName, Inventory};
use crate::state::{Cost, Deployment, Filter, Sighting, StateError};

/// How many deployments are told where nobody says since when.
const TOLD: u32 = 200;

/// Writes a page of HTML on the fleet: its hosts as they were last seen, deployments, evaluation times and space.
///
/// It comes from what earlier runs wrote down, and nobody is asked; `hubctl status` before it brings it up to date. The page is one
/// file that loads nothing from anywhere.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReportArgs {
    /// The file that is written; to standard output without it.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only deployments that began at this time or later, as for `history`.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
}

/// All that the page tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) flake: String,
    pub(super) made: Timestamp,
    pub(super) inventory: Inventory,
    /// How hosts were when they were asked last.
    pub(super) seen: BTreeMap<String, Sighting>,
    /// Newest first.
    pub(super) deployments: Vec<Deployment>,
    /// What the evaluations of each host cost, oldest first.
    pub(super) evaluations: BTreeMap<String, Vec<Cost>>,
}

pub(in crate::cli) fn run(hub: &Hub, args: ReportArgs) -> Result<Exit> {
    let html = page(&gather(hub, args.since)?);
    let failed = |error: std::io::Error| Error::new(Kind::Failed, error);
    match args.out {
        None => hub.ui.data(&html).map_err(failed)?,
        Some(file) => {
            fs::write(&file, html).map_err(|error| {
                Error::message(Kind::Failed, format!("{} cannot be written: {error}", file.display()))
            })?;
            hub.ui.status(&format!("{} is written", file.display()));
        }
    }
    Ok(Exit::Success)
}

fn gather(hub: &Hub, since: Option<Moment>) -> Result<Told> {
    let flake = hub.flake()?;
    let config = Config::of(&flake)?;
    let (state, _) = hub.state()?;
    let flake = flake.to_string();
    let failed = |error: StateError| Error::new(Kind::Failed, error);
    let names = state.hosts_of(&flake).map_err(failed)?;
    let names = names.into_iter().filter(|name| name.parse::<HostName>().is_ok()).collect();
    let known = FlakeHosts { nixos: names, ..FlakeHosts::default() };
    let inventory = Inventory::new(config.file(), &known).map(|(inventory, _)| inventory);
    let filter =
        Filter { since: since.map(|moment| moment.begin), limit: since.is_none().then_some(TOLD), ..Filter::default() };
    let mut deployments = state.deployments(&filter).map_err(failed)?;
    deployments.retain(|one| one.flake == flake);
    let seen = state.sightings().map_err(failed)?.into_iter().filter(|(of, ..)| *of == flake);
    Ok(Told {
        evaluations: state.evaluation_costs(&flake).map_err(failed)?,
        seen: seen.map(|(_, host, sighting)| (host, sighting)).collect(),
        inventory: inventory.map_err(|errors| crate::cli::config::config_error(&errors))?,
        made: Timestamp::now(),
        deployments,
        flake,
    })
}
