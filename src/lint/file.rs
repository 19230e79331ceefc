//! A file that was read and found to be Nix.

use rnix::ast::{self, AttrpathValue};

use super::finding::Finding;
use super::option_path::{OptionPath, OptionPaths};
use super::parse;
use super::scope::{self, Names};
use super::source::Source;

/// A file with its tree and its names.
#[derive(Debug)]
pub(super) struct File<'a> {
    pub(super) source: &'a Source,
    pub(super) tree: ast::Root,
    pub(super) names: Names,
    paths: OptionPaths,
}

impl File<'_> {
    /// The path of what `entry` sets. None where it is no part of a module's own attributes.
    pub(super) fn option_path(&self, entry: &AttrpathValue) -> Option<OptionPath> {
        self.paths.of(entry)
    }

    /// Whether it says what one host is, by where it lies.
    pub(super) fn is_of_host(&self) -> bool {
        host_of(self.source.path()).is_some()
    }
}

/// The host that the file at `path` is of, by where it lies: `hosts/p620/default.nix` and `hosts/p620.nix` are of `p620`.
pub(super) fn host_of(path: &str) -> Option<&str> {
    let mut parts = path.split('/');
    matches!(parts.next(), Some("hosts" | "machines" | "systems")).then_some(())?;
    let name = parts.next()?.trim_end_matches(".nix");
    (!SHARED.contains(&name)).then_some(name)
}

/// Directories below `hosts` that are of no host.
const SHARED: [&str; 6] = ["common", "default", "modules", "profiles", "shared", "templates"];

/// Reads `source`. What is wrong with it is found in any case; a file only where Nix would evaluate it.
pub(super) fn read(source: &Source) -> (Option<File<'_>>, Vec<Finding>) {
    let tree = match parse::parse(source.text()) {
        Ok(tree) => tree,
        Err(found) => return (None, found),
    };
    let (names, found) = scope::names(&tree);
    let is_sound = found.iter().all(|finding| finding.severity < super::Severity::Error);
    (is_sound.then_some(File { source, tree, names, paths: OptionPaths::default() }), found)
}
