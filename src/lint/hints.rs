//! What files say that is looked at for all of them together: binary caches and keys, releases of data, hosts by their names.

use std::collections::BTreeSet;
use std::ops::Range;

use rnix::SyntaxKind::*;
use rnix::SyntaxNode;
use rnix::ast::{self, BinOpKind, Expr};
use rowan::ast::AstNode as _;
use serde::{Deserialize, Serialize};

use super::ask::{call, dotted, last_name, plain, text};
use super::attributes::{bare, constant};
use super::file::File;
use super::finding::Span as _;

/// What the words of a file show.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(super) enum Sign {
    /// It makes hosts.
    MakesHosts,
    /// It has garbage collected.
    CollectsGarbage,
    /// It says with which release the data of a system were made.
    StateVersion,
}

/// The binary caches that a file names, and keys of such.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Caches {
    pub(super) named: Vec<Cache>,
    /// Keys, each with its name in front.
    pub(super) keys: BTreeSet<String>,
    /// Whether only evaluating tells which keys are trusted.
    pub(super) has_computed_keys: bool,
}

/// A binary cache.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Cache {
    pub(super) address: String,
    pub(super) span: Range<usize>,
}

impl Cache {
    /// The name of its host.
    pub(super) fn host(&self) -> &str {
        let rest = self.address.split_once("://").map_or(self.address.as_str(), |(_, rest)| rest);
        rest.split(['/', '?', ':']).next().unwrap_or(rest)
    }
}

/// The release that the data of an option are said to be of.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct StateVersion {
    /// The option's path.
    pub(super) option: String,
    pub(super) release: String,
    pub(super) span: Range<usize>,
}

/// A host that is asked for by its name.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct HostName {
    pub(super) name: String,
    pub(super) span: Range<usize>,
}

/// What the words of a file show.
pub(super) fn signs(file: &File<'_>) -> BTreeSet<Sign> {
    let text = file.source.text();
    let has_all = |words: &[&str]| words.iter().all(|word| text.contains(word));
    let mut signs = BTreeSet::new();
    if has_all(&["nixosSystem"]) {
        signs.insert(Sign::MakesHosts);
    }
    let collects: [&[&str]; 6] =
        [&["gc", "automatic"], &["min-free"], &["nh", "clean"], &["collect-garbage"], &["nix.gc"], &["angrr"]];
    if collects.iter().any(|words| has_all(words)) {
        signs.insert(Sign::CollectsGarbage);
    }
    if has_all(&["stateVersion"]) && file.tree.syntax().descendants().any(|node| is_of_system(&node, file)) {
        signs.insert(Sign::StateVersion);
    }
    signs
}

/// Whether a node sets a `stateVersion` that may be a system's.
fn is_of_system(node: &SyntaxNode, file: &File<'_>) -> bool {
    match node.kind() {
        NODE_INHERIT => node.text().to_string().contains("stateVersion"),
        NODE_ATTRPATH_VALUE => {
            let Some(entry) = ast::AttrpathValue::cast(node.clone()) else { return false };
            let is_it = last(&entry).is_some_and(|name| name == "stateVersion");
            is_it && file.option_path(&entry).is_none_or(|path| !path.iter().any(|part| part == "home"))
        }
        _ => false,
    }
}

fn last(entry: &ast::AttrpathValue) -> Option<String> {
    constant(&entry.attrpath()?.attrs().last()?)
}

fn entries(file: &File<'_>) -> impl Iterator<Item = ast::AttrpathValue> {
    file.tree.syntax().descendants().filter_map(ast::AttrpathValue::cast)
}

/// The releases that a file says data are of, where they are written out.
pub(super) fn state_versions(file: &File<'_>) -> Vec<StateVersion> {
    let version = |entry: ast::AttrpathValue| {
        last(&entry).filter(|name| name == "stateVersion")?;
        let value = plain(entry.value()?);
        let option = file.option_path(&entry)?.join(".");
        Some(StateVersion { option, release: text(&value)?, span: value.syntax().text_range().bytes() })
    };
    entries(file).filter_map(version).collect()
}

/// Options that name binary caches, each by the last part of its name, and those that name keys.
const CACHES: [&str; 4] = ["substituters", "extra-substituters", "binaryCaches", "extraSubstituters"];
const KEYS: [&str; 4] =
    ["trusted-public-keys", "extra-trusted-public-keys", "binaryCachePublicKeys", "extraTrustedPublicKeys"];

/// The binary caches that a file names, and keys of such.
pub(super) fn caches(file: &File<'_>) -> Caches {
    let mut caches = Caches::default();
    for entry in entries(file) {
        let (Some(name), Some(value)) = (last(&entry), entry.value()) else { continue };
        let value = plain(value);
        if CACHES.contains(&name.as_str()) {
            caches.named.extend(addresses(&value));
        } else if KEYS.contains(&name.as_str()) {
            let (keys, is_all) = texts(&value);
            caches.keys.extend(keys.into_iter().flat_map(|(key, _)| words(&key)));
            caches.has_computed_keys |= !is_all;
        }
    }
    // What is inherited comes from somewhere else.
    let inherits = file.tree.syntax().descendants().filter(|node| node.kind() == NODE_INHERIT);
    caches.has_computed_keys |=
        inherits.map(|node| node.text().to_string()).any(|text| KEYS.iter().any(|key| text.contains(key)));
    caches
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The caches on other machines that a list names.
fn addresses(value: &Expr) -> Vec<Cache> {
    let (texts, _) = texts(value);
    let is_address = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    texts
        .into_iter()
        .filter(|(text, _)| is_address(text) && !text.contains(char::is_whitespace))
        .map(|(address, span)| Cache { address, span })
        .collect()
}

/// The texts of a list or of a text, and whether that is all there is.
fn texts(value: &Expr) -> (Vec<(String, Range<usize>)>, bool) {
    match value {
        Expr::Str(_) => match text(value) {
            Some(found) => (vec![(found, value.syntax().text_range().bytes())], true),
            None => (Vec::new(), false),
        },
        Expr::List(list) => {
            let (mut found, mut is_all) = (Vec::new(), true);
            for item in list.items() {
                let (texts, all) = if matches!(item, Expr::List(_)) { (Vec::new(), false) } else { texts(&item) };
                found.extend(texts);
                is_all &= all;
            }
            (found, is_all)
        }
        _ => (Vec::new(), false),
    }
}

/// The outputs of a flake that are hosts.
const HOSTS: [&str; 2] = ["nixosConfigurations", "darwinConfigurations"];

/// The hosts that a file asks for by their names.
pub(super) fn hosts(file: &File<'_>) -> Vec<HostName> {
    let mut found = Vec::new();
    for node in file.tree.syntax().descendants() {
        match node.kind() {
            NODE_BIN_OP => found.extend(compared(&node)),
            NODE_SELECT => found.extend(selected(&node)),
            NODE_APPLY => found.extend(listed(&node)),
            _ => {}
        }
    }
    found.retain(|host| is_plain(&host.name));
    found
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn named(expr: &Expr) -> Option<HostName> {
    Some(HostName { name: text(expr)?, span: expr.syntax().text_range().bytes() })
}

/// `config.networking.hostName == "p620"`.
fn compared(node: &SyntaxNode) -> Option<HostName> {
    let compared = ast::BinOp::cast(node.clone())?;
    matches!(compared.operator()?, BinOpKind::Equal | BinOpKind::NotEqual).then_some(())?;
    let (left, right) = (compared.lhs()?, compared.rhs()?);
    if is_host_name(&left) { named(&right) } else { is_host_name(&right).then(|| named(&left)).flatten() }
}

/// `builtins.elem config.networking.hostName [ "p620" ]`.
fn listed(node: &SyntaxNode) -> Vec<HostName> {
    let called = Expr::cast(node.clone()).and_then(|expr| call(&expr));
    let Some(called) = called.filter(|called| called.name == "elem" && called.args.len() == 2) else {
        return Vec::new();
    };
    match &called.args[..] {
        [asked, Expr::List(list)] if is_host_name(asked) => list.items().filter_map(|item| named(&item)).collect(),
        _ => Vec::new(),
    }
}

fn is_host_name(expr: &Expr) -> bool {
    match dotted(expr).as_deref() {
        Some([name]) => matches!(name.as_str(), "hostName" | "hostname"),
        Some([.., networking, name]) => networking == "networking" && name == "hostName",
        _ => false,
    }
}

/// `self.nixosConfigurations.p620`.
fn selected(node: &SyntaxNode) -> Option<HostName> {
    let select = ast::Select::cast(node.clone()).filter(|select| select.or_token().is_none())?;
    let flake = last_name(&bare(select.expr()?))?;
    let attrs: Vec<_> = select.attrpath()?.attrs().collect();
    let at = attrs.iter().position(|attr| constant(attr).is_some_and(|name| HOSTS.contains(&name.as_str())))?;
    let is_own = match at {
        0 => flake == "self",
        at => constant(&attrs[at - 1]).is_some_and(|name| name == "self"),
    };
    let attr = attrs.get(at + 1).filter(|_| is_own)?;
    Some(HostName { name: constant(attr)?, span: attr.syntax().text_range().bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::file;
    use crate::lint::source::Source;

    fn with<T>(text: &str, look: impl Fn(&File<'_>) -> T) -> T {
        let source = Source::new("a.nix", text);
        look(&file::read(&source).0.unwrap_or_else(|| panic!("{text} is not Nix")))
    }

    #[test]
    fn hosts_are_found_where_they_are_asked_for() {
        for (text, wanted) in [
            ("config: config.networking.hostName == \"a\"", vec!["a"]),
            ("{ hostName }: if \"b-1\" != hostName then 1 else 2", vec!["b-1"]),
            ("{ config, builtins }: builtins.elem config.networking.hostName [ \"a\" \"b\" ]", vec!["a", "b"]),
            ("self: self.nixosConfigurations.a.config", vec!["a"]),
            ("inputs: inputs.self.nixosConfigurations.\"a\".config", vec!["a"]),
            ("inputs: inputs.other.nixosConfigurations.a.config", vec![]),
            ("self: self.nixosConfigurations.a or null", vec![]),
            ("{ nixosConfigurations.a = 1; }", vec![]),
            ("{ hostName }: hostName == \"a.example.org\"", vec![]),
            ("{ url }: url == \"a\"", vec![]),
        ] {
            let found = with(text, hosts);
            assert_eq!(found.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), wanted, "{text}");
        }
    }

    #[test]
    fn caches_have_hosts_and_keys_names() {
        let text =
            "{ nix.settings = { substituters = [ \"https://a.cachix.org/\" \"file:///x\" \"http://b:5000?x=1\" ];
            trusted-public-keys = [ \"a-1:x\" ]; }; }";
        let found = with(text, caches);
        assert_eq!(found.named.iter().map(Cache::host).collect::<Vec<_>>(), ["a.cachix.org", "b"]);
        assert_eq!(found.keys.iter().collect::<Vec<_>>(), ["a-1:x"]);
        assert!(!found.has_computed_keys);
        assert!(with("x: { trusted-public-keys = x; }", caches).has_computed_keys);
        assert!(with("x: { inherit (x) trusted-public-keys; }", caches).has_computed_keys);
    }

    #[test]
    fn a_state_version_is_a_systems_or_a_homes() {
        let is_system = |text: &str| with(text, |file| signs(file).contains(&Sign::StateVersion));
        assert!(is_system("{ system.stateVersion = \"24.11\"; }"));
        assert!(is_system("x: { system = { inherit (x) stateVersion; }; }"));
        assert!(!is_system("{ home.stateVersion = \"24.11\"; }"));
        let found = with("{ system.stateVersion = \"24.11\"; home = { stateVersion = \"24.05\"; }; }", state_versions);
        let told: Vec<_> = found.iter().map(|one| (one.option.as_str(), one.release.as_str())).collect();
        assert_eq!(told, [("system.stateVersion", "24.11"), ("home.stateVersion", "24.05")]);
    }
}
