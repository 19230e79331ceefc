//! An option of a system's configuration: its value, and who set it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is found where an option is looked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Looked {
    /// An option, or something within the value of one.
    Option(Box<OptionLook>),
    /// A set of options.
    Set {
        /// Their names.
        names: Vec<String>,
    },
    /// Nothing.
    Absent {
        /// How many of the names lead somewhere.
        depth: usize,
        /// What there is in their place.
        names: Vec<String>,
    },
    /// The system tells no options: it was not made by the module system.
    NoOptions,
}

/// An option.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OptionLook {
    /// How many of the names name the option; the others lead into its value.
    pub depth: usize,
    /// What is at the end of the names. What cannot be shown is named in angle brackets.
    pub value: Value,
    /// Whether anything but its default sets it.
    pub is_defined: bool,
    /// Its type, as its author calls it.
    pub r#type: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// How strong the definitions are that count: 50 with `mkForce`, 100 as a rule, 1000 with `mkDefault`, 1500 for the default.
    pub priority: Option<i64>,
    /// The definitions that count.
    pub definitions: Vec<Definition>,
    /// Where it is declared.
    pub declarations: Vec<Declaration>,
}

/// Something that sets an option.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// The file, as the module system tells it.
    pub file: String,
    /// To what it sets it.
    pub value: Value,
}

/// A place where an option is declared.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declaration {
    /// The file.
    pub file: String,
    /// The line.
    pub line: Option<u64>,
}

/// A function of a system that looks for the option of these names; its answer is a [`Looked`].
pub(super) fn function(names: &[String]) -> String {
    // JSON in a string of Nix: a `$` would begin something there.
    let names = Value::from(names).to_string();
    let names = names.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    include_str!("option.nix").replace("@names@", &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_as_they_are() {
        let code = function(&["a\"b".to_owned(), "${c}".to_owned()]);
        assert!(code.contains(r#"fromJSON "[\"a\\\"b\",\"\${c}\"]""#), "{code}");
    }
}
