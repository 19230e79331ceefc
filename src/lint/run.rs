//! Many files at once.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::file;
use super::finding::{Finding, Severity};
use super::source::Source;

/// What a file that is nested as deeply as is allowed takes, several times over.
const STACK: usize = 64 << 20;

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
    Ok(report(read_all(root, files, |source| {
        let findings = file::problems(&source);
        Checked { source, findings }
    })?))
}

/// Reads each of `files` and has `check` look at it. A file that is gone, or that only leads to another one, is none.
fn read_all(
    root: &Path,
    files: &[PathBuf],
    check: impl Fn(Source) -> Checked + Sync,
) -> io::Result<Vec<Option<Checked>>> {
    in_parallel(files, |path| {
        let name = path.to_string_lossy().into_owned();
        match text_of(&root.join(path))? {
            // Bytes that are no UTF-8 are replaced.
            Ok(bytes) => Some(check(Source::new(name, String::from_utf8_lossy(&bytes).into_owned()))),
            Err(error) => Some(Checked { source: Source::new(name, ""), findings: vec![unreadable(&error)] }),
        }
    })
}

fn report(checked: Vec<Option<Checked>>) -> Report {
    let mut report = Report::default();
    for mut checked in checked.into_iter().flatten() {
        report.files += 1;
        if !checked.findings.is_empty() {
            checked.findings.sort_by_key(|finding| (finding.span.start, finding.span.end, finding.rule));
            report.found.push(checked);
        }
    }
    report.found.sort_by(|a, b| a.source.path().cmp(b.source.path()));
    report
}

/// What is in a file; none where it is gone or only leads to another one.
fn text_of(path: &Path) -> Option<io::Result<Vec<u8>>> {
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
fn in_parallel<I: Sync, O: Send>(items: &[I], work: impl Fn(&I) -> O + Sync) -> io::Result<Vec<O>> {
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
