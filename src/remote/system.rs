//! What a system consists of, asked in one round trip of the machine whose store has it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::ports::open_ports;
use super::probe::RebootReason;
use super::script::{Remote, RunError};
use crate::nix::{Closure, StorePath};

/// How long a machine may take to tell: a closure of a desktop has thousands of paths.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a system consists of. What it does not tell is none, which is something else than empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct System {
    /// Its paths.
    pub closure: Closure,
    /// What only a boot brings, each as a text that differs where the part does.
    pub boots: BTreeMap<RebootReason, String>,
    /// Its files below `/etc`, each with a text that differs where the file may.
    pub etc: Option<BTreeMap<String, String>>,
    /// The names of its users.
    pub users: Option<BTreeSet<String>>,
    /// The names of its groups.
    pub groups: Option<BTreeSet<String>>,
    /// The ports that its firewall lets through to all who ask, such as `22/tcp` or `53/udp on eth0`.
    pub ports: Option<BTreeSet<String>>,
    /// The names of the secrets that agenix or sops-nix gives it.
    pub secrets: Option<BTreeSet<String>>,
}

/// Why a machine does not tell what a system consists of.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// It did not answer.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Its Nix does not know the closure.
    #[error("the closure of {path} is not told: {said}")]
    NoClosure {
        /// The toplevel.
        path: StorePath,
        /// What was said instead.
        said: String,
    },
}

/// Asks what `toplevel` consists of, which is in the store at `remote`. Changes nothing there and needs no root.
pub async fn system(remote: &Remote, toplevel: &StorePath) -> Result<System, SystemError> {
    let script = format!("system={toplevel}\n{}", include_str!("system.sh"));
    let (ran, printed) = remote.run(&remote.script(&script).deadline(DEADLINE)).await?;
    let told = parse(&printed);
    if told.closure.is_empty() {
        let said = ran.stderr.lines().last().unwrap_or("nothing was said").trim().to_owned();
        return Err(SystemError::NoClosure { path: toplevel.clone(), said });
    }
    Ok(told)
}

/// Reads what the script prints.
fn parse(printed: &str) -> System {
    let mut system = System::default();
    let (mut paths, mut rules, mut has_firewall) = (String::new(), Vec::new(), false);
    let mut etc = BTreeMap::<String, String>::new();
    for (key, value) in printed.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "path" => {
                paths.push_str(value);
                paths.push('\n');
            }
            "etc-tree" => system.etc = Some(BTreeMap::new()),
            "etc-link" => etc.extend(value.split_once('\t').map(|(name, target)| (name.to_owned(), target.to_owned()))),
            "etc-file" => etc.extend(file_of(value)),
            "users" => {
                if let Ok(known) = serde_json::from_str::<UsersAndGroups>(value) {
                    (system.users, system.groups) = (Some(names(known.users)), Some(names(known.groups)));
                }
            }
            "firewall" => has_firewall = true,
            "rule" => rules.push(value),
            "activation" => system.secrets = Some(BTreeSet::new()),
            "secret" => system.secrets.get_or_insert_default().extend(secret_of(value)),
            "sops" => {
                let manifest = serde_json::from_str::<SopsManifest>(value);
                system
                    .secrets
                    .get_or_insert_default()
                    .extend(manifest.map(|known| names(known.secrets)).unwrap_or_default());
            }
            _ => system.boots.extend(RebootReason::parse(key).map(|part| (part, value.to_owned()))),
        }
    }
    system.closure = Closure::parse(&paths);
    system.ports = has_firewall.then(|| open_ports(&rules));
    if let Some(tree) = &mut system.etc {
        *tree = without_modes(etc);
    }
    system
}

/// Reads a line of `cksum`: the sum, the size, and the name below the directory.
fn file_of(line: &str) -> Option<(String, String)> {
    let mut words = line.splitn(3, ' ');
    let (sum, size, name) = (words.next()?, words.next()?, words.next()?);
    Some((name.strip_prefix("./")?.to_owned(), format!("{sum} {size}")))
}

/// NixOS notes a file's mode and owner in files beside it, which are no files of `/etc`: they count as a part of theirs. Units are left
/// out: what becomes of them the host itself tells.
fn without_modes(mut etc: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_note = |name: &str| {
        let (of, kind) = name.rsplit_once('.').unwrap_or_default();
        matches!(kind, "mode" | "uid" | "gid") && etc.contains_key(of)
    };
    let notes: Vec<_> = etc.keys().filter(|name| is_note(name)).cloned().collect();
    for note in notes {
        let text = etc.remove(&note).unwrap_or_default();
        if let Some(file) = note.rsplit_once('.').and_then(|(of, _)| etc.get_mut(of)) {
            file.push(' ');
            file.push_str(&text);
        }
    }
    let is_in = |name: &str, dir| name.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    etc.retain(|name, _| !is_in(name, "systemd/system") && !is_in(name, "systemd/user"));
    etc
}

/// The name of a secret of agenix, from the place that it is put to: below the directory of a generation, or anywhere else.
fn secret_of(quoted: &str) -> Option<String> {
    let path = quoted.trim_matches('"');
    let name = path.split_once("$_agenix_generation/").map_or(path, |(_, name)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The part of `users-groups.json` and of userborn's configuration that is of use here. There are hashes of passwords in the rest.
#[derive(Deserialize)]
struct UsersAndGroups {
    users: Vec<Named>,
    groups: Vec<Named>,
}

#[derive(Deserialize)]
struct SopsManifest {
    secrets: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

fn names(named: Vec<Named>) -> BTreeSet<String> {
    named.into_iter().map(|one| one.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_system_is_read() {
        let hash = "0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb";
        let printed = format!(
            "motd\npath=/nix/store/{hash}-linux-6.12\t 70000\nkernel=/nix/store/{hash}-linux-6.12/bzImage\nkernel-params=a=b c\n\
             etc-tree=1\netc-link=hosts\t/nix/store/{hash}-hosts\netc-link=sudoers\t/nix/store/{hash}-sudoers\n\
             etc-link=systemd/system\t/nix/store/{hash}-system-units\netc-file=1 5 ./sudoers.mode\netc-file=2 2 ./sudoers.uid\n\
             etc-file=3 9 ./host name\netc-file=4 1 ./file.mode\n\
             users={{\"mutableUsers\":true,\"users\":[{{\"name\":\"olaf\",\"hashedPassword\":\"x\"}}],\"groups\":[{{\"name\":\"wheel\",\"gid\":1}}]}}\n\
             firewall=1\nrule=ip46tables -A nixos-fw -p tcp --dport 22 -j nixos-fw-accept \nactivation=1\n\
             secret=\"/run/agenix.d/$_agenix_generation/wifi\"\nsecret=\"/root/key\"\nsops={{\"secrets\":[{{\"name\":\"db\",\"key\":\"\"}}]}}\n"
        );
        let system = parse(&printed);
        assert_eq!(system.closure.size(), 70_000);
        assert_eq!(system.boots[&RebootReason::KernelParams], "a=b c");
        assert_eq!(system.boots.len(), 2);
        let etc = system.etc.unwrap();
        assert_eq!(etc.keys().collect::<Vec<_>>(), ["file.mode", "host name", "hosts", "sudoers"]);
        assert!(etc["sudoers"].ends_with("-sudoers 1 5 2 2"), "{}", etc["sudoers"]);
        assert_eq!((system.users, system.groups), (Some(set(&["olaf"])), Some(set(&["wheel"]))));
        assert_eq!((system.ports, system.secrets), (Some(set(&["22/tcp"])), Some(set(&["/root/key", "db", "wifi"]))));
    }

    #[test]
    fn what_is_not_told_is_none() {
        assert_eq!(parse("path=/nix/store/x"), System::default());
        assert_eq!(parse("users={\"users\": 7}\nsecret=\"\"").users, None);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_breaks_the_reader(line in ".*") {
            for key in ["path", "etc-link", "etc-file", "users", "rule", "secret", "sops", "kernel"] {
                let _ = parse(&format!("firewall=1\netc-tree=1\n{key}={line}"));
            }
        }
    }
}
