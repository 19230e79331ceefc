//! In which waves a command changes its hosts: what the command line says of it, and what the fleet itself asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::hub::{Fleet, Hub, local_host, this_machine};
use crate::error::{Result, nearest};
use crate::fleet::{Batch, Host, HostName, OnFailure, WavePolicy, soak_time};
use crate::nix::CacheUrl;
use crate::plan::{Roles, Waves};
use crate::remote::Target;
use crate::run::{fan_out, target_of};

/// How many times ssh is asked at once what its configuration makes of a host.
const ASKED_AT_ONCE: usize = 8;

/// Where the help shows these options.
const HEADING: &str = "Waves";

/// How a fleet moves in waves. What is not said here, `[deploy]` of `hub.toml` says.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct WaveOptions {
    /// Deploys N hosts first, and the others only when they are well; 0 for none.
    #[arg(long, help_heading = HEADING, value_name = "N")]
    canary: Option<usize>,
    /// Deploys so many hosts at once, or such a share of them, and the next ones only when they are well.
    #[arg(long, help_heading = HEADING, value_name = "N|P%")]
    batch: Option<Batch>,
    /// Begins no further wave when more than N hosts have failed.
    #[arg(long, help_heading = HEADING, value_name = "N")]
    max_failures: Option<usize>,
    /// Leaves the hosts of a wave to themselves for this long, such as 5m, and looks at them again before the next one begins.
    #[arg(long, help_heading = HEADING, value_name = "TIME", value_parser = soak_time)]
    soak: Option<Duration>,
    /// What becomes of hosts that are done when too many others fail: they keep their new systems, or go back to their old ones.
    #[arg(long, help_heading = HEADING, value_enum, value_name = "WHAT")]
    on_failure: Option<WhatThen>,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
enum WhatThen {
    Keep,
    RollBack,
}

impl From<WhatThen> for OnFailure {
    fn from(what: WhatThen) -> Self {
        match what {
            WhatThen::Keep => Self::Keep,
            WhatThen::RollBack => Self::RollBack,
        }
    }
}

impl WaveOptions {
    /// The waves in which `hosts` are changed.
    pub(super) async fn waves(&self, hub: &Hub, fleet: &Fleet, hosts: &[Host]) -> Result<Waves> {
        let policy = self.policy(fleet.config.deploy().waves);
        if hosts.len() > 1 {
            warn_of_unknown_tags(hub, fleet, &policy);
        }
        let roles = Roles { jump_hosts: jump_hosts(hub, fleet, hosts).await?, ..roles(fleet) };
        Ok(Waves::of(hosts, &fleet.hosts(), &roles, &policy))
    }

    /// What holds for the waves of a run.
    pub(super) fn policy(&self, of_file: WavePolicy) -> WavePolicy {
        WavePolicy {
            canary: self.canary.unwrap_or(of_file.canary),
            batch: self.batch.or(of_file.batch),
            order: of_file.order,
            max_failures: self.max_failures.unwrap_or(of_file.max_failures),
            soak: self.soak.unwrap_or(of_file.soak),
            on_failure: self.on_failure.map_or(of_file.on_failure, OnFailure::from),
        }
    }
}

/// A tag of `order` that no host has is a slip: the hosts that were meant would come last.
fn warn_of_unknown_tags(hub: &Hub, fleet: &Fleet, policy: &WavePolicy) {
    let known = fleet.inventory.tags();
    for tag in policy.order.iter().filter(|tag| !known.contains(tag.as_str())) {
        let near = nearest(tag, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        hub.ui.warning(
            &format!("`order` under [deploy] in hub.toml names the tag `{tag}`, which no host has"),
            near.as_deref(),
        );
    }
}

/// The hosts that others need.
fn roles(fleet: &Fleet) -> Roles {
    let cache = fleet.config.cache();
    let places: Vec<_> = [&cache.url, &cache.substituter].into_iter().flatten().filter_map(CacheUrl::host).collect();
    let serves = |host: &&Host| places.iter().any(|place| *place == host.target || *place == host.name.as_str());
    Roles {
        this_machine: local_host(&fleet.inventory).map(|host| host.name.clone()),
        caches: fleet.inventory.iter().filter(serves).map(|host| host.name.clone()).collect(),
        jump_hosts: BTreeMap::new(),
    }
}

/// The hosts of the fleet that ssh goes through to reach others of `hosts`, each with those.
async fn jump_hosts(hub: &Hub, fleet: &Fleet, hosts: &[Host]) -> Result<BTreeMap<HostName, BTreeSet<HostName>>> {
    let connector = hub.connector(&fleet.config)?;
    let (mut found, options) = (BTreeMap::new(), connector.options());
    if hosts.len() < 2 || !options.may_jump() {
        return Ok(found);
    }
    let this_machine = this_machine();
    let targets = hosts.iter().filter_map(|host| match target_of(host, this_machine.as_deref()) {
        Target::Ssh(target) => Some((host.name.clone(), target)),
        Target::Local => None,
    });
    let work = |(host, target)| {
        let (options, cancel) = (options.clone(), hub.cancel.clone());
        async move { (host, options.jumps(&target, &cancel).await) }
    };
    let places: BTreeMap<&str, &HostName> = fleet
        .inventory
        .iter()
        .flat_map(|host| [(host.name.as_str(), &host.name), (host.target.as_str(), &host.name)])
        .collect();
    fan_out(targets, ASKED_AT_ONCE, work, |(host, jumps): (HostName, Vec<String>)| {
        for jump in jumps.iter().filter_map(|jump| places.get(jump.as_str())) {
            found.entry((*jump).clone()).or_insert_with(BTreeSet::new).insert(host.clone());
        }
    })
    .await;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_goes_before_the_file() {
        let of_file = WavePolicy {
            canary: 2,
            batch: "50%".parse().ok(),
            order: vec!["edge".to_owned()],
            max_failures: 3,
            soak: Duration::from_secs(60),
            on_failure: OnFailure::RollBack,
        };
        assert_eq!(WaveOptions::default().policy(of_file.clone()), of_file);
        let line = WaveOptions {
            canary: Some(0),
            batch: "4".parse().ok(),
            max_failures: Some(0),
            soak: Some(Duration::ZERO),
            on_failure: Some(WhatThen::Keep),
        };
        let wanted = WavePolicy { batch: "4".parse().ok(), order: of_file.order.clone(), ..WavePolicy::default() };
        assert_eq!(line.policy(of_file), wanted);
    }
}
