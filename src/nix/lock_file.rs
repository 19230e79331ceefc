//! `flake.lock`: which inputs a flake has and how they are locked, what an update changed, and a lock in which inputs are open.
//!
//! The format is version 5 to 7 of lock files. Source: the Nix manual, "nix flake", section "Lock files".

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// How deep inputs of inputs are followed. Lock files have no circles, but nobody has to believe that.
const DEEPEST: usize = 16;

/// An input as it is locked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pin {
    /// Where it comes from, such as `github:NixOS/nixpkgs`, without what it is locked to.
    pub from: String,
    /// The commit, where it has commits.
    pub rev: Option<String>,
    /// When that was made, where it is known.
    pub last_modified: Option<Timestamp>,
}

/// What an update did to an input.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct InputChange {
    /// Its name; that of an input's input begins with the input's, such as `home-manager/nixpkgs`.
    pub input: String,
    /// What it was; none for one that is new.
    pub old: Option<Pin>,
    /// What it is; none for one that is gone.
    pub new: Option<Pin>,
    /// Where the changes between both can be read: an address, or a command of git.
    pub log: Option<String>,
}

/// What differs between two lock files.
pub fn input_changes(old: &Value, new: &Value) -> Vec<InputChange> {
    let (before, after) = (inputs(old), inputs(new));
    let gone =
        before.iter().filter(|(name, _)| !after.contains_key(*name)).map(|(name, node)| (name, Some(node), None));
    let there = after.iter().map(|(name, node)| (name, before.get(name), Some(node)));
    let mut changes: Vec<_> = gone
        .chain(there)
        .map(|(name, old, new)| (name, old.copied(), new.copied()))
        .filter(|(_, old, new)| old.map(|node| &node["locked"]) != new.map(|node| &node["locked"]))
        .map(|(name, old, new)| {
            let log = old.zip(new).and_then(|(old, new)| log_between(&old["locked"], &new["locked"]));
            let pin = |node: &Value| pin(&node["locked"]);
            InputChange { input: name.clone(), old: old.map(pin), new: new.map(pin), log }
        })
        .collect();
    changes.sort_by(|a, b| a.input.cmp(&b.input));
    changes
}

/// The names of the flake's own inputs.
pub fn input_names(lock: &Value) -> Vec<String> {
    let root = &lock["nodes"][lock["root"].as_str().unwrap_or("root")];
    root["inputs"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// A lock file in which these inputs of the flake are open, so that Nix locks them anew, and all others as they are.
pub(super) fn opened(mut lock: Value, names: &[String]) -> Value {
    let root = lock["root"].as_str().unwrap_or("root").to_owned();
    let node = lock.get_mut("nodes").and_then(|nodes| nodes.get_mut(&root));
    if let Some(inputs) = node.and_then(|node| node.get_mut("inputs")).and_then(Value::as_object_mut) {
        inputs.retain(|name, _| !names.contains(name));
    }
    lock
}

/// All inputs that are locked in their own right, with the nodes that say how. What follows another input changes with that one.
pub(super) fn inputs(lock: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    collect(lock, lock["root"].as_str().unwrap_or("root"), "", DEEPEST, &mut found);
    found
}

fn collect<'a>(lock: &'a Value, node: &str, prefix: &str, depth: usize, found: &mut BTreeMap<String, &'a Value>) {
    if depth == 0 {
        return;
    }
    for (name, to) in lock["nodes"][node]["inputs"].as_object().into_iter().flatten() {
        let Some(to) = to.as_str() else { continue };
        let path = format!("{prefix}{name}");
        collect(lock, to, &format!("{path}/"), depth - 1, found);
        found.insert(path, &lock["nodes"][to]);
    }
}

pub(super) fn pin(locked: &Value) -> Pin {
    Pin {
        from: origin(locked),
        rev: text(locked, "rev"),
        last_modified: locked["lastModified"].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()),
    }
}

/// Where something locked comes from, as a flake reference says it.
fn origin(locked: &Value) -> String {
    let part = |key| text(locked, key).unwrap_or_default();
    match part("type").as_str() {
        forge @ ("github" | "gitlab" | "sourcehut") => format!("{forge}:{}/{}", part("owner"), part("repo")),
        "path" => format!("path:{}", part("path")),
        "tarball" | "file" => part("url"),
        kind => format!("{kind}+{}", part("url")),
    }
}

/// Where the log between two commits of one repository can be read.
fn log_between(old: &Value, new: &Value) -> Option<String> {
    let (from, to) = (text(old, "rev")?, text(new, "rev")?);
    if origin(old) != origin(new) {
        return None;
    }
    let part = |key| text(new, key);
    match part("type")?.as_str() {
        "github" => {
            let host = part("host").unwrap_or_else(|| "github.com".to_owned());
            Some(format!("https://{host}/{}/{}/compare/{from}...{to}", part("owner")?, part("repo")?))
        }
        "gitlab" => {
            let (host, owner) = (part("host").unwrap_or_else(|| "gitlab.com".to_owned()), part("owner")?);
            Some(format!("https://{host}/{}/{}/-/compare/{from}...{to}", owner.replace("%2F", "/"), part("repo")?))
        }
        "sourcehut" => {
            let host = part("host").unwrap_or_else(|| "git.sr.ht".to_owned());
            Some(format!("https://{host}/{}/{}/log/{to}", part("owner")?, part("repo")?))
        }
        "git" => {
            let url = part("url")?;
            let directory = url.strip_prefix("file://")?;
            Some(format!("git -C {} log --oneline {from}..{to}", crate::process::shell_quote(directory)))
        }
        _ => None,
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn github(rev: &str) -> Value {
        json!({ "locked": { "type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": rev, "lastModified": 1_700_000_000 } })
    }

    fn lock(nixpkgs: &str, theirs: &str) -> Value {
        json!({
            "root": "root",
            "version": 7,
            "nodes": {
                "root": { "inputs": { "home": "home", "nixpkgs": "nixpkgs" } },
                "home": {
                    "inputs": { "nixpkgs": "nixpkgs_2", "utils": ["nixpkgs"] },
                    "locked": { "type": "git", "url": "file:///srv/it's home", "rev": theirs },
                },
                "nixpkgs": github(nixpkgs),
                "nixpkgs_2": github("c"),
            },
        })
    }

    #[test]
    fn what_moved_is_told_with_where_to_read_about_it() {
        let changes = input_changes(&lock("a", "x"), &lock("b", "y"));
        let told: Vec<_> = changes.iter().map(|one| (one.input.as_str(), one.log.as_deref().unwrap())).collect();
        assert_eq!(
            told,
            [
                ("home", r"git -C '/srv/it'\''s home' log --oneline x..y"),
                ("nixpkgs", "https://github.com/NixOS/nixpkgs/compare/a...b"),
            ]
        );
        let pin = changes[1].new.clone().unwrap();
        assert_eq!((pin.from.as_str(), pin.rev.as_deref()), ("github:NixOS/nixpkgs", Some("b")));
        assert!(input_changes(&lock("a", "x"), &lock("a", "x")).is_empty());
    }

    #[test]
    fn inputs_come_and_go_also_those_of_inputs() {
        let empty = json!({ "root": "root", "nodes": { "root": {} } });
        let names = |changes: Vec<InputChange>| changes.into_iter().map(|one| one.input).collect::<Vec<_>>();
        let all = ["home", "home/nixpkgs", "nixpkgs"];
        let come = input_changes(&empty, &lock("a", "x"));
        assert!(come.iter().all(|one| one.old.is_none() && one.new.is_some()));
        assert_eq!(names(come), all);
        let gone = input_changes(&lock("a", "x"), &Value::Null);
        assert!(gone.iter().all(|one| one.old.is_some() && one.new.is_none()));
        assert_eq!(names(gone), all);
    }

    #[test]
    fn an_open_input_is_gone_from_the_lock_and_no_other_is() {
        let open = opened(lock("a", "x"), &["home".to_owned()]);
        assert_eq!(input_names(&open), ["nixpkgs"]);
        assert_eq!(input_names(&lock("a", "x")), ["home", "nixpkgs"]);
    }

    #[test]
    fn a_circle_ends() {
        let round = json!({ "root": "root", "nodes": { "root": { "inputs": { "a": "root" } } } });
        assert_eq!(input_changes(&Value::Null, &round).len(), DEEPEST);
    }

    proptest::proptest! {
        #[test]
        fn no_lock_file_breaks_the_reader(text in "[\\[{\"a-z:,1}\\] ]{0,60}") {
            let value = serde_json::from_str(&text).unwrap_or(Value::Null);
            input_changes(&value, &lock("a", "x"));
            opened(value, &["a".to_owned()]);
        }
    }
}
