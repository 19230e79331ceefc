//! What the next commit will have, and where git looks for what to run before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::FilesError;
use super::flake::FlakeRef;
use super::git::{git, path, split};
use crate::process::{Cancel, Cmd};

/// What git tells a hook about the repository and the commit. It may be relative to the directory that the hook is run in.
const OF_HOOK: &[&str] = &["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"];

/// The flake's files that the next commit changes or adds, as it will have them, by their paths in the flake's directory.
pub async fn staged_files(flake: &FlakeRef, cancel: &Cancel) -> Result<BTreeMap<String, Vec<u8>>, FilesError> {
    let Some(root) = flake.root() else { return Err(FilesError::Remote(flake.to_string())) };
    let words = [
        "diff",
        "--cached",
        "--raw",
        "--no-abbrev",
        "--relative",
        "--no-renames",
        "--no-ext-diff",
        "--diff-filter=AMT",
        "-z",
    ];
    let listing = here(git(root, &words));
    let listed = listing.output(cancel).await.map_err(FilesError::Git)?;
    let files = files(&listed.stdout);
    if files.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted: String = files.iter().flat_map(|(_, object)| [object.as_str(), "\n"]).collect();
    let reading = here(git(root, &["cat-file", "--batch"])).stdin(wanted);
    let read = reading.output(cancel).await.map_err(FilesError::Git)?;
    Ok(files.into_iter().map(|(file, _)| file).zip(contents(&read.stdout)).collect())
}

/// A command of git that looks at what a hook is to look at, from whatever directory.
fn here(cmd: Cmd) -> Cmd {
    cmd.absolute_env(OF_HOOK)
}

/// The regular files of git's raw listing, each with the object that it will be.
fn files(listing: &[u8]) -> Vec<(String, String)> {
    let mut parts = split(listing, 0);
    let mut files = Vec::new();
    while let (Some(facts), Some(name)) = (parts.next(), parts.next()) {
        let facts = String::from_utf8_lossy(facts);
        let mut facts = facts.split(' ').skip(1);
        let (mode, _, object) = (facts.next(), facts.next(), facts.next());
        if let Some(object) = object.filter(|_| mode.is_some_and(|mode| mode.starts_with("100"))) {
            files.push((String::from_utf8_lossy(name).into_owned(), object.to_owned()));
        }
    }
    files
}

/// The contents of what `git cat-file --batch` prints: in front of each stands a line that ends with its size.
fn contents(mut printed: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(end) = printed.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&printed[..end]);
        let Some(size) = head.rsplit(' ').next().and_then(|size| size.parse::<usize>().ok()) else { break };
        let Some(content) = printed.get(end + 1..end + 1 + size) else { break };
        all.push(content.to_vec());
        printed = printed.get(end + size + 2..).unwrap_or_default();
    }
    all
}

/// Where the hooks of a flake's repository are.
#[derive(Clone, Debug)]
pub struct HooksPlace {
    /// The top of the work tree, in which hooks are run.
    pub top: PathBuf,
    /// The directory of the hooks.
    pub hooks: PathBuf,
    /// Whether it is this repository's alone.
    pub is_own: bool,
}

/// Where git looks for the hooks of the flake's repository.
pub async fn hooks_place(flake: &FlakeRef, cancel: &Cancel) -> Result<HooksPlace, FilesError> {
    let Some(root) = flake.root() else { return Err(FilesError::Remote(flake.to_string())) };
    let ask = async |place: &Path, words: &[&str]| {
        let told = git(place, words).output(cancel).await.map_err(FilesError::Git)?;
        let line = told.stdout.strip_suffix(b"\n").unwrap_or(&told.stdout);
        Ok::<_, FilesError>(place.join(path(line)))
    };
    let top = ask(root, &["rev-parse", "--show-toplevel"]).await?;
    let hooks = ask(&top, &["rev-parse", "--git-path", "hooks"]).await?;
    let shared = ask(&top, &["rev-parse", "--git-common-dir"]).await?;
    let is_own = hooks.starts_with(&top) || hooks.starts_with(&shared);
    Ok(HooksPlace { top, hooks, is_own })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_and_printed_is_read() {
        let listing =
            b":000000 100644 000 abc A\0a b.nix\0:100644 120000 def 123 T\0link.nix\0:100755 100755 1 2 M\0c\n.nix\0";
        assert_eq!(files(listing), [("a b.nix".into(), "abc".into()), ("c\n.nix".into(), "2".into())]);
        assert_eq!(contents(b"abc blob 4\na\nb\n\n2 blob 0\n\n3 blob 1\nc\n"), [&b"a\nb\n"[..], b"", b"c"]);
        assert!(contents(b"abc missing\n").is_empty());
    }
}
