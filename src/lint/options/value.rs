//! Whether a type takes a value, as far as the type's name tells.
//!
//! Names are those of the module system, each with those of the types in it behind it: `nullOr listOf str`.

use serde::{Deserialize, Serialize};

/// What a value is, as it is written.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::lint) enum Kind {
    Bool,
    Int(i64),
    Float,
    /// With its text, where it is known.
    Text(Option<String>),
    List,
    Set,
    Path,
    Null,
}

impl Kind {
    /// What it is, in words.
    pub(in crate::lint) fn word(&self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Int(_) => "a whole number",
            Self::Float => "a fraction",
            Self::Text(_) => "a text",
            Self::List => "a list",
            Self::Set => "a set",
            Self::Path => "a path",
            Self::Null => "`null`",
        }
    }
}

/// Whether a type takes a value; where that is not known, it does.
pub(in crate::lint) fn accepts(name: &str, value: &Kind) -> bool {
    one(&mut Words { rest: name }, value)
}

/// The type of what stands in a list of this type; none where it is no list alone.
pub(in crate::lint) fn item_type(name: &str) -> Option<&str> {
    name.strip_prefix("nullOr ").unwrap_or(name).strip_prefix("listOf ")
}

/// Whether an option that did not take a value some time ago is sure not to take it now. Types grow: `null` is allowed later, numbers
/// get units, and an `enum` gets more values, so that of those only a slip in one that there was is told.
pub(in crate::lint) fn was_never_taken(option: &str, name: &str, value: &Kind) -> bool {
    let is_number =
        ["int", "unsignedInt ", "positiveInt", "float"].iter().any(|number| format!("{name} ").contains(number));
    let is_free = option.split('.').any(|part| part == "settings");
    match value {
        Kind::Null => false,
        Kind::Text(_) if is_number => false,
        Kind::List | Kind::Set if is_free => false,
        Kind::Text(Some(text)) if name.contains("enum [") => {
            let values = name.split('"').filter(|known| known.len() > 2);
            values.into_iter().any(|known| strsim::osa_distance(known, text) <= 2)
        }
        _ => true,
    }
}

/// The words of a type's name that are not read yet.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let (word, rest) = self.rest.split_once(' ').unwrap_or((self.rest, ""));
        self.rest = rest;
        word
    }

    /// The values of an `enum`, up to the bracket that closes.
    fn values(&mut self) -> Vec<serde_json::Value> {
        let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter();
        let Some(Ok(serde_json::Value::Array(values))) = stream.next() else {
            self.rest = "";
            return Vec::new();
        };
        self.rest = self.rest[stream.byte_offset()..].trim_start();
        values
    }
}

/// Reads one type with those in it, and tells whether it takes `value`.
fn one(words: &mut Words<'_>, value: &Kind) -> bool {
    match words.next() {
        "bool" => matches!(value, Kind::Bool),
        "str" | "singleLineStr" | "nonEmptyStr" | "separatedString" => matches!(value, Kind::Text(_) | Kind::Path),
        "int" => matches!(value, Kind::Int(_)),
        "unsignedInt" | "positiveInt" => matches!(value, Kind::Int(number) if *number >= 0),
        "unsignedInt16" => matches!(value, Kind::Int(0..=65535)),
        "unsignedInt8" => matches!(value, Kind::Int(0..=255)),
        "float" => matches!(value, Kind::Float | Kind::Int(_)),
        // What becomes a path when it is made a text is one.
        "path" | "package" => matches!(value, Kind::Text(_) | Kind::Path | Kind::Set),
        "listOf" => {
            words.rest = "";
            matches!(value, Kind::List)
        }
        "attrsOf" | "lazyAttrsOf" | "attrs" => {
            words.rest = "";
            matches!(value, Kind::Set | Kind::Path)
        }
        "nullOr" => *value == Kind::Null || one(words, value),
        "unique" => one(words, value),
        "either" | "coercedTo" => {
            let first = one(words, value);
            // A list or a set ends where only its own type knows.
            first || words.rest.is_empty() || one(words, value)
        }
        "enum" => {
            let values = words.values();
            values.is_empty() || values.iter().any(|known| is_same(known, value))
        }
        // An option that was renamed has the type of what it is a part of now: `submodule` says nothing.
        _ => {
            words.rest = "";
            true
        }
    }
}

fn is_same(known: &serde_json::Value, value: &Kind) -> bool {
    match value {
        Kind::Text(Some(text)) => known == text.as_str(),
        Kind::Text(None) => known.is_string(),
        Kind::Int(number) => known == *number,
        Kind::Bool => known.is_boolean(),
        Kind::Null => known.is_null(),
        // Of other values it is not known.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_type_of_another_date_only_what_cannot_have_changed_is_told() {
        let text = |text: &str| Kind::Text(Some(text.to_owned()));
        for (option, name, value, is_sure) in [
            ("a.b", "path", Kind::Null, false),
            ("a.b", "int", text("30d"), false),
            ("a.b", "unsignedInt16", text("http"), true),
            ("a.settings.b", "attrsOf anything", Kind::List, false),
            ("a.b", "bool", text("yes"), true),
            ("a.b", "enum [\"yes\",\"without\"]", text("witout"), true),
            ("a.b", "enum [\"yes\",\"without\"]", text("prohibit"), false),
        ] {
            assert_eq!(was_never_taken(option, name, &value), is_sure, "{name} {value:?}");
        }
    }

    #[test]
    fn what_a_list_takes_is_what_its_items_are() {
        assert_eq!(item_type("listOf unsignedInt16"), Some("unsignedInt16"));
        assert_eq!(item_type("nullOr listOf either str int"), Some("either str int"));
        assert_eq!(item_type("either listOf str bool"), None);
        assert_eq!(item_type("str"), None);
    }

    #[test]
    fn types_take_what_their_names_say() {
        let text = |text: &str| Kind::Text(Some(text.to_owned()));
        for (name, value, takes) in [
            ("bool", Kind::Bool, true),
            ("bool", text("true"), false),
            ("nullOr bool", Kind::Null, true),
            ("nullOr bool", text("x"), false),
            ("str", Kind::Int(1), false),
            ("unsignedInt16", Kind::Int(70_000), false),
            ("unsignedInt16", Kind::Int(443), true),
            ("listOf str", text("x"), false),
            ("listOf str", Kind::List, true),
            ("either bool enum [\"container\",\"a b\"]", text("a b"), true),
            ("either bool enum [\"container\",\"a b\"]", text("c"), false),
            ("either enum [\"a\"] bool", Kind::Bool, true),
            ("either listOf str str", text("x"), true),
            ("coercedTo listOf str str", Kind::List, true),
            ("submodule", Kind::Bool, true),
            ("attrsOf submodule", Kind::Set, true),
            ("attrsOf submodule", Kind::Bool, false),
            ("path", Kind::Bool, false),
            ("package", Kind::List, false),
            ("strMatching \"[a-z] +\"", Kind::Bool, true),
            ("unspecified", Kind::Bool, true),
            ("attrsOf systemd option", Kind::List, false),
            ("functionTo str", Kind::Bool, true),
            ("int", Kind::Float, false),
        ] {
            assert_eq!(accepts(name, &value), takes, "{name} {value:?}");
        }
    }
}
