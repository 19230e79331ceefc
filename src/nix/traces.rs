//! Traces that a source leaves in what is evaluated from it: its path and the facts of it, whole or in part, in the texts of
//! derivations and of the files that evaluation wrote; and derivations that took the source and were built meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use aho_corasick::AhoCorasick;
use jiff::Timestamp;

use super::derivation::inputs;
use super::program::Nix;
use super::source::Source;
use super::store_path::{StorePath, StorePathError};
use crate::process::{Cancel, Output};

/// How much of a hash is taken for a trace of it. A shorter part would be found by chance in the closure of a real system.
const PART: usize = 7;

/// A file of the store above this size was not written by an evaluation.
const LARGEST: u64 = 1024 * 1024;

/// Whether an answer, or anything that the derivation that it names is made from, holds the source or has a trace of it. What
/// cannot be looked at counts as having one.
pub(super) async fn are_left(source: &Source, answer: &str, drv: Option<&StorePath>) -> bool {
    let Ok(traces) = AhoCorasick::new(parts(source)) else { return true };
    if traces.is_match(answer) {
        return true;
    }
    let Some(drv) = drv.cloned() else { return false };
    let looking = tokio::task::spawn_blocking(move || are_below(&traces, drv));
    !matches!(looking.await, Ok(Ok(false)))
}

/// Looks through the texts of a derivation and of all that it is made from.
fn are_below(traces: &AhoCorasick, drv: StorePath) -> io::Result<bool> {
    let mut seen = BTreeSet::from([drv.clone()]);
    let mut left = vec![drv];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(path.as_path())?;
        if !path.is_derivation() && (!metadata.is_file() || metadata.len() > LARGEST) {
            continue;
        }
        let content = fs::read(path.as_path())?;
        if traces.is_match(&content) {
            return Ok(true);
        }
        if path.is_derivation() {
            let text = String::from_utf8_lossy(&content);
            let inputs = inputs(&text).ok_or(io::ErrorKind::InvalidData)?;
            left.extend(inputs.into_iter().filter(|input| seen.insert(input.clone())));
        }
    }
    Ok(false)
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

/// Whether a derivation that takes the source has been built: an evaluation may have read what it made (import from
/// derivation), and so whatever its builder read of the source, of which nothing is seen. What cannot be told counts as built.
pub(super) async fn are_built(nix: &Nix, source: &Source, cancel: &Cancel) -> bool {
    let Some(takers) = derivations_taking(nix, &source.path, cancel).await else { return true };
    if takers.is_empty() {
        return false;
    }
    let takers: Vec<_> = takers.iter().map(StorePath::as_str).collect();
    let Ok(outputs) = nix.outputs(&takers).output(cancel).await else { return true };
    paths(&outputs).map_or(true, |outputs| outputs.iter().any(|output| output.as_path().exists()))
}

async fn derivations_taking(nix: &Nix, path: &StorePath, cancel: &Cancel) -> Option<Vec<StorePath>> {
    if let Some(known) = nix.db().and_then(|db| db.derivations_taking(path)) {
        return Some(known);
    }
    let mut takers = paths(&nix.takers(path).output(cancel).await.ok()?).ok()?;
    takers.retain(StorePath::is_derivation);
    Some(takers)
}

fn paths(output: &Output) -> Result<Vec<StorePath>, StorePathError> {
    output.text().lines().map(str::parse).collect()
}
