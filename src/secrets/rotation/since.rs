//! Since when secrets have had their values, as far as git's history tells.
//!
//! A file that is encrypted anew looks like one with another value, but for its length. So a value counts as old as the last change of
//! length, or of one value of SOPS beside others that stayed: it may be younger, and is never older.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;

use super::target::Target;
use crate::process::{Cancel, Cmd, Failure};
use crate::secrets::age::Header;
use crate::secrets::past::contents;
use crate::secrets::sops::{Format, SopsFile, sealed_length};
use crate::secrets::transaction::read_file;

/// How long git may take to tell its history.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// A version of a file.
#[derive(Debug, Eq, PartialEq)]
struct Version {
    /// When it was committed, in seconds.
    at: i64,
    path: PathBuf,
    id: String,
}

/// What can be seen of a file's values.
#[derive(Debug)]
enum Look {
    /// How long the content of a file of age is.
    Age(u64),
    /// The values of a file of SOPS as they stand there.
    Sops(BTreeMap<String, String>),
}

/// When these secrets got their values, by all that is committed and by the files as they are.
pub async fn last_changes(
    root: &Path,
    targets: &BTreeSet<Target>,
    cancel: &Cancel,
) -> Result<BTreeMap<Target, Timestamp>, Failure> {
    if targets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (mut versions, mut read) = (Vec::new(), Vec::new());
    if root.ancestors().any(|dir| dir.join(".git").exists()) {
        let git = |words: &[&str]| {
            Cmd::new("git").ends_by_itself().arg("-C").arg(root).args(words).env("LC_ALL", "C").deadline(DEADLINE)
        };
        let literal = |target: &Target| format!(":(literal){}", target.path.display());
        let paths: BTreeSet<_> = targets.iter().map(literal).collect();
        let log = git(&["log", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=%x01%ct", "--relative", "--"]);
        // A repository without a commit has no history.
        let log = log.args(&paths).output(cancel).await.map(|output| output.stdout).unwrap_or_default();
        versions = self::versions(&log);
        let ids: String = versions.iter().flat_map(|version| [version.id.as_str(), "\n"]).collect();
        read = git(&["cat-file", "--batch"]).stdin(ids.into_bytes()).output(cancel).await?.stdout;
    }
    let contents: BTreeMap<&str, &[u8]> = contents(&read).into_iter().collect();
    let since = |target: &Target| {
        let committed = versions.iter().filter(|version| version.path == target.path);
        let committed =
            committed.filter_map(|version| Some((version.at, look(&target.path, contents.get(&*version.id)?)?)));
        let all = committed.chain(at_hand(root, &target.path));
        last_change(all, target.value.as_deref()).and_then(|at| Timestamp::from_second(at).ok())
    };
    Ok(targets.iter().filter_map(|target| Some((target.clone(), since(target)?))).collect())
}

/// The versions that `git log` tells, the oldest first.
fn versions(raw: &[u8]) -> Vec<Version> {
    let text = String::from_utf8_lossy(raw);
    let mut parts = text.split('\0').map(|part| part.trim_start_matches('\n'));
    let (mut found, mut now) = (Vec::new(), 0);
    while let Some(part) = parts.next() {
        if let Some(at) = part.strip_prefix('\u{1}') {
            now = at.trim().parse().unwrap_or_default();
        } else if let Some(change) = part.strip_prefix(':') {
            let Some(path) = parts.next() else { break };
            let id = change.split(' ').nth(3).filter(|id| id.bytes().any(|digit| digit != b'0'));
            found.extend(id.map(|id| Version { at: now, path: path.into(), id: id.to_owned() }));
        }
    }
    found.reverse();
    found
}

/// The file as it is, with when it was written.
fn at_hand(root: &Path, path: &Path) -> Option<(i64, Look)> {
    let (bytes, _) = read_file(&root.join(path)).ok()??;
    let written = std::fs::metadata(root.join(path)).and_then(|about| about.modified()).ok()?;
    let seconds = written.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some((i64::try_from(seconds).ok()?, look(path, &bytes)?))
}

fn look(path: &Path, bytes: &[u8]) -> Option<Look> {
    if let Ok(header) = Header::of(bytes) {
        return Some(Look::Age(header.plaintext_len()));
    }
    SopsFile::parse(Format::of(path), bytes).ok()?.sealed().ok().map(Look::Sops)
}

/// When the value in question was another one for the last time.
fn last_change(versions: impl Iterator<Item = (i64, Look)>, value: Option<&str>) -> Option<i64> {
    let (mut since, mut before) = (None, None);
    for (at, now) in versions {
        let changed = before.as_ref().is_none_or(|before| differs(before, &now, value));
        // Before it is there, a value has no age.
        let is_there = match (&now, value) {
            (Look::Sops(values), Some(value)) => values.contains_key(value),
            _ => true,
        };
        if changed {
            since = is_there.then_some(at);
        }
        before = Some(now);
    }
    since
}

/// Whether a version surely has another value than the one before it.
fn differs(before: &Look, now: &Look, value: Option<&str>) -> bool {
    let (before, now) = match (before, now) {
        (Look::Age(before), Look::Age(now)) => return before != now,
        (Look::Sops(before), Look::Sops(now)) => (before, now),
        _ => return true,
    };
    let is_sealed = |text: &String| sealed_length(text).is_some();
    let stays = |(name, text): (&String, &String)| is_sealed(text) && before.get(name) == Some(text);
    // Under a new data key all are others.
    let same_key = now.iter().any(stays);
    let one = |name: &str| match (before.get(name), now.get(name)) {
        (Some(before), Some(now)) if before != now => {
            same_key || sealed_length(before).is_none() || sealed_length(before) != sealed_length(now)
        }
        (before, now) => before.is_some() != now.is_some(),
    };
    match value {
        Some(value) => one(value),
        None => before.keys().chain(now.keys()).any(|name| one(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_prints_is_read_from_the_oldest_on() {
        let raw = "\u{1}20\0\n:100644 100644 aaa bbb M\0a.age\0:000000 100644 000 ccc A\0b c.age\0\u{1}10\0\n:100644 000000 ddd 000 D\0x.age\0:000000 100644 000 aaa A\0a.age\0";
        let of = |at, path: &str, id: &str| Version { at, path: path.into(), id: id.to_owned() };
        assert_eq!(
            versions(raw.as_bytes()),
            [of(10, "a.age", "aaa"), of(20, "b c.age", "ccc"), of(20, "a.age", "bbb")]
        );
    }

    #[test]
    fn a_file_that_is_encrypted_anew_keeps_its_age() {
        let age =
            |lengths: &[(i64, u64)]| last_change(lengths.iter().map(|(at, length)| (*at, Look::Age(*length))), None);
        assert_eq!(age(&[(1, 8), (2, 8), (3, 9), (4, 9)]), Some(3));
        assert_eq!((age(&[(1, 8), (2, 8)]), age(&[])), (Some(1), None));
    }

    #[test]
    fn a_value_of_sops_changes_alone_or_in_its_length() {
        let sealed = |data: &str, nonce: &str| {
            format!("ENC[AES256_GCM,data:{data},iv:{nonce},tag:AAAAAAAAAAAAAAAAAAAAAA==,type:str]")
        };
        let file = |at: i64, a: &str, b: &str, nonce: &str| {
            let values = [("a", a), ("b", b)].map(|(name, data)| (name.to_owned(), sealed(data, nonce)));
            (at, Look::Sops(values.into()))
        };
        let since = |versions: Vec<(i64, Look)>, value| last_change(versions.into_iter(), value);
        let one_alone = || vec![file(1, "AAAA", "AAAA", "AAAA"), file(2, "BBBB", "AAAA", "AAAA")];
        assert_eq!((since(one_alone(), Some("a")), since(one_alone(), Some("b"))), (Some(2), Some(1)));
        assert_eq!((since(one_alone(), None), since(one_alone(), Some("c"))), (Some(2), None));
        let new_key = || vec![file(1, "AAAA", "AAAA", "AAAA"), file(2, "BBBB", "BBBBBBBB", "BBBB")];
        assert_eq!((since(new_key(), Some("a")), since(new_key(), Some("b"))), (Some(1), Some(2)));
    }
}
