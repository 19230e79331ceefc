//! The inputs of a flake, as its lock file has them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// An input of a flake.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Input {
    /// What the flake calls it.
    pub name: String,
    /// Where it comes from.
    pub from: String,
    /// The commit.
    pub rev: Option<String>,
    /// When that was made.
    pub modified: Option<Timestamp>,
}

/// The inputs of the flake itself, of all that `locks` has, by name.
pub fn inputs(locks: &str) -> Vec<Input> {
    let locks: Value = serde_json::from_str(locks).unwrap_or_default();
    let root = locks["root"].as_str().unwrap_or("root");
    let named = locks["nodes"][root]["inputs"].as_object().into_iter().flatten();
    let read = |(name, node): (&String, &Value)| {
        // An input that follows another one names the way there; only that of the flake itself is followed here.
        let node = node.as_str().or_else(|| locks["nodes"][root]["inputs"][node[0].as_str()?].as_str());
        let locked = &locks["nodes"][node.unwrap_or_default()]["locked"];
        Input {
            name: name.clone(),
            from: origin(locked),
            rev: locked["rev"].as_str().map(str::to_owned),
            modified: locked["lastModified"].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        }
    };
    named.map(read).collect()
}

/// A reference without what locks it.
fn origin(locked: &Value) -> String {
    let text = |key: &str| locked[key].as_str().unwrap_or_default();
    match text("type") {
        kind @ ("github" | "gitlab" | "sourcehut") => format!("{kind}:{}/{}", text("owner"), text("repo")),
        "path" => format!("path:{}", text("path")),
        "" => "unknown".to_owned(),
        kind => format!("{kind}:{}", text("url")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_those_of_the_flake_itself() {
        let locks = r#"{ "root": "root", "nodes": {
            "root": { "inputs": { "nixpkgs": "nixpkgs_2", "other": ["nixpkgs"], "mine": "mine" } },
            "nixpkgs": { "locked": { "type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": "old" } },
            "nixpkgs_2": { "locked": { "type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": "new", "lastModified": 5 } },
            "mine": { "locked": { "type": "git", "url": "file:///hub" } } } }"#;
        let found: Vec<_> =
            inputs(locks).into_iter().map(|input| format!("{} {} {:?}", input.name, input.from, input.rev)).collect();
        assert_eq!(
            found,
            [
                "mine git:file:///hub None",
                r#"nixpkgs github:NixOS/nixpkgs Some("new")"#,
                r#"other github:NixOS/nixpkgs Some("new")"#
            ]
        );
        assert_eq!(inputs("{}"), []);
    }
}
