//! The state of a flake's work tree, told without hashing what git knows already, so that a source that was locked before is
//! known again.
//!
//! A flake in git is what git tracks, with the contents of the work tree: the commit, what `git status` tells of tracked files,
//! and the contents of those that differ from it. Where git may take contents that differ for the same, and elsewhere than in git,
//! it is every file, by what `stat` tells of it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::flake::FlakeRef;
use super::git::{git, is_gone, is_redirected, path, split};
use crate::process::{Cancel, Cmd, Failure};

/// A file that changed so short a time ago may change again without `stat` telling.
const SETTLED: Duration = Duration::from_secs(2);

/// The state of the work tree: the same text means the same source. None when that cannot be told, or not without asking Nix.
pub async fn fingerprint(flake: &FlakeRef, cancel: &Cancel) -> Option<String> {
    let begun = Instant::now();
    let root = flake.root()?;
    let mut hasher = blake3::Hasher::new();
    update(&mut hasher, flake.to_string().as_bytes());
    if flake.is_git() {
        of_git(root, &mut hasher, cancel).await?;
    } else {
        of_files(root, root, &mut hasher, Some(SystemTime::now())).ok()?;
    }
    // `dev/bench fingerprint` reads this.
    tracing::debug!(ms = begun.elapsed().as_secs_f64() * 1000.0, "the state of the work tree");
    Some(hasher.finalize().to_hex().to_string())
}

async fn of_git(root: &Path, hasher: &mut blake3::Hasher, cancel: &Cancel) -> Option<()> {
    if is_redirected() {
        return None;
    }
    let now = SystemTime::now();
    let status = git(root, &["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=no", "--no-renames"]);
    let settings = git(root, &["config", "--list", "-z", "--name-only"]);
    // git compares the files meanwhile, which takes longer than all else.
    let (status, settings, tracked) =
        tokio::try_join!(told(&status, cancel), told(&settings, cancel), Tracked::of(root, cancel)).ok()?;
    let Tracked { top, files, has_attributes } = tracked?;
    // Files that changed may be large, and others wait for an answer meanwhile.
    let (lines, place) = (status.clone(), top.clone());
    let contents = tokio::task::spawn_blocking(move || contents(&place, &lines)).await.ok()?.ok()?;
    for (line, content) in split(&status, 0).zip(contents) {
        update(hasher, line);
        if let Some(content) = content {
            update(hasher, &content);
        }
    }
    if has_attributes || converts(split(&settings, 0)) {
        of_tracked(&top, &files, hasher, Some(now)).ok()?;
    }
    Some(())
}

/// What git prints.
async fn told(git: &Cmd, cancel: &Cancel) -> Result<Vec<u8>, Failure> {
    Ok(git.output(cancel).await?.stdout)
}

/// What git tracks, as far as the index tells.
struct Tracked {
    /// The work tree's directory.
    top: PathBuf,
    /// All files, relative to it.
    files: Vec<PathBuf>,
    /// Whether attributes are given, by which git may take contents that differ for the same.
    has_attributes: bool,
}

impl Tracked {
    /// Asks git. None where its answers about these files say nothing.
    async fn of(root: &Path, cancel: &Cancel) -> Result<Option<Self>, Failure> {
        let tracked = git(root, &["ls-files", "-v", "-z", "--full-name", ":/"]);
        let places = git(root, &["rev-parse", "--show-toplevel", "--git-path", "info/attributes"]);
        let (tracked, places) = tokio::try_join!(told(&tracked, cancel), told(&places, cancel))?;
        let root = root.to_path_buf();
        let reading = tokio::task::spawn_blocking(move || Self::read(&root, &tracked, &places));
        Ok(reading.await.unwrap_or_default())
    }

    fn read(root: &Path, tracked: &[u8], places: &[u8]) -> Option<Self> {
        // Files that git was told not to look at may have changed without it knowing.
        if split(tracked, 0).any(|line| matches!(line.first(), Some(b'a'..=b'z' | b'S'))) {
            return None;
        }
        let mut places = split(places, b'\n').map(|place| root.join(path(place)));
        let (top, attributes) = (places.next()?, places.next()?);
        // What is in submodules is not in git's status of this tree.
        if top.join(".gitmodules").exists() {
            return None;
        }
        let files: Vec<_> = split(tracked, 0).filter_map(|line| line.get(2..)).map(path).collect();
        let has_attributes = attributes.exists() || has_attributes(&top, &files);
        Some(Self { top, files, has_attributes })
    }
}

/// Where nothing of a flake's work tree was touched between two looks, both give the same text: not even where it was changed and
/// changed back meanwhile, which leaves no trace in the fingerprint. None when that cannot be told.
pub async fn moment(flake: &FlakeRef, cancel: &Cancel) -> Option<String> {
    let root = flake.root()?;
    let mut hasher = blake3::Hasher::new();
    if flake.is_git() {
        let tracked = git(root, &["ls-files", "-z", "--full-name", ":/"]);
        let mut words = vec!["rev-parse", "--show-toplevel"];
        words.extend(["HEAD", "index", "logs/HEAD", "packed-refs"].into_iter().flat_map(|file| ["--git-path", file]));
        let places = git(root, &words);
        let (tracked, places) = tokio::try_join!(tracked.output(cancel), places.output(cancel)).ok()?;
        let mut places = split(&places.stdout, b'\n').map(|place| root.join(path(place)));
        let top = places.next()?;
        let files: Vec<_> = split(&tracked.stdout, 0).map(path).chain(places).collect();
        of_tracked(&top, &files, &mut hasher, None).ok()?;
    } else {
        of_files(root, root, &mut hasher, None).ok()?;
    }
    Some(hasher.finalize().to_hex().to_string())
}

/// Whether one of git's settings may have it take different contents for the same in every file.
fn converts<'a>(mut settings: impl Iterator<Item = &'a [u8]>) -> bool {
    let converting: &[&[u8]] = &[b"core.autocrlf", b"core.eol", b"core.attributesfile"];
    settings.any(|setting| converting.contains(&setting)) || global_attributes().any(|path| path.exists())
}

/// Where git looks for attributes of all repositories. Source: gitattributes(5).
fn global_attributes() -> impl Iterator<Item = PathBuf> {
    let below = |key: &str, path: &str| std::env::var_os(key).map(|directory| PathBuf::from(directory).join(path));
    let of_user = [below("XDG_CONFIG_HOME", "git/attributes"), below("HOME", ".config/git/attributes")];
    of_user.into_iter().flatten().chain([PathBuf::from("/etc/gitattributes")])
}

/// Whether attributes are given in the tree: files whose contents git converts are compared by what they are converted to.
fn has_attributes(top: &Path, files: &[PathBuf]) -> bool {
    let mut directories = HashSet::new();
    files.iter().filter_map(|file| file.parent()).any(|parent| {
        // A directory that is known is known with all above it.
        let new: Vec<_> = parent.ancestors().take_while(|directory| directories.insert(*directory)).collect();
        new.into_iter().any(|directory| top.join(directory).join(".gitattributes").exists())
    })
}

/// Every file that git tracks, by what `stat` tells of it.
fn of_tracked(
    top: &Path,
    files: &[PathBuf],
    hasher: &mut blake3::Hasher,
    settled_at: Option<SystemTime>,
) -> io::Result<()> {
    for file in files {
        update(hasher, file.as_os_str().as_bytes());
        match fs::symlink_metadata(top.join(file)) {
            Ok(metadata) => update(hasher, facts(&metadata, settled_at)?.as_bytes()),
            Err(error) if is_gone(&error) => update(hasher, b"gone"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
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

/// What the files hold that changed, one for each line of `git status`.
fn contents(top: &Path, status: &[u8]) -> io::Result<Vec<Option<Vec<u8>>>> {
    split(status, 0).map(|line| changed_path(line).map(|path| content(&top.join(path))).transpose()).collect()
}

/// What a path holds: a file's content, a link's target, or the word that there is nothing.
fn content(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_gone(&error) => return Ok(b"gone".to_vec()),
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

/// Every file below `directory`, by name and by what `stat` tells of it.
fn of_files(
    root: &Path,
    directory: &Path,
    hasher: &mut blake3::Hasher,
    settled_at: Option<SystemTime>,
) -> io::Result<()> {
    let mut names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = directory.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        let facts = facts(&metadata, settled_at)?;
        update(hasher, path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes());
        update(hasher, facts.as_bytes());
        if metadata.is_dir() {
            of_files(root, &path, hasher, settled_at)?;
        }
    }
    Ok(())
}

/// What `stat` tells of a file: type, size, times and inode. With `settled_at`, an error where it changed so short a time before
/// that another change might not show.
fn facts(metadata: &fs::Metadata, settled_at: Option<SystemTime>) -> io::Result<String> {
    let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
    let settled = SystemTime::UNIX_EPOCH + Duration::from_secs(changed) + SETTLED;
    if settled_at.is_some_and(|now| settled > now) {
        return Err(io::Error::other("changed just now"));
    }
    let facts = [
        i64::from(metadata.mode()),
        i64::try_from(metadata.size()).unwrap_or(i64::MAX),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    ];
    Ok(format!("{facts:?} {} {}", metadata.ino(), metadata.dev()))
}

/// Adds a part to the hash so that parts cannot run into each other.
fn update(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
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
    async fn a_change_and_its_undoing_pass_the_fingerprint_and_not_the_moment() {
        let tree = Tree::git().await;
        let flake = FlakeRef::resolve(".", tree.0.path()).unwrap();
        let none = Cancel::never();
        let (print, before) = (tree.now().await.unwrap(), moment(&flake, &none).await.unwrap());
        assert_eq!(moment(&flake, &none).await.unwrap(), before);
        tree.write("untracked", "1");
        assert_eq!(moment(&flake, &none).await.unwrap(), before);
        for text in ["2", "1"] {
            tree.write("hosts/a.nix", text);
        }
        assert_eq!(tree.now().await.unwrap(), print);
        let after = moment(&flake, &none).await.unwrap();
        assert_ne!(after, before);
        tree.run(&["commit", "--quiet", "--allow-empty", "-m", "y"]).await;
        tree.run(&["reset", "--quiet", "--soft", "HEAD~1"]).await;
        assert_eq!(tree.now().await.unwrap(), print);
        assert_ne!(moment(&flake, &none).await.unwrap(), after);
    }

    #[tokio::test]
    async fn where_git_converts_contents_every_file_is_looked_at() {
        let tree = Tree::git().await;
        tree.write(".gitattributes", "*.nix text\n");
        tree.run(&["add", "."]).await;
        assert_eq!(tree.now().await, None, "what changed just now may change again");
        let top = tree.0.path().to_path_buf();
        assert!(has_attributes(&top, &[PathBuf::from("hosts/deep/below/a.nix")]));
        fs::rename(top.join(".gitattributes"), top.join("hosts/.gitattributes")).unwrap();
        assert!(has_attributes(&top, &[PathBuf::from("flake.nix"), PathBuf::from("hosts/a.nix")]));
        assert!(!has_attributes(&top, &[PathBuf::from("flake.nix"), PathBuf::from("modules/a.nix")]));
        assert!(converts([b"user.name".as_slice(), b"core.autocrlf"].into_iter()));

        let later = SystemTime::now() + Duration::from_secs(10);
        let files = [PathBuf::from("hosts/a.nix"), PathBuf::from("gone/b.nix")];
        let state = || {
            let mut hasher = blake3::Hasher::new();
            of_tracked(&top, &files, &mut hasher, Some(later)).unwrap();
            hasher.finalize()
        };
        let first = state();
        assert_eq!(state(), first);
        tree.write("hosts/a.nix", "1\r\n");
        assert_ne!(state(), first);
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
            of_files(dir.path(), dir.path(), &mut hasher, Some(now)).map(|()| hasher.finalize())
        };
        let first = at(later).unwrap();
        assert_eq!(at(later).unwrap(), first);
        fs::write(dir.path().join("flake.nix"), "{ } ").unwrap();
        assert_ne!(at(later).unwrap(), first);
    }
}
