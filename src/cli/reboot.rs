//! `hubctl reboot`.

use clap::Args;

use super::hub::Hub;
use super::job::{self, Kept, Wish};
use super::select::{Despite, Hosts, Parallel};
use super::waves::WaveOptions;
use crate::error::{Exit, Result};
use crate::fleet::OnFailure;
use crate::plan::{Goal, Rule};
use crate::run::Wants;

/// Reboots hosts into their boot default, one after the other, and waits until each is back and runs it.
///
/// Where the boot loader can, the new system is booted once: a host that does not come up with it, or comes up and cannot be
/// reached, goes back to the system that it was booted with before. Works without the flake.
#[derive(Args, Debug)]
pub(super) struct RebootArgs {
    #[command(flatten)]
    hosts: Hosts,
    /// Leaves alone the hosts for which a boot would change nothing.
    #[arg(long)]
    if_needed: bool,
    #[command(flatten)]
    parallel: Parallel,
    #[command(flatten)]
    despite: Despite,
    /// Shows what would be done with each host, and does nothing.
    #[arg(long, short = 'n')]
    dry_run: bool,
}

pub(super) async fn run(hub: &Hub, args: RebootArgs) -> Result<Exit> {
    let fleet = hub.reachable(&args.hosts.hosts).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    let mut waves = WaveOptions::default().waves(hub, &fleet, &hosts).await?;
    // A host that was booted has nothing to go back to but by another boot.
    waves.policy.on_failure = OnFailure::Keep;
    let wish = Wish {
        command: "reboot",
        goal: Goal::Reboot,
        rule: if args.if_needed { Rule::IfChanged } else { Rule::Always },
        waves,
        hosts,
        parallel: args.parallel.only_if_asked(&fleet.config),
        // Its name is not known without the flake.
        overruled: args.despite.doubts(),
        dry_run: args.dry_run,
        wants: Wants::BootDefault,
        cache: None,
        kept: Kept::default(),
    };
    job::run(hub, fleet, wish).await
}
