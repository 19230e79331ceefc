//! What was found before a hub took up `lint`, so that only what is new fails.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use super::rules::rule;
use super::run::Report;
use super::source::Source;

/// The file's name, at the root of a hub.
pub const BASELINE: &str = "lint-baseline.json";

/// The form of the file.
const VERSION: u32 = 1;

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It cannot be read.
    #[error("{BASELINE} cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("{BASELINE} is not what `hubctl lint --baseline write` writes: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A later hubctl wrote it.
    #[error("{BASELINE} was written by a newer hubctl (version {0})")]
    Newer(u32),
}

/// How often each finding is known, by its path, its rule, and a hash of its line. A line that moves stays known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Baseline(BTreeMap<Known, usize>);

/// A finding, however often.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Known {
    path: String,
    rule: String,
    line: String,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    known: Known,
    count: usize,
}

#[derive(Deserialize, Serialize)]
struct File {
    version: u32,
    findings: Vec<Entry>,
}

impl Baseline {
    /// All that the rules found. What Nix would not read is never known.
    pub fn of(report: &Report) -> Self {
        let mut all = BTreeMap::new();
        for checked in &report.found {
            let mut lines = Lines::of(&checked.source);
            for finding in checked.findings.iter().filter(|finding| rule(finding.rule).is_some()) {
                *all.entry(lines.known(finding)).or_default() += 1;
            }
        }
        Self(all)
    }

    /// How many findings it has.
    pub fn len(&self) -> usize {
        self.0.values().sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one of the hub at `root`, if it has one.
    pub fn read(root: &Path) -> Result<Option<Self>, BaselineError> {
        let text = match fs::read_to_string(root.join(BASELINE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let file: File = serde_json::from_str(&text)?;
        if file.version > VERSION {
            return Err(BaselineError::Newer(file.version));
        }
        Ok(Some(Self(file.findings.into_iter().map(|entry| (entry.known, entry.count)).collect())))
    }

    /// Makes it the one of the hub at `root`.
    pub fn write(&self, root: &Path) -> Result<(), BaselineError> {
        let findings = self.0.iter().map(|(known, count)| Entry { known: known.clone(), count: *count }).collect();
        let text = serde_json::to_string_pretty(&File { version: VERSION, findings })?;
        Ok(fs::write(root.join(BASELINE), text + "\n")?)
    }

    /// Takes what is known out of `report`, and gives how many findings that were. What is left of it was not found any more.
    pub fn take_out_of(&mut self, report: &mut Report) -> usize {
        let mut taken = 0;
        for checked in &mut report.found {
            let mut lines = Lines::of(&checked.source);
            checked.findings.retain(|finding| {
                let count = self.0.get_mut(&lines.known(finding)).filter(|count| **count > 0);
                count.map(|count| *count -= 1).inspect(|()| taken += 1).is_none()
            });
        }
        self.0.retain(|_, count| *count > 0);
        report.found.retain(|checked| !checked.findings.is_empty());
        taken
    }
}

/// The lines of a file by their hashes, each of which is made once: a line may be long, and have many findings.
struct Lines<'a> {
    source: &'a Source,
    hashes: HashMap<usize, String>,
}

impl<'a> Lines<'a> {
    fn of(source: &'a Source) -> Self {
        Self { source, hashes: HashMap::new() }
    }

    fn known(&mut self, finding: &Finding) -> Known {
        let line = self.source.line_of(finding.span.start.min(self.source.text().len()));
        let hash = || {
            let text = self.source.text()[self.source.line(line)].trim();
            blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
        };
        let line = self.hashes.entry(line).or_insert_with(hash).clone();
        Known { path: self.source.path().to_owned(), rule: finding.rule.to_owned(), line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rulebook::{Levels, Rulebook};
    use crate::lint::run::{Checked, look};

    fn report(text: &str) -> Report {
        let source = Source::new("a.nix", text);
        let findings = look(&source, &Rulebook::new(&Levels::default()));
        Report { files: 1, found: vec![Checked { source, findings }] }
    }

    #[test]
    fn what_is_known_is_taken_out_wherever_it_moved_and_what_is_new_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Baseline::read(dir.path()).unwrap(), None);
        let old = report("let\n  a = 1;\n  b = 2;\nin\n3\n");
        Baseline::of(&old).write(dir.path()).unwrap();
        let mut baseline = Baseline::read(dir.path()).unwrap().unwrap();
        assert_eq!((baseline.clone(), baseline.len()), (Baseline::of(&old), 2));
        let mut new = report("let\n  c = 1;\n\n    a = 1;\n  d = 4;\nin\nc\n");
        assert_eq!(baseline.take_out_of(&mut new), 1);
        let left: Vec<_> = new.findings().map(|finding| finding.message.as_str()).collect();
        assert_eq!(left, ["`d` is not used"]);
        assert_eq!(baseline.len(), 1, "`b` is not found any more");
    }

    #[test]
    fn a_file_that_is_something_else_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (text, said) in [("[]", "is not what"), ("{\"version\": 2, \"findings\": []}", "newer hubctl (version 2)")]
        {
            fs::write(dir.path().join(BASELINE), text).unwrap();
            let error = Baseline::read(dir.path()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_nix_would_not_read_is_never_known() {
        assert!(Baseline::of(&report("let in")).is_empty());
    }
}
