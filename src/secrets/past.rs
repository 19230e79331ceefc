//! What a key could ever read, as git's history has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::age::{Header, Recipient, RecipientKind};
use super::sops::{Format, SopsFile};
use crate::process::{Cancel, Cmd, Failure};

/// How long git may take to tell its history.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// The files that end in `.age`, below `root`, of which any branch has a version that was encrypted to this key. Keys of age itself
/// leave no tag: then all that were encrypted to such a key may be meant.
pub async fn ever_readable(root: &Path, key: &Recipient, cancel: &Cancel) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    each_version(root, &["*.age".to_owned()], cancel, |content, paths| {
        if Header::of(content).is_ok_and(|header| may_be_for(&header, key)) {
            found.extend(paths.iter().cloned());
        }
    })
    .await?;
    Ok(found)
}

/// The files of SOPS below `root` of which any branch has a version that names this key, with the addresses of the values that were
/// encrypted in those versions. `likely` are the names that such files may have, as git's patterns.
pub async fn ever_readable_sops(
    root: &Path,
    key: &Recipient,
    likely: &[String],
    cancel: &Cancel,
) -> Result<BTreeMap<PathBuf, BTreeSet<String>>, Failure> {
    let mut found: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    if !is_in_git(root) {
        return Ok(found);
    }
    // The key is in no version of any other file, so that those need not be read.
    let name = key.to_string();
    let body = name.split_whitespace().last().unwrap_or_default();
    let log = git(root).args(["log", "--all", "-m", "--name-only", "--no-renames", "-z", "--format=", "--relative"]);
    let named = log.arg(format!("-S{body}")).arg("--").args(likely).output(cancel).await?;
    let text = String::from_utf8_lossy(&named.stdout).into_owned();
    let files: BTreeSet<_> =
        text.split('\0').map(|path| path.trim_start_matches('\n')).filter(|path| !path.is_empty()).collect();
    let files: Vec<_> = files.into_iter().map(|path| format!(":(literal){path}")).collect();
    if files.is_empty() {
        return Ok(found);
    }
    each_version(root, &files, cancel, |content, paths| {
        for path in paths {
            let Ok(file) = SopsFile::parse(Format::of(path), content) else { continue };
            let is_named = file.recipients().any(|one| one.parse().is_ok_and(|one: Recipient| one == *key));
            if let Some(addresses) = file.addresses().ok().filter(|_| is_named) {
                let sealed = addresses.into_iter().filter(|(_, encrypted)| *encrypted).map(|(address, _)| address);
                found.entry(path.clone()).or_default().extend(sealed);
            }
        }
    })
    .await?;
    Ok(found)
}

fn is_in_git(root: &Path) -> bool {
    root.ancestors().any(|dir| dir.join(".git").exists())
}

fn git(root: &Path) -> Cmd {
    Cmd::new("git").arg("-C").arg(root).env("LC_ALL", "C").deadline(DEADLINE)
}

/// Looks at every version that any branch has of files that match `patterns`, with the paths that had it.
async fn each_version(
    root: &Path,
    patterns: &[String],
    cancel: &Cancel,
    mut look: impl FnMut(&[u8], &BTreeSet<PathBuf>),
) -> Result<(), Failure> {
    if !is_in_git(root) {
        return Ok(());
    }
    let words = ["log", "--all", "-m", "--raw", "--no-abbrev", "--no-renames", "-z", "--format=", "--relative", "--"];
    let versions = versions(&git(root).args(words).args(patterns).output(cancel).await?.stdout);
    let ids: String = versions.keys().flat_map(|id| [id.as_str(), "\n"]).collect();
    let read = git(root).args(["cat-file", "--batch"]).stdin(ids.into_bytes()).output(cancel).await?.stdout;
    for (id, content) in contents(&read) {
        if let Some(paths) = versions.get(id) {
            look(content, paths);
        }
    }
    Ok(())
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
