//! Imports of files that are not there, or that git does not know.

use std::path::Path;

use super::{Check, Rule};
use crate::lint::finding::Finding;
use crate::lint::tree::{How, Reference, Tree};

pub(super) const RULE: Rule = rule!("missing-file", Error, Check::Tree(check));

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    let mut found = Vec::new();
    // What asks whether a file is there knows what it does where it is not.
    for (path, facts) in tree.files.iter().filter(|(_, facts)| !facts.asks) {
        let imports = facts.references.iter().filter(|reference| reference.how == How::Import);
        found.extend(imports.filter_map(|import| Some(((*path).to_owned(), missing(tree, import)?))));
    }
    found
}

fn missing(tree: &Tree<'_>, import: &Reference) -> Option<Finding> {
    let Reference { path, span, .. } = import;
    if tree.imported(path).is_some() || leads_elsewhere(tree.root, path) {
        return None;
    }
    let whole = tree.root.join(path);
    let is_there = if whole.is_dir() { whole.join("default.nix").exists() } else { whole.exists() };
    let shown = if path.is_empty() { "the flake's directory" } else { path };
    if is_there {
        let is_nix = whole.is_dir() || whole.extension().is_some_and(|extension| extension == "nix");
        return is_nix.then(|| {
            Finding::at(span.clone(), format!("git does not know {shown}, so that Nix does not see it"))
                .hint(format!("git add {path}"))
        });
    }
    let message = if whole.is_dir() { format!("there is no default.nix in {shown}") } else { format!("there is no {shown}") };
    Some(Finding::at(span.clone(), message))
}

/// Whether a path goes by way of a link, or of a repository in this one: git lists what is there elsewhere, or not at all.
fn leads_elsewhere(root: &Path, path: &str) -> bool {
    Path::new(path).ancestors().any(|part| root.join(part).is_symlink())
        || root.join(".gitmodules").exists()
}
