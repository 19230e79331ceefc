//! What was seen in files, kept from one run for the next.
//!
//! A file is looked at again unless its text, its path, the rules' settings and hubctl itself are what they were. What files say of
//! each other is judged anew each time, from what was seen in each.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::allow::{ALLOW, Allow};
use super::attributes::DUPLICATE;
use super::finding::{Finding, Fix, Related, Severity};
use super::rulebook::Levels;
use super::rules::rule;
use super::scope::UNDEFINED;
use super::syntax::SYNTAX;
use super::tree::Facts;
use crate::files;

/// Raised with each change of the form of the file.
const FORM: u32 = 1;

/// What is known of files, and where it is kept.
#[derive(Debug, Default)]
pub struct Cache {
    /// None where nothing is kept.
    file: Option<PathBuf>,
    key: String,
    known: HashMap<String, Known>,
}

/// What was seen in a file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Known {
    /// A hash of its text.
    pub(super) hash: String,
    findings: Vec<Kept>,
    pub(super) allows: Vec<Allow>,
    pub(super) facts: Option<Facts>,
}

/// A finding as it is kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Kept {
    rule: String,
    severity: Severity,
    span: Range<usize>,
    message: String,
    label: Option<String>,
    related: Vec<(Range<usize>, String)>,
    hint: Option<String>,
    fix: Option<(Range<usize>, String, bool)>,
}

#[derive(Deserialize, Serialize)]
struct Stored<K> {
    key: String,
    files: K,
}

impl Cache {
    /// Nothing is known, and nothing is kept.
    pub fn none() -> Self {
        Self::default()
    }

    /// What is kept of the flake at `root` in a file of `directory`, as far as it holds for `levels`. What cannot be read is not
    /// known.
    pub fn open(directory: &Path, root: &Path, levels: &Levels) -> Self {
        let Some(program) = program() else { return Self::none() };
        let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
        let file = directory.join(format!("{}.json", &name[..32]));
        let key = blake3::hash(format!("{FORM} {program} {levels:?}").as_bytes()).to_hex().to_string();
        let stored = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Stored<_>>(&text).ok());
        let known = stored.filter(|stored| stored.key == key).map(|stored| stored.files).unwrap_or_default();
        Self { file: Some(file), key, known }
    }

    /// Whether anything is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// What is known of the file at `path` whose text has this hash.
    pub(super) fn get(&self, path: &str, hash: &str) -> Option<&Known> {
        self.known.get(path).filter(|known| known.hash == hash)
    }

    /// Keeps what is `new`. Where `all` files of the flake are given, nothing is kept of others any more. Losing it costs time and
    /// nothing else.
    pub(super) fn keep(&mut self, new: Vec<(String, Known)>, all: Option<&[PathBuf]>) {
        let Some(file) = &self.file else { return };
        let count = self.known.len();
        if let Some(all) = all {
            let all: HashSet<_> = all.iter().map(|path| path.to_string_lossy()).collect();
            self.known.retain(|path, _| all.contains(path.as_str()));
        }
        if new.is_empty() && self.known.len() == count {
            return;
        }
        self.known.extend(new);
        if let Err(error) = write(file, &Stored { key: self.key.clone(), files: &self.known }) {
            tracing::warn!(%error, "what lint saw is not kept");
        }
    }
}

fn write(file: &Path, stored: &impl Serialize) -> io::Result<()> {
    files::keep(file, &serde_json::to_vec(stored)?)
}

/// What tells this program from any other that may find something else. None where that cannot be told.
fn program() -> Option<String> {
    let file = std::env::current_exe().ok()?;
    let metadata = fs::metadata(&file).ok()?;
    let made = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let version = env!("CARGO_PKG_VERSION");
    Some(format!("{version} {} {} {}", file.display(), metadata.len(), made.as_nanos()))
}

/// A hash of a text.
pub(super) fn hash(text: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in &blake3::hash(text.as_bytes()).as_bytes()[..16] {
        // Writing to a text never fails.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl Known {
    /// What is kept of what was seen in a file; none where that must not be kept: a secret is in it.
    pub(super) fn of(hash: String, findings: &[Finding], allows: &[Allow], facts: Option<&Facts>) -> Option<Self> {
        let is_whole = findings.iter().all(|finding| !finding.hidden && name(finding.rule).is_some());
        let findings = findings.iter().map(Kept::of).collect();
        is_whole.then(|| Self { hash, findings, allows: allows.to_vec(), facts: facts.cloned() })
    }

    /// What was found; none where a rule is unknown.
    pub(super) fn findings(&self) -> Option<Vec<Finding>> {
        self.findings.iter().map(Kept::finding).collect()
    }
}

/// A rule's name as the program has it; none of what is found where a file cannot be read, which holds for that time alone.
fn name(rule_name: &str) -> Option<&'static str> {
    let others = [ALLOW, DUPLICATE, SYNTAX, UNDEFINED].into_iter().find(|other| *other == rule_name);
    others.or_else(|| rule(rule_name).map(|rule| rule.name))
}

impl Kept {
    fn of(finding: &Finding) -> Self {
        let related = finding.related.iter().map(|related| (related.span.clone(), related.text.clone()));
        let fix = finding.fix.as_ref().map(|fix| (fix.span.clone(), fix.text.clone(), fix.safe));
        Self {
            rule: finding.rule.to_owned(),
            severity: finding.severity,
            span: finding.span.clone(),
            message: finding.message.clone(),
            label: finding.label.clone(),
            related: related.collect(),
            hint: finding.hint.clone(),
            fix,
        }
    }

    fn finding(&self) -> Option<Finding> {
        let related = self.related.iter().map(|(span, text)| Related { span: span.clone(), text: text.clone() });
        Some(Finding {
            rule: name(&self.rule)?,
            severity: self.severity,
            span: self.span.clone(),
            message: self.message.clone(),
            label: self.label.clone(),
            related: related.collect(),
            hint: self.hint.clone(),
            fix: self.fix.as_ref().map(|(span, text, safe)| Fix {
                span: span.clone(),
                text: text.clone(),
                safe: *safe,
            }),
            hidden: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rulebook::Level;
    use crate::lint::run::{Before, Report, Scope, lint, lint_cached};

    struct Flake(tempfile::TempDir);

    impl Flake {
        fn new(files: &[(&str, &str)]) -> Self {
            let flake = Self(tempfile::tempdir().unwrap());
            for (path, text) in files {
                flake.write(path, text);
            }
            flake
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.path().join(path), text).unwrap();
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap());
            let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
            let mut files: Vec<_> = files.map(|file| file.file_name().into()).collect();
            files.sort();
            files
        }

        fn cache(&self) -> PathBuf {
            self.0.path().join("kept")
        }

        /// What is found with the cache, which has to be what is found without it.
        fn lint(&self, levels: &Levels) -> Vec<String> {
            let cache = Cache::open(&self.cache(), self.0.path(), levels);
            let cached = lint_cached(self.0.path(), &self.files(), Scope::All, levels, Before::new, cache).unwrap();
            assert_eq!(
                told(&cached),
                told(&lint(self.0.path(), &self.files(), Scope::All, levels, &Before::new()).unwrap())
            );
            told(&cached)
        }

        /// The one file of the cache.
        fn kept(&self) -> PathBuf {
            fs::read_dir(self.cache()).unwrap().next().unwrap().unwrap().path()
        }
    }

    fn told(report: &Report) -> Vec<String> {
        let each = |checked: &crate::lint::Checked| {
            let path = checked.source.path().to_owned();
            let text = checked.source.text().to_owned();
            checked.findings.iter().map(|finding| format!("{path} {finding:?} {text}")).collect::<Vec<_>>()
        };
        report.found.iter().flat_map(each).collect()
    }

    #[test]
    fn what_is_kept_is_used_and_only_where_it_holds() {
        let flake = Flake::new(&[("flake.nix", "{ a = let x = 1; in 2; }"), ("b.nix", "{ }")]);
        let levels = Levels::default();
        flake.lint(&levels);
        // What is not looked at again is told as it was written down.
        let text = fs::read_to_string(flake.kept()).unwrap();
        fs::write(flake.kept(), text.replace("`x` is not used", "so it was kept")).unwrap();
        let open = |levels: &Levels| Cache::open(&flake.cache(), flake.0.path(), levels);
        let run = |levels: &Levels| {
            let report =
                lint_cached(flake.0.path(), &flake.files(), Scope::All, levels, Before::new, open(levels)).unwrap();
            report.findings().map(|finding| finding.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(run(&levels), ["so it was kept"]);
        let mut other = levels.clone();
        other.set("unused-binding", Level::At(Severity::Error));
        assert_eq!(run(&other), ["`x` is not used"]);
        flake.write("flake.nix", "{ a = let y = 1; in 2; }");
        assert_eq!(run(&levels), ["`y` is not used"]);
        fs::write(flake.kept(), "{").unwrap();
        assert_eq!(run(&levels), ["`y` is not used"]);
    }

    #[test]
    fn a_secret_is_not_written_anywhere_else() {
        let levels = Levels::default();
        let flake = Flake::new(&[("flake.nix", "{ password = \"hunter2/x.nix\"; }"), ("b.nix", "{ }")]);
        assert_eq!(flake.lint(&levels).len(), 1);
        assert_eq!(flake.lint(&levels).len(), 1);
        let text = fs::read_to_string(flake.kept()).unwrap();
        assert!(text.contains("b.nix") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn edits_at_random_are_judged_as_without_a_cache() {
        let texts = [
            "{ imports = [ ./b.nix ]; }",
            "{ imports = [ ./c.nix ./none.nix ]; }",
            "let x = 1; in { a = \"b.nix\"; }",
            "{ a = 1; a = 2; }",
            "{",
            "{ networking.firewall.enable = false; }",
            "# hubctl: allow-file unused-binding: for later\nlet x = 1; in { }",
        ];
        let flake = Flake::new(&[("flake.nix", texts[0]), ("b.nix", texts[1]), ("c.nix", texts[2])]);
        let mut number: usize = 7;
        for _ in 0..60 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (path, text) = (["flake.nix", "b.nix", "c.nix", "d.nix"][number >> 33 & 3], (number >> 40) % 8);
            match texts.get(text) {
                Some(text) => flake.write(path, text),
                None => drop(fs::remove_file(flake.0.path().join(path))),
            }
            flake.lint(&Levels::default());
        }
    }
}
