//! What activating a system would do to the units of a host, which its own `switch-to-configuration` tells.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::script::{Remote, RunError, Script};
use crate::nix::StorePath;

/// How long a host may take to tell. It compares some hundreds of units.
const DEADLINE: Duration = Duration::from_secs(120);

/// What is printed where the host does not have the system.
const ABSENT: &str = "hubctl-absent";

/// What becomes of units when a system is activated. One that is stopped and started again is in both sets.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnitChanges {
    /// Units that stop.
    pub stop: BTreeSet<String>,
    /// Units that restart.
    pub restart: BTreeSet<String>,
    /// Units that reload.
    pub reload: BTreeSet<String>,
    /// Units that start.
    pub start: BTreeSet<String>,
    /// Units that changed and go on as they are until they are restarted by somebody.
    pub left_alone: BTreeSet<String>,
}

/// What a host says of a system that it might activate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DryActivation {
    /// What would become of its units.
    Units(UnitChanges),
    /// It does not have the system.
    Absent,
    /// It does not tell, and says this instead.
    Untold(String),
}

/// Asks the host what activating `system` would do to its units. Nothing is activated; it needs root.
pub async fn dry_activate(remote: &Remote, system: &StorePath) -> Result<DryActivation, RunError> {
    let script = format!(
        "program={system}/bin/switch-to-configuration\n[ -x \"$program\" ] || {{ echo {ABSENT}; exit; }}\n\
         \"$program\" dry-activate 2>&1"
    );
    let (ran, printed) = remote.run(&Script::new(script).as_root().deadline(DEADLINE)).await?;
    Ok(match ran.code {
        _ if printed.lines().any(|line| line == ABSENT) => DryActivation::Absent,
        0 => DryActivation::Units(parse(&printed)),
        code => {
            let last = printed.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing was said");
            DryActivation::Untold(format!("dry-activate ended with exit code {code}: {}", last.trim()))
        }
    })
}

/// Reads lines such as `would restart the following units: a.service, b.service`. Both programs of NixOS, the one in Perl and the one in
/// Rust, print them.
fn parse(printed: &str) -> UnitChanges {
    let mut changes = UnitChanges::default();
    for line in printed.lines() {
        let Some((words, names)) = line.trim().strip_prefix("would ").and_then(|rest| rest.split_once(": ")) else {
            continue;
        };
        let words: Vec<_> = words.split(' ').collect();
        if !words.contains(&"units") {
            continue;
        }
        let set = match words.first().copied() {
            Some("stop") => &mut changes.stop,
            Some("restart") => &mut changes.restart,
            Some("reload") => &mut changes.reload,
            Some("start") => &mut changes.start,
            Some("NOT") => &mut changes.left_alone,
            _ => continue,
        };
        set.extend(names.split(", ").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_its_units() {
        let printed = "stopping nothing\nwould stop the following units: a.service, b.timer\n\
                       would NOT restart the following changed units: c.service\nwould activate the configuration...\n\
                       would restart systemd\nwould reload the following units: d.service\n\
                       would restart the following units: e.service\nwould restart the following units as well: f.service\n\
                       would start the following units: a.service\nwould stop swap device: /dev/sda1\n";
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let wanted = UnitChanges {
            stop: set(&["a.service", "b.timer"]),
            restart: set(&["e.service", "f.service"]),
            reload: set(&["d.service"]),
            start: set(&["a.service"]),
            left_alone: set(&["c.service"]),
        };
        assert_eq!(parse(printed), wanted);
        assert_eq!(parse("would activate the configuration..."), UnitChanges::default());
    }
}
