//! `hubctl test-all`.

use std::collections::BTreeSet;

use clap::Args;

use super::hub::Hub;
use super::job::{self, Kept, Wish};
use super::select::{Build, Cached, HostsOrAll, Parallel};
use crate::error::{Exit, Result};
use crate::plan::{Goal, Rule, Waves};
use crate::run::Wants;

/// Evaluates and builds the toplevels of all active hosts, one after the other, and changes nothing anywhere.
#[derive(Args, Debug)]
pub(super) struct TestAllArgs {
    #[command(flatten)]
    hosts: HostsOrAll,
    #[command(flatten)]
    parallel: Parallel,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    cached: Cached,
}

pub(super) async fn run(hub: &Hub, args: TestAllArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let mut hosts = args.hosts.select(hub, &fleet.inventory)?;
    args.build.apply(&mut hosts, &fleet)?;
    let cache = args.cached.cache(hub, &fleet).await?;
    let wish = Wish {
        command: "test-all",
        goal: Goal::Build,
        rule: Rule::Always,
        waves: Waves::at_once(&hosts),
        hosts,
        parallel: args.parallel.only_if_asked(&fleet.config),
        overruled: BTreeSet::new(),
        dry_run: false,
        wants: Wants::Flake(evaluator),
        cache,
        kept: Kept::default(),
    };
    job::run(hub, fleet, wish).await
}
