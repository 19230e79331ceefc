//! Many files at once.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::allow::Allow;
use super::cache::{self, Cache, Known};
use super::file;
use super::finding::{Finding, Severity};
use super::fix::{self, Fixing};
use super::options::Own;
use super::rulebook::{Levels, Rulebook};
use super::source::Source;
use super::tree::{self, Facts, Tree};
use super::{allow, parse, rules};
use crate::files::{self, Mode};

/// What a file that is nested as deeply as is allowed takes, several times over.
pub(super) const STACK: usize = 64 << 20;

/// A file in which something was found.
#[derive(Debug)]
pub struct Checked {
    /// The file.
    pub source: Source,
    /// What was found, in the file's order.
    pub findings: Vec<Finding>,
}

/// What was found in a number of files.
#[derive(Debug, Default)]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// Those in which something was found, in the order of their paths.
    pub found: Vec<Checked>,
}

impl Report {
    /// How many findings there are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|finding| finding.severity == severity).count()
    }

    /// Every finding.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.found.iter().flat_map(|checked| &checked.findings)
    }
}

/// Checks what Nix checks before it evaluates a file, of each of `files` below `root`.
pub fn check_syntax(root: &Path, files: &[PathBuf]) -> io::Result<Report> {
    let check = |source: Source| {
        let (file, findings) = file::read(&source);
        let hidden = match &file {
            None => return unread(source, findings).0,
            Some(file) if !findings.is_empty() => rules::secrets(&file.tree),
            Some(_) => Vec::new(),
        };
        drop(file);
        Checked { source: source.without(&hidden), findings }
    };
    let unreadable = |source, finding| Checked { source, findings: vec![finding] };
    Ok(report(read_all(files, |path| text_of(&root.join(path)), check, unreadable)?))
}

/// Which files [`lint`] looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All of a flake: what they say of each other is looked at too.
    All,
    /// Some of them.
    Some,
}

/// Files as they were in the last commit, by their paths: those of which it matters.
pub type Before = BTreeMap<String, String>;

/// Looks for all that `levels` want to know of each of `files` below `root`, and for what [`check_syntax`] checks.
pub fn lint(root: &Path, files: &[PathBuf], scope: Scope, levels: &Levels, before: &Before) -> io::Result<Report> {
    lint_cached(root, files, scope, levels, || before.clone(), Cache::none())
}

/// As [`lint`], and looks only at those files again of which `cache` does not know what was seen in them. `before` is asked when all
/// files were looked at, so that there is time to find it out.
pub fn lint_cached(
    root: &Path,
    files: &[PathBuf],
    scope: Scope,
    levels: &Levels,
    before: impl FnOnce() -> Before,
    cache: Cache,
) -> io::Result<Report> {
    let book = Rulebook::new(levels);
    let seen = see_all(&book, (files, scope), cache, |path| text_of(&root.join(path)))?;
    Ok(judge_all(root, seen, scope, &book, &before()))
}

/// Files with other texts than those in the work tree, by their paths.
pub type Staged = BTreeMap<String, String>;

/// As [`lint_cached`] of all `files`, of which those in `staged` have the texts that stand there; tells what is found in those alone.
pub fn lint_staged(
    root: &Path,
    files: &[PathBuf],
    staged: &Staged,
    levels: &Levels,
    before: &Before,
    cache: Cache,
) -> io::Result<Report> {
    let book = Rulebook::new(levels);
    let text = |path: &Path| match staged.get(path.to_string_lossy().as_ref()) {
        Some(text) => Some(Ok(text.clone().into_bytes())),
        None => text_of(&root.join(path)),
    };
    let seen = see_all(&book, (files, Scope::All), cache, text)?;
    let mut report = judge_all(root, seen, Scope::All, &book, before);
    report.found.retain(|checked| staged.contains_key(checked.source.path()));
    report.files = staged.len();
    Ok(report)
}

/// What is seen in each of `files`, or known of it.
fn see_all(
    book: &Rulebook,
    (files, scope): (&[PathBuf], Scope),
    mut cache: Cache,
    text: impl Fn(&Path) -> Text + Sync,
) -> io::Result<Vec<Seen>> {
    let mut seen = read_all(files, text, |source| see_cached(source, book, &cache), Seen::unreadable)?;
    let new = seen.iter_mut().filter_map(|seen| Some((seen.source.path().to_owned(), seen.new.take()?))).collect();
    cache.keep(new, (scope == Scope::All).then_some(files));
    Ok(seen)
}

fn judge_all(root: &Path, mut seen: Vec<Seen>, scope: Scope, book: &Rulebook, before: &Before) -> Report {
    if scope == Scope::All {
        add_of_tree(root, &mut seen, book, before);
    }
    // What is found in all files together is not missed in some of them.
    let looked_for = |rule: &str| book.has(rule) && (scope == Scope::All || !book.is_of_tree(rule));
    report(seen.into_iter().map(|seen| seen.judged(looked_for)).collect())
}

/// What was seen in a file, before it is known what of it is allowed.
struct Seen {
    source: Source,
    findings: Vec<Finding>,
    allows: Vec<Allow>,
    /// None where it is no file that Nix would read.
    facts: Option<Facts>,
    /// What must not be shown of the file.
    hidden: Vec<Range<usize>>,
    /// What is to be kept of it.
    new: Option<Known>,
}

impl Seen {
    fn unreadable(source: Source, finding: Finding) -> Self {
        Self { source, findings: vec![finding], allows: Vec::new(), facts: None, hidden: Vec::new(), new: None }
    }

    /// The file with what is not allowed, and with nothing that must not be shown.
    fn judged(self, looked_for: impl Fn(&str) -> bool) -> Checked {
        let findings = allow::apply(&self.source, &self.allows, self.findings, looked_for);
        Checked { source: self.source.without(&self.hidden), findings }
    }
}

/// What is known of a file, or else what is seen in it.
fn see_cached(source: Source, book: &Rulebook, cache: &Cache) -> Seen {
    if !cache.is_kept() {
        return see(source, book);
    }
    let hash = cache::hash(source.text());
    let known = cache.get(source.path(), &hash).and_then(|known| Some((known, known.findings()?)));
    if let Some((known, findings)) = known {
        let (allows, facts) = (known.allows.clone(), known.facts.clone());
        return Seen { source, findings, allows, facts, hidden: Vec::new(), new: None };
    }
    let seen = see(source, book);
    // What must not be shown is not written anywhere else either.
    let may_be_kept = seen.hidden.is_empty();
    let new = may_be_kept.then(|| Known::of(hash, &seen.findings, &seen.allows, seen.facts.as_ref())).flatten();
    Seen { new, ..seen }
}

fn see(source: Source, book: &Rulebook) -> Seen {
    let (file, mut findings) = file::read(&source);
    let Some(file) = file else {
        let (Checked { source, findings }, hidden) = unread(source, findings);
        return Seen { source, findings, allows: Vec::new(), facts: None, hidden, new: None };
    };
    let (found, unsettled) = book.check(&file);
    findings.extend(found);
    // What is found must not be shown, and what is not looked for must not either.
    let hidden = if book.has(rules::SECRET) {
        findings.iter().filter(|finding| finding.hidden).map(|finding| finding.span.clone()).collect()
    } else {
        rules::secrets(&file.tree)
    };
    let (allows, wrong) = allow::allows(&source, &file.tree);
    findings.extend(wrong);
    let facts = Some(Facts { unsettled, ..tree::facts(&file) });
    drop(file);
    Seen { source, findings, allows, facts, hidden, new: None }
}

/// A file that Nix would not read, with what is wrong with it and with nothing that must not be shown; and where that stood. It may
/// have secrets as any other, and a message repeats what stands around its place.
pub(super) fn unread(source: Source, findings: Vec<Finding>) -> (Checked, Vec<Range<usize>>) {
    let hidden = parse::roughly(source.text()).map(|tree| rules::secrets(&tree)).unwrap_or_default();
    if hidden.is_empty() {
        return (Checked { source, findings }, hidden);
    }
    let source = source.without(&hidden);
    let (_, findings) = file::read(&source);
    (Checked { source, findings }, hidden)
}

/// Adds what is found in all files together.
fn add_of_tree(root: &Path, seen: &mut [Seen], book: &Rulebook, before: &Before) {
    let empty = Facts::default();
    let files = seen.iter().map(|seen| (seen.source.path(), seen.facts.as_ref().unwrap_or(&empty))).collect();
    let found = book.check_tree(&Tree { root, files, before });
    let places: BTreeMap<_, _> =
        seen.iter().enumerate().map(|(at, seen)| (seen.source.path().to_owned(), at)).collect();
    for (path, finding) in found {
        if let Some(at) = places.get(&path) {
            seen[*at].findings.push(finding);
        }
    }
    let own = Own::of(seen.iter().filter_map(|seen| seen.facts.as_ref()).flat_map(|facts| &facts.declared));
    for Seen { facts, findings, .. } in seen {
        if let Some(facts) = facts {
            book.settle(facts, &own, findings);
        }
    }
}

/// Mends what [`lint`] finds, as far as it has an edit for it that `fixing` allows. Gives the files that were changed, and how many
/// edits were made in each.
pub fn fix(root: &Path, files: &[PathBuf], levels: &Levels, fixing: Fixing) -> io::Result<Vec<(PathBuf, usize)>> {
    let book = Rulebook::new(levels);
    let mended = in_parallel(files, |path| -> io::Result<_> {
        let whole = root.join(path);
        let Some(text) = text_of(&whole).transpose()?.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Ok(None);
        };
        let Some((mended, count)) = mend(path, &text, &book, fixing) else { return Ok(None) };
        files::write(&whole, mended.as_bytes(), Mode::AsBefore)?;
        Ok(Some((path.clone(), count)))
    })?;
    mended.into_iter().filter_map(Result::transpose).collect()
}

/// More rounds than any file needs: each makes what is left to do less.
const ROUNDS: usize = 50;

/// A file's text with all edits made, and how many they are; none where there is nothing to do. A text that would not be Nix any more
/// is not made.
pub(super) fn mend(path: &Path, text: &str, book: &Rulebook, fixing: Fixing) -> Option<(String, usize)> {
    let name = path.to_string_lossy();
    let (mut mended, mut count) = (text.to_owned(), 0);
    for _ in 0..ROUNDS {
        let source = Source::new(name.as_ref(), mended.as_str());
        let Some((next, made)) = fix::apply(&mended, &look(&source, book), fixing) else { break };
        if file::read(&Source::new(name.as_ref(), next.as_str())).0.is_none() {
            break;
        }
        (mended, count) = (next, count + made);
    }
    (count > 0).then_some((mended, count))
}

/// All that is found in one file by itself.
pub(super) fn look(source: &Source, book: &Rulebook) -> Vec<Finding> {
    let seen = see(source.clone(), book);
    // What is found in all files together is not looked for here, and so not missed.
    let of_file = |name: &str| book.has(name) && !book.is_of_tree(name);
    allow::apply(source, &seen.allows, seen.findings, of_file)
}

/// Reads each of `files` and has `check` look at it. A file that is gone, or that only leads to another one, is none.
pub(super) fn read_all<T: Send>(
    files: &[PathBuf],
    text: impl Fn(&Path) -> Text + Sync,
    check: impl Fn(Source) -> T + Sync,
    failed: impl Fn(Source, Finding) -> T + Sync,
) -> io::Result<Vec<T>> {
    let read = in_parallel(files, |path| {
        let name = path.to_string_lossy().into_owned();
        match text(path)? {
            // Bytes that are no UTF-8 are replaced.
            Ok(bytes) => Some(check(Source::new(name, String::from_utf8_lossy(&bytes).into_owned()))),
            Err(error) => Some(failed(Source::new(name, ""), unreadable(&error))),
        }
    })?;
    Ok(read.into_iter().flatten().collect())
}

pub(super) fn report(checked: Vec<Checked>) -> Report {
    let mut report = Report { files: checked.len(), found: Vec::new() };
    for mut checked in checked.into_iter().filter(|checked| !checked.findings.is_empty()) {
        checked.findings.sort_by_key(|finding| (finding.span.start, finding.span.end, finding.rule));
        report.found.push(checked);
    }
    report.found.sort_by(|a, b| a.source.path().cmp(b.source.path()));
    report
}

/// What is in a file; none where it is gone or only leads to another one.
pub(super) type Text = Option<io::Result<Vec<u8>>>;

/// What is in the file at `path`.
pub(super) fn text_of(path: &Path) -> Text {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        _ => Some(fs::read(path)),
    }
}

fn unreadable(error: &io::Error) -> Finding {
    Finding::error("unreadable", 0..0, format!("the file cannot be read: {error}"))
}

/// Does `work` for each of `items`, on as many threads as there are cores, and gives what came of it in the same order.
pub(super) fn in_parallel<I: Sync, O: Send>(items: &[I], work: impl Fn(&I) -> O + Sync) -> io::Result<Vec<O>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(items.len().max(1));
    let mut done = thread::scope(|scope| -> io::Result<Vec<_>> {
        let start = || thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker);
        let started = (0..threads).map(|_| start()).collect::<io::Result<Vec<_>>>()?;
        Ok(started
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect())
    })?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, outcome)| outcome).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_in_parallel_is_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(
            in_parallel(&items, |item| item * 2).unwrap(),
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(in_parallel(&[] as &[usize], |item| *item).unwrap(), Vec::<usize>::new());
    }
}
