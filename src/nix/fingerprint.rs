//! The state of a flake's work tree, told without hashing what git knows already, so that a source that was locked before is
//! known again.
//!
//! A flake in git is what git tracks, with the contents of the work tree: the commit, what `git status` tells of tracked files,
//! and the contents of those that differ from it. Elsewhere it is every file, by what `stat` tells of it.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::flake::FlakeRef;
use crate::process::{Cancel, Cmd};

/// How long git may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A file that changed so short a time ago may change again without `stat` telling.
const SETTLED: Duration = Duration::from_secs(2);

/// The state of the work tree: the same text means the same source. None when that cannot be told, or not without asking Nix.
pub async fn fingerprint(flake: &FlakeRef, cancel: &Cancel) -> Option<String> {
    let root = flake.root()?;
    let mut hasher = blake3::Hasher::new();
    update(&mut hasher, flake.to_string().as_bytes());
    if flake.is_git() {
        of_git(root, &mut hasher, cancel).await?;
    } else {
        of_files(root, root, &mut hasher, SystemTime::now()).ok()?;
    }
    Some(hasher.finalize().to_hex().to_string())
}

async fn of_git(root: &Path, hasher: &mut blake3::Hasher, cancel: &Cancel) -> Option<()> {
    let git = |words: &[&str]| {
        Cmd::new("git")
            .args(["--no-optional-locks", "-C"])
            .arg(root)
            .args(words)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .deadline(DEADLINE)
    };
    let status = git(&["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no", "--no-renames"]);
    let hidden = git(&["ls-files", "-v", "-z"]);
    let top = git(&["rev-parse", "--show-toplevel"]);
    let (status, hidden, top) =
        tokio::try_join!(status.output(cancel), hidden.output(cancel), top.output(cancel)).ok()?;
    // Files that git was told not to look at may have changed without it knowing.
    if split(&hidden.stdout).any(|line| matches!(line.first(), Some(b'a'..=b'z' | b'S'))) {
        return None;
    }
    let top = PathBuf::from(std::ffi::OsString::from_vec(top.stdout.strip_suffix(b"\n")?.to_vec()));
    // What is in submodules is not in git's status of this tree.
    if top.join(".gitmodules").exists() {
        return None;
    }
    for line in split(&status.stdout) {
        update(hasher, line);
        if let Some(path) = changed_path(line) {
            update(hasher, &content(&top.join(path)).ok()?);
        }
    }
    Some(())
}

/// The path that a line of `git status --porcelain=v2` tells of: `1 XY sub mH mI mW hH hI path`, with a similar beginning for
/// unmerged ones. Source: git-status(1).
fn changed_path(line: &[u8]) -> Option<&Path> {
    let fields = match line.first()? {
        b'1' => 9,
        b'u' => 11,
        _ => return None,
    };
    let path = line.splitn(fields, |byte| *byte == b' ').nth(fields - 1)?;
    Some(Path::new(std::ffi::OsStr::from_bytes(path)))
}

/// What a path holds: a file's content, a link's target, or the word that there is nothing.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(b"gone".to_vec()),
        Err(error) => return Err(error),
    };
    let (kind, content) = if metadata.is_symlink() {
        ("link", fs::read_link(path)?.into_os_string().into_vec())
    } else {
        ("file", fs::read(path)?)
    };
    let mode = metadata.mode();
    Ok(format!("{kind} {mode:o} {}", blake3::hash(&content).to_hex()).into_bytes())
}

/// Every file below `directory`, by name, type, size, times and inode. An error where something changed so lately that another
/// change might not show.
fn of_files(root: &Path, directory: &Path, hasher: &mut blake3::Hasher, now: SystemTime) -> io::Result<()> {
    let mut names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = directory.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
        let settled = SystemTime::UNIX_EPOCH + Duration::from_secs(changed) + SETTLED;
        if settled > now {
            return Err(io::Error::other("changed just now"));
        }
        update(hasher, path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes());
        let facts = [
            i64::from(metadata.mode()),
            i64::try_from(metadata.size()).unwrap_or(i64::MAX),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ];
        update(hasher, format!("{facts:?} {} {}", metadata.ino(), metadata.dev()).as_bytes());
        if metadata.is_dir() {
            of_files(root, &path, hasher, now)?;
        }
    }
    Ok(())
}

/// Adds a part to the hash so that parts cannot run into each other.
fn update(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

fn split(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        async fn git() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write("flake.nix", "{ }");
            tree.write("hosts/a.nix", "1");
            tree.run(&["init", "--quiet"]).await;
            tree.run(&["add", "."]).await;
            tree.run(&["commit", "--quiet", "-m", "x"]).await;
            tree
        }

        async fn run(&self, words: &[&str]) {
            let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"];
            let cmd = Cmd::new("git").current_dir(self.0.path()).args(identity).args(words);
            cmd.output(&Cancel::never()).await.unwrap();
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        async fn now(&self) -> Option<String> {
            let flake = FlakeRef::resolve(".", self.0.path()).unwrap();
            fingerprint(&flake, &Cancel::never()).await
        }
    }

    #[tokio::test]
    async fn what_a_flake_sees_changes_it_and_nothing_else() {
        let tree = Tree::git().await;
        let clean = tree.now().await.unwrap();
        assert_eq!(tree.now().await.unwrap(), clean);
        tree.write("untracked.nix", "1");
        assert_eq!(tree.now().await.unwrap(), clean);

        let mut seen = vec![clean.clone()];
        tree.write("hosts/a.nix", "2");
        seen.push(tree.now().await.unwrap());
        tree.write("hosts/a.nix", "3");
        seen.push(tree.now().await.unwrap());
        tree.run(&["add", "untracked.nix"]).await;
        seen.push(tree.now().await.unwrap());
        tree.write("untracked.nix", "2");
        seen.push(tree.now().await.unwrap());
        fs::remove_file(tree.0.path().join("hosts/a.nix")).unwrap();
        seen.push(tree.now().await.unwrap());
        tree.run(&["commit", "--quiet", "-a", "-m", "y"]).await;
        seen.push(tree.now().await.unwrap());
        let mut different = seen.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), seen.len(), "{seen:?}");
    }

    #[tokio::test]
    async fn what_git_does_not_look_at_is_not_vouched_for() {
        let tree = Tree::git().await;
        tree.run(&["update-index", "--assume-unchanged", "hosts/a.nix"]).await;
        assert_eq!(tree.now().await, None);
    }

    #[tokio::test]
    async fn a_tree_without_git_is_known_once_it_has_settled() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("flake.nix"), "{ }").unwrap();
        let flake = FlakeRef::resolve(".", dir.path()).unwrap();
        assert_eq!(fingerprint(&flake, &Cancel::never()).await, None);
        let later = SystemTime::now() + Duration::from_secs(10);
        let at = |now| {
            let mut hasher = blake3::Hasher::new();
            of_files(dir.path(), dir.path(), &mut hasher, now).map(|()| hasher.finalize())
        };
        let first = at(later).unwrap();
        assert_eq!(at(later).unwrap(), first);
        fs::write(dir.path().join("flake.nix"), "{ } ").unwrap();
        assert_ne!(at(later).unwrap(), first);
    }
}
