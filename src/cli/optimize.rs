//! `hubctl optimize`.

use clap::Args;

use super::hub::Hub;
use super::select::{Hosts, Parallel};
use super::upkeep::{self, RoomOptions, Upkeep};
use crate::error::{Exit, Result};
use crate::run::Work;

/// Has files of hosts' stores that are the same share their place. How much that saves is known only afterwards.
#[derive(Args, Debug)]
pub(super) struct OptimizeArgs {
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    parallel: Parallel,
}

pub(super) async fn run(hub: &Hub, args: OptimizeArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    let work = Work { policy: None, collect: false, optimise: true };
    // Nothing goes, so that there is nothing to ask for.
    let options = RoomOptions::unasked(args.parallel);
    upkeep::run(hub, &fleet, hosts, Upkeep { work, remains: false, links: Vec::new(), options }).await
}
