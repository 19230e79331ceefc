//! Closures and what differs between two of them, by package.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::program::Nix;
use super::store_path::StorePath;
use crate::process::{Cancel, Failure};

/// How long listing a closure may take.
const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// The paths of a closure with the size of each, in bytes of its NAR.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Closure(BTreeMap<StorePath, u64>);

/// A package whose versions differ between two closures.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PackageChange {
    /// The package's name.
    pub name: String,
    /// The versions that only the old closure has; empty for an added package. A path without version counts as `""`.
    pub old: Vec<String>,
    /// The versions that only the new closure has; empty for a removed package.
    pub new: Vec<String>,
    /// How much larger the package is in the new closure, in bytes.
    pub size_change: i64,
}

impl Closure {
    /// Reads lines of a path and its NAR size in bytes, as `nix path-info --size --recursive` prints in every version;
    /// lines that are none are passed over.
    pub fn parse(printed: &str) -> Self {
        let pairs = printed.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// The size of the whole, in bytes.
    pub fn size(&self) -> u64 {
        self.0.values().sum()
    }

    /// Its paths, each with the size of its NAR in bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&StorePath, u64)> {
        self.0.iter().map(|(path, size)| (path, *size))
    }

    /// Whether it has no path, which no closure of a store path is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn packages(&self) -> BTreeMap<&str, Package<'_>> {
        let mut packages = BTreeMap::<_, Package<'_>>::new();
        for (path, size) in &self.0 {
            let (name, version) = split_version(path.name());
            let package = packages.entry(name).or_default();
            package.versions.insert(version);
            package.size += i64::try_from(*size).unwrap_or(i64::MAX);
        }
        packages
    }
}

#[derive(Default)]
struct Package<'a> {
    versions: BTreeSet<&'a str>,
    size: i64,
}

/// The closure of a path in this machine's store.
pub async fn local_closure(nix: &Nix, path: &StorePath, cancel: &Cancel) -> Result<Closure, Failure> {
    if let Some(known) = nix.db().and_then(|db| db.closure(path)) {
        return Ok(Closure(known));
    }
    let cmd = nix.cmd(&["path-info", "--size", "--recursive"]).arg(path.as_str()).deadline(DEADLINE);
    Ok(Closure::parse(&cmd.output(cancel).await?.text()))
}

/// A shell command that prints the closure of `path` in the form that [`Closure::parse`] reads.
pub fn closure_command(path: &StorePath) -> String {
    format!("nix --extra-experimental-features nix-command path-info --size --recursive {path}")
}

/// The packages whose versions differ, and those that grew or shrank by more than 8 KiB under the same version, by name.
pub fn diff_closures(old: &Closure, new: &Closure) -> Vec<PackageChange> {
    let (before, after) = (old.packages(), new.packages());
    let names: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    names.into_iter().filter_map(|name| change_of(name, before.get(name), after.get(name))).collect()
}

fn change_of(name: &str, old: Option<&Package<'_>>, new: Option<&Package<'_>>) -> Option<PackageChange> {
    const NOTABLE: u64 = 8 * 1024;
    let none = Package::default();
    let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let only = |a: &Package<'_>, b: &Package<'_>| {
        a.versions.difference(&b.versions).map(|version| (*version).to_owned()).collect::<Vec<_>>()
    };
    let change = PackageChange {
        name: name.to_owned(),
        old: only(old, new),
        new: only(new, old),
        size_change: new.size - old.size,
    };
    let notable = !change.old.is_empty() || !change.new.is_empty() || change.size_change.unsigned_abs() > NOTABLE;
    notable.then_some(change)
}

/// A store object's name and version: the version begins at the first dash that is not followed by a letter, as for
/// `builtins.parseDrvName`.
fn split_version(name: &str) -> (&str, &str) {
    let dash = name.match_indices('-').map(|(at, _)| at);
    let mut versions = dash.filter(|at| name[at + 1..].starts_with(|c: char| !c.is_alphabetic()));
    versions.next().map_or((name, ""), |at| (&name[..at], &name[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(objects: &[(&str, u64)]) -> Closure {
        let line = |(i, (name, size)): (usize, &(&str, u64))| format!("/nix/store/{i:032}-{name}\t {size}\n");
        Closure::parse(&objects.iter().enumerate().map(line).collect::<String>())
    }

    #[test]
    fn names_and_versions_are_told_apart() {
        assert_eq!(split_version("firefox-129.0.2"), ("firefox", "129.0.2"));
        assert_eq!(split_version("nixos-system-p620-25.11"), ("nixos-system-p620", "25.11"));
        assert_eq!(split_version("unit-sshd.service"), ("unit-sshd.service", ""));
    }

    #[test]
    fn added_removed_and_changed_packages_are_found() {
        let old = closure(&[("vim-9.0", 10), ("gone-1", 5), ("same-1", 7), ("grown", 10)]);
        let new = closure(&[("vim-9.1", 12), ("fresh-2", 6), ("same-1", 7), ("grown", 9_000)]);
        let changes = diff_closures(&old, &new);
        let brief: Vec<_> = changes
            .iter()
            .map(|change| format!("{} {:?} {:?} {}", change.name, change.old, change.new, change.size_change))
            .collect();
        assert_eq!(
            brief,
            [r#"fresh [] ["2"] 6"#, r#"gone ["1"] [] -5"#, "grown [] [] 8990", r#"vim ["9.0"] ["9.1"] 2"#,]
        );
        assert_eq!(diff_closures(&old, &old), []);
    }
}
