//! Which rules are looked for, and how much each matters.

use std::collections::BTreeMap;

use rnix::SyntaxKind;
use rowan::ast::AstNode as _;

use super::file::File;
use super::finding::{Finding, Severity};
use super::options::Options;
use super::rules::{Check, RULES, Rule};
use super::tree::Tree;

/// What is made of a rule's findings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// It is not looked for.
    Off,
    /// Its findings are of this severity.
    At(Severity),
}

/// What a hub says of the rules; for those that it does not name, their own severity holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Levels(BTreeMap<String, Level>);

impl Levels {
    /// Says what is made of the findings of a rule.
    pub fn set(&mut self, rule: &str, level: Level) {
        self.0.insert(rule.to_owned(), level);
    }

    /// What is made of the findings of a rule.
    pub fn of(&self, rule: &Rule) -> Level {
        self.0.get(rule.name).copied().unwrap_or(Level::At(rule.severity))
    }
}

/// A rule with the severity of its findings.
type Weighed = (&'static Rule, Severity);

/// The rules that are looked for, each where it looks.
#[derive(Debug)]
pub(super) struct Rulebook {
    by_kind: Vec<Vec<Weighed>>,
    of_files: Vec<Weighed>,
    of_trees: Vec<Weighed>,
    /// The options that are known, where a rule asks for them.
    options: Option<Options>,
}

impl Rulebook {
    pub(super) fn new(levels: &Levels) -> Self {
        let mut book = Self { by_kind: Vec::new(), of_files: Vec::new(), of_trees: Vec::new(), options: None };
        for rule in RULES {
            let Level::At(severity) = levels.of(rule) else { continue };
            match rule.check {
                Check::Nodes(kinds, _) => kinds.iter().for_each(|kind| book.kind(*kind).push((rule, severity))),
                Check::Options(_) => {
                    book.options.get_or_insert_with(Options::read);
                    book.kind(SyntaxKind::NODE_ATTRPATH_VALUE).push((rule, severity));
                }
                Check::File(_) => book.of_files.push((rule, severity)),
                Check::Tree(_) => book.of_trees.push((rule, severity)),
            }
        }
        book
    }

    fn kind(&mut self, kind: SyntaxKind) -> &mut Vec<Weighed> {
        let at = kind as usize;
        if self.by_kind.len() <= at {
            self.by_kind.resize_with(at + 1, Vec::new);
        }
        &mut self.by_kind[at]
    }

    /// Whether a rule is looked for.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_kind.iter().flatten().chain(&self.of_files).chain(&self.of_trees).any(|(rule, _)| rule.name == name)
    }

    /// Whether a rule is one that looks at all files together.
    pub(super) fn is_of_tree(&self, name: &str) -> bool {
        self.of_trees.iter().any(|(rule, _)| rule.name == name)
    }

    /// What the rules find in a file.
    pub(super) fn check(&self, file: &File<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut add = |(rule, severity): &Weighed, findings: &mut dyn Iterator<Item = Finding>| {
            found.extend(findings.map(|finding| Finding { rule: rule.name, severity: *severity, ..finding }));
        };
        for node in file.tree.syntax().descendants() {
            for weighed in self.by_kind.get(node.kind() as usize).into_iter().flatten() {
                let finding = match (weighed.0.check, &self.options) {
                    (Check::Nodes(_, check), _) => check(&node, file),
                    (Check::Options(check), Some(options)) => check(&node, options),
                    _ => None,
                };
                add(weighed, &mut finding.into_iter());
            }
        }
        for weighed in &self.of_files {
            if let Check::File(check) = weighed.0.check {
                add(weighed, &mut check(file).into_iter());
            }
        }
        found
    }

    /// What the rules find in all files together, each finding with the path of its file.
    pub(super) fn check_tree(&self, tree: &Tree<'_>) -> Vec<(String, Finding)> {
        let mut found = Vec::new();
        for (rule, severity) in &self.of_trees {
            if let Check::Tree(check) = rule.check {
                let findings = check(tree).into_iter();
                found.extend(
                    findings.map(|(path, finding)| (path, Finding { rule: rule.name, severity: *severity, ..finding })),
                );
            }
        }
        found
    }
}
