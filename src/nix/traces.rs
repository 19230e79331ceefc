//! Traces that a source leaves in what is evaluated from it: its path and the facts of it, whole or in part, in the texts of
//! derivations and of the files that evaluation wrote.

use std::fs;
use std::io;

use aho_corasick::AhoCorasick;
use jiff::Timestamp;

use super::program::Nix;
use super::source::Source;
use super::store_path::StorePath;
use crate::process::Cancel;

/// How much of a hash is taken for a trace of it. A shorter part would be found by chance in the closure of a real system.
const PART: usize = 7;

/// A file of the store above this size was not written by an evaluation.
const LARGEST: u64 = 1024 * 1024;

/// Looks for traces of a source.
#[derive(Debug)]
pub(super) struct Traces<'a> {
    source: &'a Source,
    matcher: AhoCorasick,
}

impl<'a> Traces<'a> {
    /// None where there are too many parts to look for, which no real source has.
    pub(super) fn of(source: &'a Source) -> Option<Self> {
        let matcher = AhoCorasick::new(parts(source)).ok()?;
        Some(Self { source, matcher })
    }

    /// Whether the closure of a derivation holds the source, or a text in it has a trace of it. What cannot be looked at
    /// counts as having one.
    pub(super) async fn are_in_closure(&self, nix: &Nix, drv: &StorePath, cancel: &Cancel) -> bool {
        let Ok(output) = nix.requisites(drv).output(cancel).await else { return true };
        output.text().lines().any(|line| match line.parse::<StorePath>() {
            Ok(path) => path == self.source.path || self.are_in_file(&path).unwrap_or(true),
            Err(_) => true,
        })
    }

    fn are_in_file(&self, path: &StorePath) -> io::Result<bool> {
        let metadata = fs::symlink_metadata(path.as_path())?;
        let written = path.is_derivation() || (metadata.is_file() && metadata.len() <= LARGEST);
        Ok(written && self.are_in(&fs::read(path.as_path())?))
    }

    fn are_in(&self, text: &[u8]) -> bool {
        self.matcher.is_match(text)
    }
}

/// All texts that are traces: parts of the path's hash, and the beginnings of the facts that `self` has.
fn parts(source: &Source) -> Vec<Vec<u8>> {
    let hash = source.path.hash().as_bytes();
    let mut parts: Vec<_> = hash.windows(PART).map(<[u8]>::to_vec).collect();
    let mut begins = |text: &str, length: usize| parts.extend(text.get(..length).map(|part| part.as_bytes().to_vec()));
    if let Some(rev) = &source.rev {
        begins(rev, PART);
    }
    if let Some(hash) = source.nar_hash.as_deref().and_then(|hash| hash.strip_prefix("sha256-")) {
        begins(hash, PART);
    }
    // The time of a tree without commits is a zero, which is everywhere.
    let time = source.last_modified.filter(|time| *time > 0).and_then(|time| i64::try_from(time).ok());
    if let Some(time) = time.and_then(|time| Timestamp::from_second(time).ok()) {
        let seconds = time.as_second().to_string();
        begins(&seconds, seconds.len());
        begins(&time.strftime("%Y%m%d").to_string(), 8);
    }
    parts
}
