//! `hubctl deploy-all`.

use clap::Args;

use super::deploy::{Command, Course, How, deploy};
use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::Inventory;
use crate::plan::Rule;

/// Deploys every active host that is not as wanted, one after the other.
///
/// A host that fails does not keep the others from their turn.
#[derive(Args, Debug)]
pub(super) struct DeployAllArgs {
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(hub: &Hub, args: DeployAllArgs) -> Result<Exit> {
    let parallel = |config: &_| args.how.parallel.only_if_asked(config);
    let choose = |inventory: &Inventory| inventory.active().cloned().collect();
    let (fleet, evaluator) = hub.load_to_reach(parallel, choose).await?;
    let hosts: Vec<_> = choose(&fleet.inventory);
    if hosts.is_empty() {
        return Err(Error::message(Kind::NoHost, "the fleet has no active host"));
    }
    let parallel = parallel(&fleet.config);
    let command = Command { name: "deploy-all", rule: Rule::IfChanged, course: Course::Usual };
    deploy(hub, command, fleet, evaluator, hosts, parallel, &args.how).await
}
