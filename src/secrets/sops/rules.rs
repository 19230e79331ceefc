//! `.sops.yaml`: who can read which file, and which of its values are encrypted.

use std::path::{Path, PathBuf};

use regex::Regex;

use super::error::SopsError;
use super::file::Settings;
use super::rule::{NAMES, Rule};
use super::tree::{Container, Leaf, Node, entries};
use super::value::Plain;
use super::yaml;
use crate::secrets::age::Recipient;
use crate::secrets::transaction::read_file;

/// The file's name.
pub const FILE: &str = ".sops.yaml";
/// Recipients of other kinds than age, as a rule and as a group of keys call them.
const FOREIGN: [(&str, &str); 8] = [
    ("kms", "AWS KMS"),
    ("gcp_kms", "GCP KMS"),
    ("hckms", "Huawei Cloud KMS"),
    ("azure_keyvault", "Azure Key Vault"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "Vault"),
    ("hc_vault_transit_uri", "Vault"),
    ("pgp", "PGP"),
];

/// Files that are no secrets by their names.
const OTHERS: [&str; 6] = ["flake.nix", "README.md", "x1.yaml", "x1.yml", "x1.json", "x1/x1.yaml"];

/// The rules of a repository, or of a part of it.
#[derive(Debug)]
pub struct SopsRules {
    pub(super) text: String,
    rules: Vec<SopsRule>,
}

/// A rule: for files that it matches.
#[derive(Clone, Debug)]
pub struct SopsRule {
    /// The expression that it matches paths with; none matches all.
    pattern: Option<Regex>,
    /// Who can read the files.
    pub recipients: Vec<Recipient>,
    /// Kinds of recipients that only `sops` can encrypt to.
    pub foreign: Vec<String>,
    /// How files are encrypted.
    pub settings: Settings,
    /// Whether the key is shared between groups of keys.
    pub shamir: bool,
    pub(super) homes: Vec<Home>,
}

/// Where recipients of a rule stand.
#[derive(Clone, Debug)]
pub(super) enum Home {
    List(Container),
    /// Several in one text, with commas between them.
    Text(Leaf),
}

impl SopsRules {
    /// The rules that are for a file: those in the nearest `.sops.yaml` above it, but not above `root`.
    pub fn find(root: &Path, file: &Path) -> Option<PathBuf> {
        let above = file.ancestors().skip(1).take_while(|dir| dir.starts_with(root));
        above.map(|dir| dir.join(FILE)).find(|rules| rules.is_file())
    }

    /// Reads the rules in a file; nothing where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has no rules as SOPS wants them.
    pub fn read(file: &Path) -> Result<Option<Self>, SopsError> {
        let Some((bytes, _)) = read_file(file)? else { return Ok(None) };
        let text = String::from_utf8(bytes);
        let text = text.map_err(|_| SopsError::Rules("it is not text in UTF-8".to_owned()))?;
        Self::parse(&text).map(Some)
    }

    /// The rules as they were read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the rules.
    pub fn parse(text: &str) -> Result<Self, SopsError> {
        let roots = yaml::expanded(text)?;
        let mut rules = Vec::new();
        if let Some(Node::List(list)) = roots.first().and_then(|root| member(root, "creation_rules")) {
            for entry in entries(&list.items) {
                let line = text[..entry.start].matches('\n').count() + 1;
                let fault = |what: String| SopsError::Syntax { line, what };
                let Node::Map(rule) = &entry.node else { return Err(fault("a rule has to be a map".to_owned())) };
                rules.push(SopsRule::of(rule).map_err(|error| fault(error.to_string()))?);
            }
        }
        Ok(Self { text: text.to_owned(), rules })
    }

    /// The rule for a file, whose path is relative to the directory of the rules: the first that matches.
    pub fn rule_for(&self, file: &Path) -> Option<&SopsRule> {
        self.number_for(file).map(|number| &self.rules[number])
    }

    pub(super) fn number_for(&self, file: &Path) -> Option<usize> {
        let file = file.to_string_lossy();
        self.rules.iter().position(|rule| rule.pattern.as_ref().is_none_or(|pattern| pattern.is_match(&file)))
    }

    /// All rules, in their order.
    pub fn all(&self) -> &[SopsRule] {
        &self.rules
    }
}

impl SopsRule {
    /// The expression that it matches paths with.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_ref().map(Regex::as_str)
    }

    /// Whether the files that it matches are secrets. A rule for all files, or for all of a kind, says nothing of the sort: it says how
    /// they would be encrypted.
    pub fn is_for_secrets(&self) -> bool {
        let is_for = |pattern: &Regex| !OTHERS.iter().any(|other| pattern.is_match(other));
        self.pattern.as_ref().is_some_and(is_for)
    }

    fn of(rule: &Container) -> Result<Self, SopsError> {
        let text = |key: &str| member(rule, key).and_then(text_of).filter(|text| !text.is_empty());
        let pattern = text("path_regex")
            .map(|pattern| Regex::new(&pattern).map_err(|_| SopsError::Regex(pattern.clone())))
            .transpose()?;
        let settings: Vec<_> = NAMES.iter().filter_map(|name| Some((*name, text(name)?))).collect();
        let settings = Settings {
            rule: Rule::among(settings.iter().map(|(name, text)| (*name, text.as_str())))?,
            mac_only_encrypted: matches!(
                member(rule, "mac_only_encrypted"),
                Some(Node::Leaf(Leaf { value: Plain::Bool(true), .. }))
            ),
        };
        let mut found =
            Self { pattern, recipients: Vec::new(), foreign: Vec::new(), settings, shamir: false, homes: Vec::new() };
        match member(rule, "key_groups") {
            // Where there are groups, SOPS looks at nothing else.
            Some(Node::List(groups)) if entries(&groups.items).next().is_some() => {
                found.shamir = entries(&groups.items).count() > 1;
                for group in entries(&groups.items) {
                    found.group(&group.node, 0)?;
                }
            }
            _ => found.keys(rule)?,
        }
        found.foreign.sort();
        found.foreign.dedup();
        Ok(found)
    }

    fn group(&mut self, node: &Node, depth: usize) -> Result<(), SopsError> {
        let Node::Map(group) = node else { return Err(unusable("a group of keys has to be a map")) };
        if depth > 10 {
            return Err(unusable("groups of keys are merged too deeply"));
        }
        if let Some(Node::List(merged)) = member(group, "merge") {
            for inner in entries(&merged.items) {
                self.group(&inner.node, depth + 1)?;
            }
        }
        self.keys(group)
    }

    /// The keys of a rule or of a group.
    fn keys(&mut self, of: &Container) -> Result<(), SopsError> {
        for (key, shown) in FOREIGN {
            let there = match member(of, key) {
                None | Some(Node::Null(_)) => false,
                Some(Node::List(list)) => entries(&list.items).next().is_some(),
                Some(node) => text_of(node).is_none_or(|text| !text.is_empty()),
            };
            self.foreign.extend(there.then(|| shown.to_owned()));
        }
        match member(of, "age") {
            None | Some(Node::Null(_)) => {}
            Some(Node::List(list)) => {
                for entry in entries(&list.items) {
                    let text = text_of(&entry.node).ok_or_else(|| unusable("a recipient has to be a text"))?;
                    self.add(&text)?;
                }
                self.homes.push(Home::List(list.clone()));
            }
            Some(Node::Leaf(leaf)) => {
                let text = text_of(&Node::Leaf(leaf.clone())).unwrap_or_default();
                self.add(&text)?;
                self.homes.push(Home::Text(leaf.clone()));
            }
            Some(Node::Map(_)) => return Err(unusable("`age` has to be a text or a list")),
        }
        Ok(())
    }

    fn add(&mut self, texts: &str) -> Result<(), SopsError> {
        for text in texts.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let recipient: Recipient = text.parse()?;
            if !self.recipients.contains(&recipient) {
                self.recipients.push(recipient);
            }
        }
        Ok(())
    }
}

fn unusable(what: &str) -> SopsError {
    SopsError::Rules(what.to_owned())
}

/// The value of a key; a key that is merged in by `<<` counts where there is no own one.
pub(super) fn member<'d>(of: &'d Container, key: &str) -> Option<&'d Node> {
    let own = |name: &str| entries(&of.items).find(|entry| entry.key.as_deref() == Some(name)).map(|entry| &entry.node);
    own(key).or_else(|| match own("<<") {
        Some(Node::Map(merged)) => member(merged, key),
        _ => None,
    })
}

pub(super) fn text_of(node: &Node) -> Option<String> {
    let Node::Leaf(Leaf { value: Plain::Text(bytes), .. }) = node else { return None };
    String::from_utf8(bytes.to_vec()).ok()
}
