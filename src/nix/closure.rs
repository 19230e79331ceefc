//! Closures and what differs between two of them, by package.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::package::{compare_versions, split_version};
use super::program::Nix;
use super::store_path::StorePath;
use crate::process::{Cancel, Failure};

/// How long listing a closure may take.
const DEADLINE: Duration = Duration::from_secs(5 * 60);

/// The paths of a closure with the size of each, in bytes of its NAR.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Closure(BTreeMap<StorePath, u64>);

/// A package that differs between two closures.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageChange {
    /// The package's name.
    pub name: String,
    /// What happens to it.
    pub change: Change,
    /// The versions that only the old closure has, oldest first. A path without a version counts as `""`.
    pub old: Vec<String>,
    /// The versions that only the new closure has, oldest first.
    pub new: Vec<String>,
    /// How much larger the package is in the new closure, in bytes.
    pub size_change: i64,
}

/// What happens to a package.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The old closure has none of it.
    Added,
    /// The new closure has none of it.
    Removed,
    /// Its newest version is newer than before.
    Up,
    /// Its newest version is older than before.
    Down,
    /// Other versions come or go, and the newest stays.
    Versions,
    /// It has the same versions and another size.
    Size,
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
            let (name, version) = split_version(without_output(path.name()));
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

impl Package<'_> {
    fn newest(&self) -> &str {
        self.versions.iter().copied().max_by(|a, b| compare_versions(a, b)).unwrap_or_default()
    }
}

/// The closure of a path in this machine's store.
pub async fn local_closure(nix: &Nix, path: &StorePath, cancel: &Cancel) -> Result<Closure, Failure> {
    if let Some(known) = nix.db().and_then(|db| db.closure(path)) {
        return Ok(Closure(known));
    }
    let cmd = nix.cmd(&["path-info", "--size", "--recursive"]).arg(path.as_str()).deadline(DEADLINE);
    Ok(Closure::parse(&cmd.output(cancel).await?.text()))
}

/// The references by which `from` needs `to`, as lines of a tree. Both are in this machine's store.
pub async fn why_depends(nix: &Nix, from: &StorePath, to: &StorePath, cancel: &Cancel) -> Result<Vec<String>, Failure> {
    let cmd = nix.cmd(&["why-depends"]).arg(from.as_str()).arg(to.as_str()).deadline(DEADLINE);
    Ok(cmd.output(cancel).await?.text().lines().map(str::to_owned).collect())
}

/// The packages of which versions come or go, and those that grow or shrink by 8 KiB or more with the same versions, by name: the
/// list of `nix store diff-closures`.
pub fn diff_closures(old: &Closure, new: &Closure) -> Vec<PackageChange> {
    let (before, after) = (old.packages(), new.packages());
    let names: BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
    names.into_iter().filter_map(|name| change_of(name, before.get(name), after.get(name))).collect()
}

fn change_of(name: &str, old: Option<&Package<'_>>, new: Option<&Package<'_>>) -> Option<PackageChange> {
    const NOTABLE: u64 = 8 * 1024;
    let none = Package::default();
    let (before, after) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let only = |a: &Package<'_>, b: &Package<'_>| in_order(a.versions.difference(&b.versions).copied());
    let (gone, come) = (only(before, after), only(after, before));
    let size_change = after.size - before.size;
    let change = match (old, new) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        _ if gone.is_empty() && come.is_empty() => Change::Size,
        (Some(old), Some(new)) => match compare_versions(old.newest(), new.newest()) {
            Ordering::Less => Change::Up,
            Ordering::Greater => Change::Down,
            Ordering::Equal => Change::Versions,
        },
    };
    let notable = change != Change::Size || size_change.unsigned_abs() >= NOTABLE;
    notable.then(|| PackageChange { name: name.to_owned(), change, old: gone, new: come, size_change })
}

/// Versions from the oldest to the newest.
fn in_order<'a>(versions: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut versions: Vec<_> = versions.map(str::to_owned).collect();
    versions.sort_by(|a, b| compare_versions(a, b));
    versions
}

/// A store object's name without that of the output at its end, such as `-bin`. Names do not tell outputs from other words: those at
/// the end of a package's own name are taken off as well, as Nix does.
fn without_output(name: &str) -> &str {
    let is_output = |word: &str| {
        matches!(word, "lib32" | "lib64") || (!word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
    };
    name.rsplit_once('-').filter(|(_, last)| is_output(last)).map_or(name, |(package, _)| package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closure(objects: &[(&str, u64)]) -> Closure {
        let line = |(i, (name, size)): (usize, &(&str, u64))| format!("/nix/store/{i:032}-{name}\t {size}\n");
        Closure::parse(&objects.iter().enumerate().map(line).collect::<String>())
    }

    fn brief(old: &[(&str, u64)], new: &[(&str, u64)]) -> Vec<String> {
        let changes = diff_closures(&closure(old), &closure(new));
        let line = |one: &PackageChange| {
            format!("{} {:?} {} > {} {}", one.name, one.change, one.old.join(","), one.new.join(","), one.size_change)
        };
        changes.iter().map(line).collect()
    }

    #[test]
    fn added_removed_and_changed_packages_are_found() {
        let old = [("vim-9.10", 10), ("git-2", 3), ("gone-1", 5), ("same-1", 7), ("grown", 10), ("less", 10)];
        let new = [("vim-9.9", 12), ("git-10", 3), ("fresh-2", 6), ("same-1", 7), ("grown", 8_202), ("less", 8_201)];
        assert_eq!(
            brief(&old, &new),
            [
                "fresh Added  > 2 6",
                "git Up 2 > 10 0",
                "gone Removed 1 >  -5",
                "grown Size  >  8192",
                "vim Down 9.10 > 9.9 2"
            ]
        );
        assert_eq!(brief(&old, &old), Vec::<String>::new());
    }

    #[test]
    fn outputs_are_one_package_and_so_are_versions_side_by_side() {
        let old = [("ssl-3.1-bin", 1), ("ssl-3.1", 2), ("ssl-1.1-lib64", 4), ("py-3", 1)];
        let new =
            [("ssl-3.1-dev", 1), ("ssl-3.1", 2), ("ssl-0.9", 1), ("py-3", 1), ("py-2-doc", 1), ("py-unstable-1", 1)];
        assert_eq!(brief(&old, &new), ["py Versions  > 2 1", "py-unstable Added  > 1 1", "ssl Versions 1.1 > 0.9 -3"]);
        assert_eq!(without_output("system-path"), "system");
        assert_eq!(without_output("x-1.0-Bin2"), "x-1.0-Bin2");
    }
}
