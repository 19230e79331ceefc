//! Files that nothing imports.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use super::{Check, Rule};
use crate::lint::finding::Finding;
use crate::lint::tree::{Facts, How, Tree};

pub(super) const RULE: Rule = rule!("dead-file", Note, Check::Tree(check));

/// A flake of more files is a library, in which it takes long to look for what nothing imports.
const MANY: usize = 5_000;

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    if !tree.files.contains_key("flake.nix") || tree.files.len() > MANY {
        return Vec::new();
    }
    let alive = alive(tree);
    let dead = tree.files.keys().filter(|path| !alive.contains(*path));
    dead.map(|path| ((*path).to_owned(), Finding::at(0..0, "nothing that the flake is made of imports this file"))).collect()
}

/// Files that programs look for by their names, in whatever directory.
const READ_BY_OTHERS: [&str; 5] = ["devenv.nix", "flake.nix", "secrets.nix", "shell.nix", "treefmt.nix"];

/// Every file that one may come to from a file that need not be imported to be of use: those at the root, hidden ones, and those that
/// programs look for.
fn alive<'a>(tree: &'a Tree<'_>) -> BTreeSet<&'a str> {
    let (mut alive, mut words, parts) = (BTreeSet::new(), BTreeSet::new(), Parts::of(tree));
    let is_root = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        !path.contains('/') || READ_BY_OTHERS.contains(&name) || path.split('/').any(|part| part.starts_with('.'))
    };
    let mut next: Vec<&str> = tree.files.keys().copied().filter(is_root).collect();
    while let Some(path) = next.pop() {
        if alive.insert(path) {
            let Some(facts) = tree.files.get(path) else { continue };
            next.extend(named(tree, facts, &parts, &mut words));
        }
    }
    alive
}

/// The paths of all files by each of their parts, with the byte at which that begins. To go through all paths for each word takes long.
struct Parts<'a>(HashMap<&'a str, Vec<(&'a str, usize)>>);

impl<'a> Parts<'a> {
    fn of(tree: &'a Tree<'_>) -> Self {
        let mut parts: HashMap<_, Vec<_>> = HashMap::new();
        for path in tree.files.keys() {
            let mut at = 0;
            for part in path.split('/') {
                parts.entry(part).or_default().push((*path, at));
                at += part.len() + 1;
            }
        }
        Self(parts)
    }

    /// The files whose paths have `word` in them, from the beginning of a part to the end of one.
    fn with(&self, word: &str) -> impl Iterator<Item = &'a str> {
        let first = word.split('/').next().unwrap_or(word);
        let paths = self.0.get(first).into_iter().flatten();
        let has_word = move |path: &str, at: usize| {
            path[at..].strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        paths.filter(move |(path, at)| has_word(path, *at)).map(|(path, _)| *path)
    }
}

/// All files that a file may be about. `words` are those that were looked at before.
fn named<'a>(
    tree: &'a Tree<'_>,
    facts: &'a Facts,
    parts: &Parts<'a>,
    words: &mut BTreeSet<&'a str>,
) -> Vec<&'a str> {
    let mut found = Vec::new();
    for reference in &facts.references {
        match tree.imported(&reference.path) {
            Some(path) if reference.how == How::Import || path == reference.path => found.push(path),
            _ => found.extend(below(tree, &reference.path)),
        }
    }
    // A text may name a file, or a directory of such, from wherever it is put behind.
    let new = facts.words.iter().filter(|word| words.insert(word.as_str()));
    found.extend(new.flat_map(|word| parts.with(word)));
    found
}

fn below<'a>(tree: &'a Tree<'_>, directory: &str) -> Vec<&'a str> {
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let from = tree.files.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
    from.map(|(path, _)| *path).take_while(|path| path.starts_with(&prefix)).collect()
}
