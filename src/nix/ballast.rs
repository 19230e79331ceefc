//! What makes a source large without being Nix: each change of the tree has all of it hashed and copied to the store again.

use std::collections::BTreeMap;
use std::path::Path;

use super::tree::Tree;

/// From how many such files on a source is pointed out. Copying as many takes about a second.
const MANY: u64 = 10_000;

/// From how many bytes of such files on a source is pointed out. Copying as many takes about a second.
const LARGE: u64 = 100 * 1024 * 1024;

/// How many places are named.
const NAMED: usize = 3;

/// Files, and what is in them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Weight {
    /// How many files there are.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// What makes a source large.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ballast {
    /// All files that are not Nix.
    pub all: Weight,
    /// Where most of it is, heaviest first, relative to the tree's directory. A directory ends with a slash.
    pub places: Vec<(String, Weight)>,
}

impl Weight {
    fn of_file(bytes: u64) -> Self {
        Self { files: 1, bytes }
    }

    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }

    /// What it costs, in thousandths of what is pointed out.
    fn load(self) -> u64 {
        self.files * 1000 / MANY + self.bytes.saturating_mul(1000) / LARGE
    }

    fn is_large(self) -> bool {
        self.files >= MANY || self.bytes >= LARGE
    }

    /// Whether somebody who was told of `told` has reason to be told of this: it is half as much again.
    pub fn is_news(self, told: Option<Self>) -> bool {
        let grown = |now: u64, then: u64| now > then + then / 2;
        told.is_none_or(|told| grown(self.files, told.files) || grown(self.bytes, told.bytes))
    }
}

/// What makes a tree large, if it is.
pub(super) fn ballast(tree: &Tree) -> Option<Ballast> {
    let others = || tree.files().filter(|(path, _)| path.extension().is_none_or(|ext| ext != "nix"));
    let mut all = Weight::default();
    others().for_each(|(_, bytes)| all.add(Weight::of_file(bytes)));
    if !all.is_large() {
        return None;
    }
    let mut weights = Weights::default();
    others().for_each(|(path, bytes)| weights.add(path, Weight::of_file(bytes)));
    Some(Ballast { all, places: weights.places(all) })
}

/// Every file and directory, by the directory that it is in.
#[derive(Default)]
struct Weights<'a>(BTreeMap<&'a Path, BTreeMap<&'a Path, Weight>>);

impl<'a> Weights<'a> {
    fn add(&mut self, file: &'a Path, weight: Weight) {
        for path in file.ancestors() {
            if let Some(parent) = path.parent() {
                self.0.entry(parent).or_default().entry(path).or_default().add(weight);
            }
        }
    }

    /// What is directly in a directory; nothing for a file.
    fn within(&self, path: &Path) -> impl Iterator<Item = (&'a Path, Weight)> {
        self.0.get(path).into_iter().flatten().map(|(path, weight)| (*path, *weight))
    }

    /// The narrowest places that have a good part of it each.
    fn places(&self, all: Weight) -> Vec<(String, Weight)> {
        let mut heavy: Vec<_> =
            self.within(Path::new("")).filter(|(_, weight)| weight.load() >= all.load() / 10).collect();
        heavy.sort_by_key(|(_, weight)| std::cmp::Reverse(weight.load()));
        heavy.truncate(NAMED);
        heavy.into_iter().map(|place| self.narrowed(place)).map(|(path, weight)| (self.shown(path), weight)).collect()
    }

    /// The place below `path` that has nearly all of what `path` has.
    fn narrowed(&self, (path, weight): (&'a Path, Weight)) -> (&'a Path, Weight) {
        let inner = self.within(path).find(|(_, inner)| inner.load() >= weight.load() / 10 * 9);
        inner.map_or((path, weight), |inner| self.narrowed(inner))
    }

    fn shown(&self, path: &Path) -> String {
        let slash = if self.0.contains_key(path) { "/" } else { "" };
        format!("{}{slash}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// What makes files of these sizes large.
    fn found(files: &[(&str, u64)]) -> Option<Ballast> {
        ballast(&Tree::of_files(files.iter().map(|(path, size)| (PathBuf::from(path), *size))))
    }

    fn many(prefix: &str, count: u64) -> Vec<(String, u64)> {
        (0..count).map(|n| (format!("{prefix}/{}/{n}.svg", n % 7), 1000)).collect()
    }

    #[test]
    fn a_tree_of_usual_size_is_not_worth_a_word() {
        let files: Vec<_> = (0..9_999).map(|n| (format!("hosts/{n}.txt"), 1_000)).collect();
        let files: Vec<_> = files.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        assert_eq!(found(&files), None);
        let code: Vec<_> = (0..20_000).map(|n| format!("pkgs/{n}.nix")).collect();
        assert_eq!(found(&code.iter().map(|path| (path.as_str(), 10_000)).collect::<Vec<_>>()), None);
    }

    #[test]
    fn the_places_that_are_at_fault_are_named() {
        let icons = many("assets/icons/theme", 12_000);
        let mut files: Vec<_> = icons.iter().map(|(path, size)| (path.as_str(), *size)).collect();
        files.extend([("hosts/a/default.nix", 100), ("images/iso/live.iso", LARGE * 2), ("README.md", 10)]);
        let found = found(&files).unwrap();
        assert_eq!(found.all.files, 12_002);
        let iso = Weight { files: 1, bytes: LARGE * 2 };
        let theme = Weight { files: 12_000, bytes: 12_000_000 };
        assert_eq!(found.places, [("images/iso/live.iso".to_owned(), iso), ("assets/icons/theme/".to_owned(), theme)]);
    }

    #[test]
    fn what_was_told_is_told_again_when_it_has_grown() {
        let weight = |files, bytes| Weight { files, bytes };
        for (told, now, is_news) in [
            (None, weight(10_000, 1), true),
            (Some(weight(10_000, 1_000)), weight(10_000, 1_000), false),
            (Some(weight(10_000, 1_000)), weight(14_000, 1_400), false),
            (Some(weight(10_000, 1_000)), weight(15_001, 1_000), true),
            (Some(weight(10_000, 1_000)), weight(10_000, 1_501), true),
            (Some(weight(20_000, 1_000)), weight(10_000, 1_000), false),
        ] {
            assert_eq!(now.is_news(told), is_news, "{told:?} {now:?}");
        }
    }
}
