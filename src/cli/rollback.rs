//! `hubctl rollback`.

use clap::Args;

use super::hub::Hub;
use super::job::{self, Wish};
use super::select::{Despite, Hosts, Parallel};
use super::waves::WaveOptions;
use crate::error::{Exit, Result};
use crate::plan::{Doubt, Goal, Rule};
use crate::run::Wants;

/// Brings hosts back to the generation before their profile's own, or to one that is named.
///
/// Works without the flake: a configuration that is broken keeps nobody from going back.
#[derive(Args, Debug)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    hosts: Hosts,
    /// The generation to go to; `hubctl generations HOST` lists them.
    #[arg(long, value_name = "GENERATION")]
    to: Option<u64>,
    #[command(flatten)]
    parallel: Parallel,
    #[command(flatten)]
    despite: Despite,
    #[command(flatten)]
    waves: WaveOptions,
    /// Shows what would be done with each host, and does nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) async fn run(hub: &Hub, args: RollbackArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    // Its name is not known without the flake, and going back is urgent and costs little.
    let overruled = args.despite.doubts().into_iter().chain([Doubt::Battery]).collect();
    let wish = Wish {
        command: "rollback",
        goal: Goal::Switch,
        rule: Rule::IfChanged,
        waves: args.waves.waves(hub, &fleet, &hosts),
        hosts,
        parallel: args.parallel.by_default(&fleet.config),
        overruled,
        dry_run: args.dry_run,
        wants: Wants::Generation(args.to),
        cache: None,
    };
    job::run(hub, fleet, wish).await
}
