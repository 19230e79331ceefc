//! A flake's `nixConfig`: settings of Nix that it asks for, and which of them are taken.
//!
//! Source: the Nix manual, "nix flake", "Flake format", and the setting `accept-flake-config`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::program::Nix;
use super::version::Version;
use crate::process::{Cancel, Cmd, Failure};

/// How long reading it may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Settings that Nix takes from every flake. None of them concerns what hubctl does.
const HARMLESS: &[&str] = &[
    "bash-prompt",
    "bash-prompt-prefix",
    "bash-prompt-suffix",
    "commit-lock-file-summary",
    "commit-lockfile-summary",
    "flake-registry",
];

/// The settings that a flake asks for, by name, with values as `nix.conf` has them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct FlakeConfig(BTreeMap<String, String>);

/// What becomes of the settings that a flake asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Decided {
    /// Those that are taken.
    pub accepted: Vec<(String, String)>,
    /// The names of those that are left out, because nobody said that the flake may set them.
    pub left_out: Vec<String>,
}

/// The values that the user once told Nix to take or to refuse for good, by setting and value.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct TrustedSettings(BTreeMap<String, BTreeMap<String, bool>>);

impl FlakeConfig {
    /// Reads it from a flake's file that is in the store. Nix has locked that flake before, and so made sure that the settings
    /// are literals, which evaluate to themselves.
    pub(super) async fn read(nix: &Nix, flake_file: &Path, cancel: &Cancel) -> Result<Self, Failure> {
        if !is_in(flake_file) {
            return Ok(Self::default());
        }
        let cmd = command(nix, flake_file);
        let output = cmd.output(cancel).await?;
        let settings: BTreeMap<String, Value> =
            serde_json::from_slice(&output.stdout).map_err(|error| cmd.failed_to_start(error.into()))?;
        Ok(Self(settings.into_iter().map(|(name, value)| (name, as_in_nix_conf(&value))).collect()))
    }

    /// What becomes of each setting, by Nix's own rule: all are taken with `accept-flake-config`, and otherwise those values
    /// that the user trusts.
    pub fn decide(&self, accepts_all: bool, trusted: &TrustedSettings) -> Decided {
        let mut decided = Decided::default();
        for (name, value) in &self.0 {
            if HARMLESS.contains(&name.strip_prefix("extra-").unwrap_or(name)) {
                continue;
            }
            match trusted.0.get(name).and_then(|values| values.get(value)) {
                _ if accepts_all => decided.accepted.push((name.clone(), value.clone())),
                Some(true) => decided.accepted.push((name.clone(), value.clone())),
                // The user knows of it, and does not want to hear of it again.
                Some(false) => {}
                None => decided.left_out.push(name.clone()),
            }
        }
        decided
    }
}

impl TrustedSettings {
    /// Those of the user. A file that cannot be read, which is Nix's to tell, trusts nothing.
    pub fn of_user(version: &Version) -> Self {
        let text = file_in(version, |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from));
        text.and_then(|file| fs::read(file).ok())
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }
}

/// Where this version of Nix keeps the settings that the user trusts.
fn file_in(version: &Version, var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let own = var("NIX_DATA_HOME").filter(|_| version.has_directories_of_its_own());
    let of_programs = || var("XDG_DATA_HOME").or_else(|| Some(var("HOME")?.join(".local/share")));
    Some(own.or_else(|| Some(of_programs()?.join("nix")))?.join("trusted-settings.json"))
}

/// Whether a flake's file may ask for settings. The name of an attribute of a flake stands in its text.
pub(super) fn is_in(flake_file: &Path) -> bool {
    const WORD: &[u8] = b"nixConfig";
    fs::read(flake_file).is_ok_and(|text| text.windows(WORD.len()).any(|window| window == WORD))
}

fn command(nix: &Nix, flake_file: &Path) -> Cmd {
    // A path among the settings is copied to the store, as Nix does when it takes them.
    nix.cmd(&["eval", "--json"])
        .args(["--impure", "--option", "restrict-eval", "false", "--expr"])
        .arg(format!("(import \"{}\").nixConfig or {{ }}", flake_file.display()))
        .deadline(DEADLINE)
}

/// The value as Nix takes it for one of its settings. The trusted ones are kept in this form as well.
fn as_in_nix_conf(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(as_in_nix_conf).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> FlakeConfig {
        let settings = serde_json::json!({
            "extra-substituters": ["https://a.example.org", "https://b.example.org"],
            "max-jobs": 3,
            "sandbox": false,
            "bash-prompt": "hub>",
            "extra-bash-prompt-suffix": "x",
        });
        let settings: BTreeMap<String, Value> = serde_json::from_value(settings).unwrap();
        FlakeConfig(settings.into_iter().map(|(name, value)| (name, as_in_nix_conf(&value))).collect())
    }

    #[test]
    fn settings_are_taken_when_all_are_or_when_their_very_values_are_trusted() {
        let none = TrustedSettings::default();
        let decided = config().decide(false, &none);
        assert_eq!(decided.left_out, ["extra-substituters", "max-jobs", "sandbox"]);
        assert_eq!(decided.accepted, []);

        let all = config().decide(true, &none);
        let caches = "https://a.example.org https://b.example.org";
        let accepted: Vec<_> = all.accepted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(accepted, [("extra-substituters", caches), ("max-jobs", "3"), ("sandbox", "false")]);
        assert_eq!(all.left_out, Vec::<String>::new());

        let trusted = serde_json::json!({
            "extra-substituters": { caches: true },
            "max-jobs": { "4": true },
            "sandbox": { "false": false },
        });
        let some = config().decide(false, &serde_json::from_value(trusted).unwrap());
        assert_eq!(some.accepted, [("extra-substituters".to_owned(), caches.to_owned())]);
        assert_eq!(some.left_out, ["max-jobs"], "what was refused for good is not told again");
    }

    #[test]
    fn the_trusted_settings_are_where_each_version_keeps_them() {
        let of = |number: &str, set: &[(&str, &str)]| {
            let version = Version::parse(&format!("nix (Nix) {number}")).unwrap();
            let var = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value));
            file_in(&version, var)
        };
        let all = [("HOME", "/h"), ("XDG_DATA_HOME", "/x"), ("NIX_DATA_HOME", "/n")];
        assert_eq!(of("2.8.0", &all[..1]).unwrap(), Path::new("/h/.local/share/nix/trusted-settings.json"));
        assert_eq!(of("2.8.0", &all).unwrap(), Path::new("/x/nix/trusted-settings.json"));
        assert_eq!(of("2.26.3", &all).unwrap(), Path::new("/n/trusted-settings.json"));
        assert_eq!(of("2.26.3", &[]), None);
    }
}
