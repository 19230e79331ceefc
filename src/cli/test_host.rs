//! `hubctl test-host`.

use std::collections::BTreeSet;

use clap::Args;

use super::hub::Hub;
use super::job::{self, Kept, Wish};
use super::select::{Build, Cached, Hosts, Parallel};
use crate::error::{Exit, Result};
use crate::plan::{Goal, Rule, Waves};
use crate::run::Wants;

/// Evaluates and builds hosts' toplevels, and changes nothing anywhere.
#[derive(Args, Debug)]
pub(super) struct TestHostArgs {
    #[command(flatten)]
    hosts: Hosts,
    #[command(flatten)]
    parallel: Parallel,
    #[command(flatten)]
    build: Build,
    #[command(flatten)]
    cached: Cached,
}

pub(super) async fn run(hub: &Hub, args: TestHostArgs) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let mut hosts = hub.select(&fleet.inventory, &args.hosts.hosts)?;
    args.build.apply(&mut hosts, &fleet)?;
    let cache = args.cached.cache(hub, &fleet).await?;
    let wish = Wish {
        command: "test-host",
        goal: Goal::Build,
        rule: Rule::Always,
        waves: Waves::at_once(&hosts),
        hosts,
        parallel: args.parallel.by_default(&fleet.config),
        overruled: BTreeSet::new(),
        dry_run: false,
        wants: Wants::Flake(evaluator),
        cache,
        kept: Kept::default(),
    };
    job::run(hub, fleet, wish).await
}
