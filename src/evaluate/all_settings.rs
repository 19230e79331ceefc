//! All settings that Nix goes by, and what they mean for answers that are to be kept.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::nix::Nix;

/// All settings that Nix goes by, as it prints them in JSON.
#[derive(Clone, Debug)]
pub(super) struct AllSettings(Map<String, Value>);

impl AllSettings {
    /// Reads what Nix prints.
    pub(super) fn parse(printed: &str) -> Self {
        Self(serde_json::from_str(printed).unwrap_or_default())
    }

    /// What Nix goes by once it has taken settings of a flake, which win over all others. Of their values it is known which mean
    /// booleans, and which are no empty lists; that is all that is asked for here.
    pub(super) fn with(&self, of_flake: &[(String, String)]) -> Self {
        let mut all = self.0.clone();
        for (name, value) in of_flake {
            let value = match value.as_str() {
                "true" => json!(true),
                "false" => json!(false),
                text => text.split_whitespace().collect(),
            };
            let name = name.strip_prefix("extra-").unwrap_or(name);
            all.insert(name.to_owned(), json!({ "value": value }));
        }
        Self(all)
    }

    /// The store that Nix works with, as its setting of that name says.
    pub(super) fn store(&self) -> Option<&str> {
        self.value("store")?.as_str()
    }

    /// The kind of machine that this one is, such as `x86_64-linux`.
    pub(super) fn system(&self) -> String {
        let told = self.value("system").and_then(Value::as_str).map(str::to_owned);
        told.unwrap_or_else(|| format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))
    }

    /// Whether flakes may set whatever they ask for.
    pub(super) fn accepts_flake_config(&self) -> bool {
        self.is("accept-flake-config", true)
    }

    /// Why evaluations may read more than can be watched, if they may.
    pub(super) fn impurity(&self, nix: &Nix) -> Option<&'static str> {
        // The commands of flakes turn `pure-eval` on themselves; only `--impure` and `--option` turn it off again.
        if nix.settings().impure || self.is("pure-eval", false) {
            Some("evaluation is impure")
        } else if self.is("restrict-eval", true) {
            Some("evaluation is restricted by search paths")
        } else if self.is("allow-unsafe-native-code-during-evaluation", true) {
            Some("evaluation may run programs")
        } else if self.value("plugin-files").and_then(Value::as_array).is_some_and(|files| !files.is_empty()) {
            Some("Nix has plugins")
        } else {
            None
        }
    }

    fn is(&self, name: &str, wanted: bool) -> bool {
        // Where there are more than two answers, as with Lix, these two are texts.
        self.value(name).is_some_and(|value| *value == wanted || *value == wanted.to_string().as_str())
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|setting| &setting["value"])
    }
}

impl fmt::Display for AllSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Value::Object(self.0.clone()))
    }
}
