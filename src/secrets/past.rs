//! What a key could ever read, as git's history has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::age::{Header, Recipient, RecipientKind};
use crate::process::{Cancel, Cmd, Failure};

/// How long git may take to tell its history.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// The files that end in `.age`, below `root`, of which any branch has a version that was encrypted to this key. Keys of age itself
/// leave no tag: then all that were encrypted to such a key may be meant.
pub async fn ever_readable(root: &Path, key: &Recipient, cancel: &Cancel) -> Result<BTreeSet<PathBuf>, Failure> {
    if !root.ancestors().any(|dir| dir.join(".git").exists()) {
        return Ok(BTreeSet::new());
    }
    let git = |words: &[&str]| Cmd::new("git").arg("-C").arg(root).args(words).env("LC_ALL", "C").deadline(DEADLINE);
    let log =
        git(&["log", "--all", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=", "--relative", "--", "*.age"]);
    let versions = versions(&log.output(cancel).await?.stdout);
    let ids: String = versions.keys().flat_map(|id| [id.as_str(), "\n"]).collect();
    let read = git(&["cat-file", "--batch"]).stdin(ids.into_bytes()).output(cancel).await?.stdout;
    let mut found = BTreeSet::new();
    for (id, content) in contents(&read) {
        if Header::of(content).is_ok_and(|header| may_be_for(&header, key)) {
            found.extend(versions.get(id).into_iter().flatten().cloned());
        }
    }
    Ok(found)
}

fn may_be_for(header: &Header, key: &Recipient) -> bool {
    let tag = key.tag();
    header.stanzas().iter().filter(|stanza| !stanza.is_grease()).any(|stanza| {
        match (key.kind(), stanza.kind.as_str()) {
            (RecipientKind::SshEd25519, "ssh-ed25519") | (RecipientKind::SshRsa, "ssh-rsa") => {
                stanza.args.first() == tag.as_ref()
            }
            (RecipientKind::X25519, "X25519") => true,
            (RecipientKind::Plugin(_) | RecipientKind::Tag, kind) => {
                !["ssh-ed25519", "ssh-rsa", "X25519", "scrypt"].contains(&kind)
            }
            _ => false,
        }
    })
}

/// The ids of all versions, with the paths that had them: `:MODE MODE OLD NEW STATUS` and a path, each ended by NUL.
fn versions(raw: &[u8]) -> BTreeMap<String, BTreeSet<PathBuf>> {
    let text = String::from_utf8_lossy(raw);
    let mut parts = text.split('\0').map(|part| part.trim_start_matches('\n'));
    let mut found: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    while let Some(part) = parts.next() {
        let Some(change) = part.strip_prefix(':') else { continue };
        let Some(path) = parts.next() else { break };
        for id in change.split(' ').skip(2).take(2).filter(|id| id.bytes().any(|digit| digit != b'0')) {
            found.entry(id.to_owned()).or_default().insert(PathBuf::from(path));
        }
    }
    found
}

/// The objects that `git cat-file --batch` prints: `ID blob SIZE`, the content, and the end of a line.
pub(super) fn contents(mut read: &[u8]) -> Vec<(&str, &[u8])> {
    let mut found = Vec::new();
    while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (std::str::from_utf8(&read[..end]).unwrap_or_default(), &read[end + 1..]);
        let words: Vec<_> = line.split(' ').collect();
        let size = if let [_, "blob", size] = words[..] { size.parse::<usize>().ok() } else { None };
        match size {
            Some(size) if rest.len() > size => {
                found.push((words[0], &rest[..size]));
                read = &rest[size + 1..];
            }
            // Something that is missing has a line alone.
            _ => read = rest,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_prints_is_read() {
        let raw = b":000000 100644 0000 aaaa A\0a b.age\0:100644 100644 aaaa bbbb M\0c.age\0";
        let versions = versions(raw);
        assert_eq!(versions.keys().collect::<Vec<_>>(), ["aaaa", "bbbb"]);
        assert_eq!(versions["aaaa"].len(), 2);
        let read = b"aaaa blob 3\nx\ny\ncccc missing\nbbbb blob 0\n\n";
        assert_eq!(contents(read), [("aaaa", &b"x\ny"[..]), ("bbbb", &b""[..])]);
    }
}
