//! The options that a hub declares itself, put together from all of its files.
//!
//! An option is known where a file says so. That there is none is known only below what nothing but the hub's own files declares, and
//! only as far as all of them can be read.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::declared::{ANY, Declared, What};
use super::value::Kind;

/// An attribute that a file sets and that the index does not know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::lint) struct Unsettled {
    /// The option that it may be.
    pub(in crate::lint) path: Vec<String>,
    /// How many parts of the path the index knows.
    pub(in crate::lint) known: usize,
    /// Where its name stands, and where its value.
    pub(in crate::lint) span: Range<usize>,
    pub(in crate::lint) value: Range<usize>,
    /// What its value is, where that is written out.
    pub(in crate::lint) kind: Option<Kind>,
}

/// The options that a hub declares itself.
#[derive(Debug, Default)]
pub(in crate::lint) struct Own {
    root: Node,
}

/// A part of options' names.
#[derive(Debug, Default)]
struct Node {
    below: BTreeMap<String, Node>,
    /// The types that the option has, in the files that declare one here.
    types: Vec<String>,
    /// Whether there may be more than is known.
    open: bool,
}

/// What is known of a path.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::lint) enum Standing<'a> {
    /// It is an option, of one of these types; or it has options below it.
    Own(&'a [String]),
    /// It is part of the value of an option, or of what only evaluating tells; so many parts of it are known.
    Within { part: usize },
    /// The hub declares nothing of this part of the path, and these names in its place.
    Unknown { part: usize, names: Vec<&'a str> },
}

impl Own {
    /// All that the files declare.
    pub(in crate::lint) fn of<'a>(declared: impl IntoIterator<Item = &'a Declared>) -> Self {
        let mut own = Self::default();
        for Declared { path, what, .. } in declared {
            let mut node = &mut own.root;
            for part in path {
                node = node.below.entry(part.clone()).or_default();
            }
            match what {
                What::Option(kind) => node.types.push(kind.clone()),
                What::Unknown => node.open = true,
            }
        }
        own
    }

    /// What is known of a path, whose parts are names, or `*` for what only evaluating tells.
    pub(in crate::lint) fn standing(&self, path: &[String]) -> Standing<'_> {
        let (mut node, mut is_open) = (&self.root, self.root.open || self.root.below.contains_key(ANY));
        for (at, part) in path.iter().enumerate() {
            let Some(next) = node.below.get(part).or_else(|| node.below.get(ANY).filter(|_| at > 0)) else {
                // What has a type and no options below it is a value.
                let is_value = !node.types.is_empty() && node.types.iter().any(|kind| !kind.ends_with("submodule"));
                if is_open || is_value || part == ANY || node.below.is_empty() {
                    return Standing::Within { part: at };
                }
                return Standing::Unknown { part: at, names: node.below.keys().map(String::as_str).collect() };
            };
            node = next;
            is_open |= node.open;
        }
        // Declared as an option here and as a set of such there: one of both files is not imported, and which one is not known.
        let is_value = node.types.iter().any(|kind| !kind.ends_with("submodule"));
        if is_value && !node.below.is_empty() || is_open && node.types.is_empty() {
            Standing::Within { part: path.len() }
        } else {
            Standing::Own(&node.types)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn what_is_not_declared_is_unknown_only_where_all_is_read() {
        let declared = |text: &str, what| Declared { path: path(text), what, links: Vec::new() };
        let option = |text: &str, kind: &str| declared(text, What::Option(kind.to_owned()));
        let own = Own::of(&[
            option("features.docker.enable", "bool"),
            option("features.users", "attrsOf submodule"),
            option("features.users.*.name", "str"),
            option("features.settings", "attrsOf unspecified"),
            declared("features.more", What::Unknown),
        ]);
        let bool = ["bool".to_owned()];
        assert_eq!(own.standing(&path("features.docker.enable")), Standing::Own(&bool));
        assert_eq!(own.standing(&path("features.docker")), Standing::Own(&[]));
        assert_eq!(own.standing(&path("features.users.me.name")), Standing::Own(&["str".to_owned()]));
        assert_eq!(own.standing(&path("features.settings.a.b")), Standing::Within { part: 2 });
        assert_eq!(own.standing(&path("features.more.a")), Standing::Within { part: 2 });
        assert_eq!(own.standing(&path("features.docker.*")), Standing::Within { part: 2 });
        let unknown = Standing::Unknown { part: 2, names: vec!["enable"] };
        assert_eq!(own.standing(&path("features.docker.enabel")), unknown);
        let unknown = Standing::Unknown { part: 3, names: vec!["name"] };
        assert_eq!(own.standing(&path("features.users.me.nmae")), unknown);
        assert!(matches!(own.standing(&path("features.dokcer.enable")), Standing::Unknown { part: 1, .. }));
        let both = Own::of(&[option("a.b", "bool"), option("a.b.c", "bool")]);
        assert_eq!(both.standing(&path("a.b")), Standing::Within { part: 2 });
        assert!(matches!(own.standing(&path("else.a")), Standing::Unknown { part: 0, .. }));
    }
}
