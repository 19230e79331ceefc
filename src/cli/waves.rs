//! In which waves a command changes its hosts: what the command line says of it, and what the fleet itself asks for.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::hub::{Fleet, Hub, local_host};
use crate::error::nearest;
use crate::fleet::{Batch, Host, OnFailure, WavePolicy, soak_time};
use crate::nix::CacheUrl;
use crate::plan::{Roles, Waves};

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
    pub(super) fn waves(&self, hub: &Hub, fleet: &Fleet, hosts: &[Host]) -> Waves {
        let policy = self.policy(fleet.config.deploy().waves);
        if hosts.len() > 1 {
            warn_of_unknown_tags(hub, fleet, &policy);
        }
        Waves::of(hosts, &fleet.hosts(), &roles(fleet), &policy)
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
        jump_hosts: std::collections::BTreeMap::new(),
    }
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
