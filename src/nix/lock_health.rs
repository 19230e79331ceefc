//! What is not well with a lock file: inputs that are there twice, that could follow another one, or that are old.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};
use serde_json::Value;

use super::lock_file::{inputs, pin};

/// What is not well with an input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LockTrouble {
    /// Two of the flake's own inputs are the same.
    Twice {
        /// One of them.
        input: String,
        /// The other one, which is named first.
        same_as: String,
    },
    /// An input's input is the same as one of the flake's own, locked apart from it.
    Apart {
        /// Its path, such as `home-manager/nixpkgs`.
        input: String,
        /// The flake's own input.
        own: String,
    },
    /// Nothing of it is newer than this many days.
    Old {
        /// The flake's own input.
        input: String,
        /// How many days ago the last change was made.
        days: i64,
        /// Whether hosts get their security updates by it.
        is_nixpkgs: bool,
    },
}

/// An input that nothing changed in for so many days is old.
const OLD_DAYS: i64 = 365;

/// What is not well with a lock file.
pub fn lock_troubles(lock: &Value, now: Timestamp) -> Vec<LockTrouble> {
    let all = inputs(lock);
    let mut own: BTreeMap<String, &str> = BTreeMap::new();
    let mut found = Vec::new();
    for (name, node) in all.iter().filter(|(name, _)| !name.contains('/')) {
        let original = node["original"].to_string();
        match own.get(&original).filter(|_| node["original"].is_object()) {
            Some(first) => found.push(LockTrouble::Twice { input: name.clone(), same_as: (*first).to_owned() }),
            None => drop(own.insert(original, name)),
        }
        found.extend(old(name, node, now));
    }
    // What is asked for may differ, and still follow: which release an input's author tests with is rarely the one of the hosts.
    let mut origins: BTreeMap<String, &str> = BTreeMap::new();
    for (name, node) in all.iter().filter(|(name, _)| !name.contains('/')) {
        origins.entry(pin(&node["locked"]).from.to_lowercase()).or_insert(name);
    }
    for (path, node) in all.iter().filter(|(path, _)| path.contains('/')) {
        if let Some(own) = origins.get(&pin(&node["locked"]).from.to_lowercase()) {
            found.push(LockTrouble::Apart { input: path.clone(), own: (*own).to_owned() });
        }
    }
    found
}

fn old(name: &str, node: &Value, now: Timestamp) -> Option<LockTrouble> {
    let pin = pin(&node["locked"]);
    let made = pin.last_modified?;
    // A copy that no Nix ever made a time for has the beginning of all of it.
    if made.as_second() <= 1 || made.checked_add((24 * OLD_DAYS).hours()).ok()? > now {
        return None;
    }
    let days = now.duration_since(made).as_hours() / 24;
    let is_nixpkgs = pin.from.to_lowercase().ends_with("/nixpkgs");
    Some(LockTrouble::Old { input: name.to_owned(), days, is_nixpkgs })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(owner: &str, repo: &str, branch: &str, days: i64) -> Value {
        let from = json!({ "type": "github", "owner": owner, "repo": repo });
        let (mut locked, mut original) = (from.clone(), from);
        locked["rev"] = branch.into();
        locked["lastModified"] = (2_000_000_000 - days * 86_400).into();
        original["ref"] = branch.into();
        json!({ "locked": locked, "original": original })
    }

    fn troubles(nodes: &Value) -> Vec<LockTrouble> {
        let lock = json!({ "root": "root", "version": 7, "nodes": nodes });
        lock_troubles(&lock, Timestamp::from_second(2_000_000_000).unwrap())
    }

    #[test]
    fn what_is_there_twice_apart_or_old_is_told() {
        let mut home = node("nix-community", "home-manager", "master", 10);
        home["inputs"] = json!({ "nixpkgs": "nixpkgs_2", "utils": ["utils"] });
        let nodes = json!({
            "root": { "inputs": {
                "home": "home", "nixpkgs": "nixpkgs", "stable": "stable", "pkgs": "pkgs", "utils": "utils",
            } },
            "home": home,
            "nixpkgs": node("NixOS", "nixpkgs", "nixos-unstable", 400),
            "nixpkgs_2": node("nixos", "nixpkgs", "nixpkgs-unstable", 3),
            "stable": node("NixOS", "nixpkgs", "nixos-25.11", 364),
            "pkgs": node("NixOS", "nixpkgs", "nixos-25.11", 3),
            "utils": node("numtide", "flake-utils", "main", 800),
        });
        let old = |input: &str, days, is_nixpkgs| LockTrouble::Old { input: input.to_owned(), days, is_nixpkgs };
        let named = |text: &str| text.to_owned();
        assert_eq!(
            troubles(&nodes),
            [
                old("nixpkgs", 400, true),
                LockTrouble::Twice { input: named("stable"), same_as: named("pkgs") },
                old("utils", 800, false),
                LockTrouble::Apart { input: named("home/nixpkgs"), own: named("nixpkgs") },
            ]
        );
    }

    #[test]
    fn a_lock_that_is_well_or_none_is_not_told() {
        let nodes = json!({
            "root": { "inputs": { "nixpkgs": "nixpkgs" } },
            "nixpkgs": node("NixOS", "nixpkgs", "nixos-unstable", 4),
        });
        assert_eq!(troubles(&nodes), []);
        assert_eq!(lock_troubles(&Value::Null, Timestamp::UNIX_EPOCH), []);
    }
}
