//! `hubctl quick-deploy`.

use clap::Args;

use super::deploy::{Command, Course, How, deploy};
use super::hub::Hub;
use super::select::Hosts;
use crate::error::{Exit, Result};
use crate::plan::Rule;

/// Deploys only what changed: hosts that run what the flake wants, and boot it by default, are left alone.
///
/// Hosts are worked on side by side and on their own: one that fails neither stops nor hides another.
#[derive(Args, Debug)]
pub(super) struct QuickDeployArgs {
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(hub: &Hub, args: QuickDeployArgs) -> Result<Exit> {
    let parallel = |config: &_| args.how.parallel.by_default(config);
    let choose = |inventory: &_| Hub::guess(inventory, &args.hosts.hosts);
    let (fleet, evaluator) = hub.load_to_reach(parallel, choose).await?;
    let hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    let parallel = parallel(&fleet.config);
    let command = Command { name: "quick-deploy", rule: Rule::IfChanged, course: Course::Usual };
    deploy(hub, command, fleet, evaluator, hosts, parallel, &args.how).await
}
