//! `hubctl gc`.

use clap::Args;

use super::hub::Hub;
use super::select::Hosts;
use super::upkeep::{self, RoomOptions, Upkeep};
use crate::error::{Exit, Result};
use crate::run::Work;

/// Removes old generations of hosts, what their boot loaders have of them, and what nothing needs any more in their stores.
///
/// What would be freed is shown first, and asked for. What a rollback may need stays: the generations that `keep` and `keep-since`
/// of hub.toml say, the boot default and the one before it, what runs, what was booted, and what the last deployment left there.
#[derive(Args, Debug)]
pub(super) struct GcArgs {
    #[command(flatten)]
    hosts: Hosts,
    /// Leaves all generations, and collects alone.
    #[arg(long, conflicts_with_all = ["keep", "keep_since", "no_collect"])]
    all_generations: bool,
    /// Removes generations, which makes room in /boot, and collects nothing.
    #[arg(long)]
    no_collect: bool,
    #[command(flatten)]
    options: RoomOptions,
}

pub(super) async fn run(hub: &Hub, args: GcArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    let policy = (!args.all_generations).then(|| args.options.policy(fleet.config.gc()));
    let work = Work { policy, collect: !args.no_collect, optimise: false };
    upkeep::run(hub, &fleet, hosts, Upkeep { work, remains: false, links: Vec::new(), options: args.options }).await
}
