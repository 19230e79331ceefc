//! Files that nothing imports.

use std::collections::BTreeSet;

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
    let (mut alive, mut words) = (BTreeSet::new(), BTreeSet::new());
    let is_root = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        !path.contains('/') || READ_BY_OTHERS.contains(&name) || path.split('/').any(|part| part.starts_with('.'))
    };
    let mut next: Vec<&str> = tree.files.keys().copied().filter(is_root).collect();
    while let Some(path) = next.pop() {
        if alive.insert(path) {
            let Some(facts) = tree.files.get(path) else { continue };
            next.extend(named(tree, facts, &mut words));
        }
    }
    alive
}

/// All files that a file may be about. `words` are those that were looked at before.
fn named<'a>(tree: &'a Tree<'_>, facts: &'a Facts, words: &mut BTreeSet<&'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for reference in &facts.references {
        match tree.imported(&reference.path) {
            Some(path) if reference.how == How::Import || path == reference.path => found.push(path),
            _ => found.extend(below(tree, &reference.path)),
        }
    }
    for word in facts.words.iter().filter(|word| !words.contains(word.as_str())) {
        // A text may name a file, or a directory of such, from wherever it is put behind.
        let (suffix, prefix, part) = (format!("/{word}"), format!("{word}/"), format!("/{word}/"));
        found.extend(tree.files.keys().copied().filter(|path| {
            path == word || path.ends_with(&suffix) || path.starts_with(&prefix) || path.contains(&part)
        }));
    }
    words.extend(facts.words.iter().map(String::as_str));
    found
}

fn below<'a>(tree: &'a Tree<'_>, directory: &str) -> Vec<&'a str> {
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    tree.files.keys().copied().filter(|path| path.starts_with(&prefix)).collect()
}
