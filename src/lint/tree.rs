//! What files say of each other: which paths each of them names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use rnix::SyntaxKind::*;
use rnix::ast::{self, Expr};
use rnix::{NodeOrToken, SyntaxNode};
use rowan::ast::AstNode as _;
use serde::{Deserialize, Serialize};

use super::ask::builtin;
use super::file::File;
use super::finding::Span as _;
pub(super) use super::hints::{Cache, Sign, StateVersion, state_versions};
use super::hints::{Caches, HostName, caches, hosts, signs};
use super::options::{Declared, Unsettled, declared};

/// What a file says of others.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Facts {
    pub(super) references: Vec<Reference>,
    /// Words in texts that may be parts of paths.
    pub(super) words: BTreeSet<String>,
    /// Whether it asks if something is there.
    pub(super) asks: bool,
    /// What its words show.
    pub(super) signs: BTreeSet<Sign>,
    /// The binary caches that it names, and keys of such.
    pub(super) caches: Caches,
    /// The releases that it says data are of.
    pub(super) state_versions: Vec<StateVersion>,
    /// The hosts that it asks for by name.
    pub(super) hosts: Vec<HostName>,
    /// The options that it declares.
    pub(super) declared: Vec<Declared>,
    /// What it sets that may be an option of the hub's own.
    pub(super) unsettled: Vec<Unsettled>,
}

/// A path that a file names.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Reference {
    /// From the flake's directory; empty for that itself.
    pub(super) path: String,
    pub(super) span: Range<usize>,
    pub(super) how: How,
}

/// What a path is named for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum How {
    /// It is imported: a file, or a directory with a `default.nix`.
    Import,
    /// Only evaluating tells what of it is used.
    Unknown,
}

/// All files of a flake, with what they say of each other.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) root: &'a Path,
    pub(super) files: BTreeMap<&'a str, &'a Facts>,
    /// Texts of the last commit, as far as they matter.
    pub(super) before: &'a BTreeMap<String, String>,
}

impl Tree<'_> {
    /// Whether any file shows it.
    pub(super) fn has(&self, sign: Sign) -> bool {
        self.files.values().any(|facts| facts.signs.contains(&sign))
    }

    /// The file that an import of `path` reads.
    pub(super) fn imported(&self, path: &str) -> Option<&str> {
        let index = if path.is_empty() { "default.nix".to_owned() } else { format!("{path}/default.nix") };
        [path, index.as_str()].into_iter().find_map(|path| self.files.get_key_value(path)).map(|(path, _)| *path)
    }

    /// The files from which one comes to others by what they import, with those others.
    pub(super) fn reached<'a>(&'a self, from: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
        let (mut reached, mut next) = (BTreeSet::new(), from.collect::<Vec<_>>());
        while let Some(path) = next.pop() {
            if !reached.insert(path) {
                continue;
            }
            let references = self.files.get(path).into_iter().flat_map(|facts| &facts.references);
            // A path that is handed on may be a module; a directory that is, anything.
            let is_module = |reference: &&Reference| {
                reference.how == How::Import || self.files.contains_key(reference.path.as_str())
            };
            next.extend(references.filter(is_module).filter_map(|reference| self.imported(&reference.path)));
        }
        reached
    }
}

/// What `file` says of others.
pub(super) fn facts(file: &File<'_>) -> Facts {
    let text = file.source.text();
    let mut facts =
        Facts { asks: text.contains("pathExists"), signs: signs(file), declared: declared(file), ..Facts::default() };
    // Most files have nothing of it, which their texts tell faster than their trees.
    if text.contains("stateVersion") {
        facts.state_versions = state_versions(file);
    }
    if ["substituters", "trusted-public-keys", "inaryCache"].iter().any(|word| text.contains(word)) {
        facts.caches = caches(file);
    }
    if ["ostName", "ostname", "Configurations"].iter().any(|word| text.contains(word)) {
        facts.hosts = hosts(file);
    }
    let directory = file.source.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    for node in file.tree.syntax().descendants() {
        match node.kind() {
            NODE_PATH_REL => facts.references.extend(reference(&node, directory)),
            NODE_STRING => facts.words.extend(words(&node)),
            _ => {}
        }
    }
    facts
}

fn reference(node: &SyntaxNode, directory: &str) -> Option<Reference> {
    let span = node.text_range().bytes();
    let first = node.first_token()?;
    let is_whole = first.text_range() == node.text_range();
    let parent = node.parent()?;
    let goes_on = !is_whole || parent.kind() == NODE_BIN_OP && !is_joined_list(&parent);
    let text = if is_whole { first.text() } else { first.text().rsplit_once('/')?.0 };
    let how = if !goes_on && is_import(node) { How::Import } else { How::Unknown };
    Some(Reference { path: resolved(directory, text)?, span, how })
}

fn is_joined_list(node: &SyntaxNode) -> bool {
    ast::BinOp::cast(node.clone()).and_then(|op| op.operator()) == Some(ast::BinOpKind::Concat)
}

/// A relative path from the flake's directory; none where it leads out of it.
pub(super) fn resolved(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Attributes whose lists are of modules.
const MODULES: [&str; 3] = ["imports", "modules", "sharedModules"];

/// Whether a path is imported where it stands: by `import`, by `callPackage`, or as an item of a list of modules.
fn is_import(node: &SyntaxNode) -> bool {
    let mut node = node.clone();
    while let Some(parent) = node.parent().filter(|parent| parent.kind() == NODE_PAREN) {
        node = parent;
    }
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        NODE_APPLY => {
            let called = ast::Apply::cast(parent).and_then(|apply| apply.lambda());
            called.is_some_and(|function| calls_file(&function))
        }
        NODE_LIST => parent.parent().and_then(ast::AttrpathValue::cast).is_some_and(|entry| {
            let last = entry.attrpath().and_then(|path| path.attrs().last());
            last.is_some_and(|last| MODULES.contains(&last.to_string().as_str()))
        }),
        _ => false,
    }
}

fn calls_file(function: &Expr) -> bool {
    builtin(function).is_some_and(|name| name == "import")
        || super::ask::last_name(function).is_some_and(|name| name == "callPackage")
}

/// Words of a text that may be parts of paths.
fn words(node: &SyntaxNode) -> Vec<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/+-".contains(c);
    let tokens = node.children_with_tokens().filter_map(NodeOrToken::into_token);
    let texts = tokens.filter(|token| token.kind() == TOKEN_STRING_CONTENT);
    texts
        .flat_map(|token| {
            let words = token.text().split(|c| !fits(c)).filter(|word| word.contains('/') || word.contains(".nix"));
            words.map(|word| word.trim_start_matches("./").trim_matches('/').to_owned()).collect::<Vec<_>>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_followed_within_the_flake() {
        for (directory, path, wanted) in [
            ("hosts/a", "./b.nix", Some("hosts/a/b.nix")),
            ("hosts/a", "../../c", Some("c")),
            ("", "./.", Some("")),
            ("a", "..", Some("")),
            ("a", "../..", None),
        ] {
            assert_eq!(resolved(directory, path).as_deref(), wanted, "{directory} {path}");
        }
    }
}
