//! Hosts that are mentioned and that there are not.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

use super::{Check, Rule};
use crate::error::nearest;
use crate::lint::file::host_of;
use crate::lint::finding::Finding;
use crate::lint::tree::Tree;

pub(super) const RULE: Rule = rule!("unknown-host", Warning, Check::Tree(check));

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    let known: BTreeSet<&str> = tree.files.keys().filter_map(|path| host_of(path)).collect();
    let mentions = || tree.files.iter().flat_map(|(path, facts)| facts.hosts.iter().map(move |host| (*path, host)));
    let mut unknown: BTreeSet<&str> = mentions().map(|(_, host)| host.name.as_str()).collect();
    unknown.retain(|name| !known.contains(name) && !is_in_a_path(tree, name));
    // Only few are left, as a rule none: what they are may stand anywhere.
    for file in tree.files.keys().map(|path| (*path).to_owned()).chain(lists(tree.root)) {
        if unknown.is_empty() {
            break;
        }
        let Ok(text) = fs::read_to_string(tree.root.join(&file)) else { continue };
        let own: Vec<_> = tree.files.get(file.as_str()).into_iter().flat_map(|facts| &facts.hosts).collect();
        let is_mention = |span: &Range<usize>| own.iter().any(|host| host.span.start <= span.start && span.end <= host.span.end);
        unknown.retain(|name| !words(&text, name).any(|span| !is_mention(&span)));
    }
    let unknown = mentions().filter(|(_, host)| unknown.contains(host.name.as_str()));
    unknown.map(|(path, host)| (path.to_owned(), finding(&host.name, &host.span, &known))).collect()
}

fn finding(name: &str, span: &Range<usize>, known: &BTreeSet<&str>) -> Finding {
    let finding = Finding::at(span.clone(), format!("there is no host `{name}`"));
    match nearest(name, known.iter().copied()) {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None => finding.hint("nothing else in the flake has this name"),
    }
}

/// Whether a file or a directory has the name, with or without an ending.
fn is_in_a_path(tree: &Tree<'_>, name: &str) -> bool {
    let is_it = |part: &str| part == name || part.split('.').next() == Some(name);
    tree.files.keys().any(|path| path.split('/').any(is_it))
        || ["hosts", "machines", "systems"].iter().any(|directory| tree.root.join(directory).join(name).exists())
}

/// Files at the flake's root that may list hosts.
fn lists(root: &Path) -> Vec<String> {
    let is_list = |name: &String| [".toml", ".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(is_list).collect()
}

/// Where a text has a name as a whole word.
fn words<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(name).map(|(at, word)| at..at + word.len()).filter(move |span| {
        !text[..span.start].ends_with(is_part) && !text[span.end..].starts_with(is_part)
    })
}
