//! Which rules are looked for, and how much each matters.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use rnix::SyntaxKind;
use rnix::ast::AttrpathValue;
use rowan::ast::AstNode as _;

use super::attributes::constant;
use super::file::File;
use super::finding::{Finding, Severity};
use super::options::{Index, Options, Own, Setting, Standing, Unsettled};
use super::rules::{Check, RULES, Rule, option_value, unknown_option};
use super::tree::{Facts, Tree};

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
pub struct Levels {
    levels: BTreeMap<String, Level>,
    /// The options that its inputs have, where they are known.
    index: Option<Index>,
}

impl Levels {
    /// Says what is made of the findings of a rule.
    pub fn set(&mut self, rule: &str, level: Level) {
        self.levels.insert(rule.to_owned(), level);
    }

    /// The same for these rules alone; those of them that were off have their own severity.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Self {
        for rule in RULES {
            let is_wanted = names.iter().any(|name| name == rule.name);
            match self.of(rule) {
                Level::Off if is_wanted => self.set(rule.name, Level::At(rule.severity)),
                Level::At(_) if !is_wanted => self.set(rule.name, Level::Off),
                Level::Off | Level::At(_) => {}
            }
        }
        self
    }

    /// The same with the options that the hub's inputs have.
    #[must_use]
    pub fn with_index(self, index: Option<Index>) -> Self {
        Self { index, ..self }
    }

    /// What is made of the findings of a rule.
    pub fn of(&self, rule: &Rule) -> Level {
        self.levels.get(rule.name).copied().unwrap_or(Level::At(rule.severity))
    }
}

/// A rule with the severity of its findings.
type Weighed = (&'static Rule, Severity);

/// The rules that are looked for, each where it looks.
#[derive(Debug)]
pub(super) struct Rulebook {
    by_kind: Vec<Vec<Weighed>>,
    by_name: HashMap<&'static str, Vec<Weighed>>,
    of_files: Vec<Weighed>,
    of_trees: Vec<Weighed>,
    of_options: Vec<Weighed>,
    /// The options that are known, once a rule asks for them.
    options: OnceLock<Options>,
    /// An index of those of the hub's inputs.
    index: Option<Index>,
}

impl Rulebook {
    pub(super) fn new(levels: &Levels) -> Self {
        let mut book = Self {
            by_kind: Vec::new(),
            by_name: HashMap::new(),
            of_files: Vec::new(),
            of_trees: Vec::new(),
            of_options: Vec::new(),
            options: OnceLock::new(),
            index: levels.index.clone(),
        };
        for rule in RULES {
            let Level::At(severity) = levels.of(rule) else { continue };
            match rule.check {
                Check::Nodes(kinds, _) => kinds.iter().for_each(|kind| book.kind(*kind).push((rule, severity))),
                Check::Named(names, _) => {
                    for name in names {
                        book.by_name.entry(name).or_default().push((rule, severity));
                    }
                }
                Check::Options(_) => book.of_options.push((rule, severity)),
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
        self.weight(name).is_some()
    }

    /// How much a rule's findings matter, if it is looked for.
    fn weight(&self, name: &str) -> Option<Severity> {
        let lists = [&self.of_files, &self.of_trees, &self.of_options];
        let mut all = self.by_kind.iter().chain(self.by_name.values()).chain(lists).flatten();
        all.find(|(rule, _)| rule.name == name).map(|(_, severity)| *severity)
    }

    /// Whether a rule is one that looks at all files together.
    pub(super) fn is_of_tree(&self, name: &str) -> bool {
        self.of_trees.iter().any(|(rule, _)| rule.name == name)
    }

    /// The rules that look at what `entry` sets, by its name.
    fn of_name(&self, entry: &AttrpathValue) -> &[Weighed] {
        let last = entry.attrpath().and_then(|path| path.attrs().last());
        let name = last.and_then(|last| constant(&last));
        name.and_then(|name| self.by_name.get(name.as_str())).map_or(&[], Vec::as_slice)
    }

    /// What the rules find in a file, and what it sets that only all files together can tell of.
    pub(super) fn check(&self, file: &File<'_>) -> (Vec<Finding>, Vec<Unsettled>) {
        let (mut found, mut unsettled) = (Vec::new(), Vec::new());
        let mut add = |(rule, severity): &Weighed, findings: &mut dyn Iterator<Item = Finding>| {
            found.extend(findings.map(|finding| Finding { rule: rule.name, severity: *severity, ..finding }));
        };
        for node in file.tree.syntax().descendants() {
            for weighed in self.by_kind.get(node.kind() as usize).into_iter().flatten() {
                if let Check::Nodes(_, check) = weighed.0.check {
                    add(weighed, &mut check(&node, file).into_iter());
                }
            }
            let Some(entry) = AttrpathValue::cast(node) else { continue };
            for weighed in self.of_name(&entry) {
                if let Check::Named(_, check) = weighed.0.check {
                    add(weighed, &mut check(&entry, file).into_iter());
                }
            }
            if self.of_options.is_empty() {
                continue;
            }
            let options = self.options.get_or_init(|| Options::read(self.index.as_ref()));
            let Some(setting) = Setting::of(&entry, file, options) else { continue };
            for weighed in &self.of_options {
                if let Check::Options(check) = weighed.0.check {
                    add(weighed, &mut check(&setting, options).into_iter());
                }
            }
            unsettled.extend(setting.unsettled());
        }
        for weighed in &self.of_files {
            if let Check::File(check) = weighed.0.check {
                add(weighed, &mut check(file).into_iter());
            }
        }
        (found, unsettled)
    }

    /// Corrects what was found in a file by the options that the hub declares itself.
    pub(super) fn settle(&self, facts: &Facts, own: &Own, found: &mut Vec<Finding>) {
        for setting in &facts.unsettled {
            let (known, finding) = match own.standing(&setting.path) {
                Standing::Own(types) => (setting.path.len(), option_value::of_own(setting, types)),
                Standing::Within { part } => (part, None),
                Standing::Unknown { part, names } => (part, unknown_option::of_own(setting, part, &names, own)),
            };
            // The index alone judges what begins with its own names.
            if known <= setting.known {
                continue;
            }
            let (unknown, value) = (unknown_option::RULE.name, option_value::RULE.name);
            found.retain(|finding| finding.rule != unknown || finding.span != setting.span);
            let rule = if known == setting.path.len() { value } else { unknown };
            let weighed = finding.zip(self.weight(rule));
            found.extend(weighed.map(|(finding, severity)| Finding { rule, severity, ..finding }));
        }
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
