//! Files of the work tree that a flake does not see although its code names them, because git does not track them.
//!
//! Files that git ignores are not among them: they were left out on purpose, and to list them takes a walk through all that
//! builds and editors leave. Where an evaluation fails for want of one, [`missed`] finds it all the same.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::eval::EvalError;
use super::flake::FlakeRef;
use super::git::{git, is_redirected, path, split};
use super::path_literals::path_literals;
use super::source::Source;
use crate::process::{Cancel, shell_quote};

/// A file, or a directory with all that is in it, that the flake does not see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unseen {
    /// Where it is.
    pub file: PathBuf,
    /// The file that names it, or the directory that it is in.
    pub named_in: PathBuf,
}

/// A file for want of which an evaluation failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missed {
    /// Where it is.
    pub file: PathBuf,
    /// Whether git is told to leave it out.
    pub is_ignored: bool,
}

impl Missed {
    /// What helps. A file that is left out on purpose may be a secret, which has no place in git nor in the store.
    pub fn hint(&self) -> String {
        if !self.is_ignored {
            return unseen_hint([self.file.as_path()]);
        }
        format!("git is told to ignore {}, and so the flake does not see it", from_here(&self.file).display())
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (named in {})", from_here(&self.file).display(), from_here(&self.named_in).display())
    }
}

/// What makes the flake see files.
pub fn unseen_hint<'a>(files: impl IntoIterator<Item = &'a Path>) -> String {
    let quoted = |file: &Path| shell_quote(&from_here(file).to_string_lossy()).into_owned();
    let words: Vec<_> = files.into_iter().map(quoted).collect();
    format!("`git add {}`: a flake does not see what git does not track", words.join(" "))
}

/// A path as it is written where hubctl was called.
fn from_here(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}

/// What git does not track although a file of the flake's code names it. Nothing where that cannot be told.
pub async fn unseen(flake: &FlakeRef, cancel: &Cancel) -> Vec<Unseen> {
    find(flake, cancel).await.unwrap_or_default()
}

async fn find(flake: &FlakeRef, cancel: &Cancel) -> Option<Vec<Unseen>> {
    let root = flake.root().filter(|_| flake.is_git() && !is_redirected())?;
    let others = git(root, &["ls-files", "--others", "--exclude-standard", "--directory", "-z", "--full-name", ":/"]);
    let others = others.output(cancel).await.ok()?.stdout;
    // The rule, and then all of this has cost one look at the tree's directories.
    if others.is_empty() {
        return None;
    }
    let top = git(root, &["rev-parse", "--show-toplevel"]);
    let code = git(root, &["ls-files", "-z", "--full-name", ":/*.nix"]);
    let (top, code) = tokio::try_join!(top.output(cancel), code.output(cancel)).ok()?;
    let top = split(&top.stdout, b'\n').next().map(path)?;
    let looking = move || {
        let untracked = Untracked { top: &top, entries: split(&others, 0).map(path).collect() };
        named(&untracked, split(&code.stdout, 0).map(path))
    };
    tokio::task::spawn_blocking(looking).await.ok()
}

/// What git does not track.
struct Untracked<'a> {
    /// The work tree's directory.
    top: &'a Path,
    /// Relative to it. Of a directory without any file that is tracked, it is the directory alone.
    entries: Vec<PathBuf>,
}

fn named(untracked: &Untracked<'_>, code: impl Iterator<Item = PathBuf>) -> Vec<Unseen> {
    let mut found = BTreeMap::new();
    for file in code {
        let Ok(text) = fs::read(untracked.top.join(&file)) else { continue };
        let directory = file.parent().unwrap_or(Path::new(""));
        for literal in path_literals(&text) {
            for missing in named_by(&directory.join(path(literal)), untracked) {
                found.entry(missing).or_insert_with(|| file.clone());
            }
        }
    }
    let unseen = |(file, named_in)| Unseen { file: untracked.top.join(file), named_in: untracked.top.join(named_in) };
    found.into_iter().map(unseen).collect()
}

/// What is not tracked of that which a path names: itself, or what a directory's name stands for. Whoever names a directory
/// may read its list and import what is in it, as long as that is code; the tree's own directory is named for other reasons
/// as well.
fn named_by(literal: &Path, untracked: &Untracked<'_>) -> Vec<PathBuf> {
    let Some(named) = normal(literal) else { return Vec::new() };
    let is_code = |entry: &Path| {
        let is_default = entry.file_name().is_some_and(|name| name == "default.nix");
        let is_listed = named != Path::new("")
            && (entry.extension().is_some_and(|ext| ext == "nix")
                || untracked.top.join(entry).join("default.nix").exists());
        is_default || is_listed
    };
    let of_entry = |entry: &PathBuf| {
        if named.starts_with(entry) {
            return untracked.top.join(&named).exists().then(|| named.clone());
        }
        (entry.parent() == Some(&named) && is_code(entry)).then(|| entry.clone())
    };
    untracked.entries.iter().filter_map(of_entry).collect()
}

/// A path without `.` and `..`; none where it leads out of the tree.
fn normal(literal: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in literal.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            Component::Normal(name) => normal.push(name),
            _ => return None,
        }
    }
    Some(normal)
}

/// The file of the work tree for want of which an evaluation failed: Nix says of a path in the source that it is not there,
/// and in the work tree it is.
pub async fn missed(flake: &FlakeRef, source: &Source, error: &EvalError, cancel: &Cancel) -> Option<Missed> {
    let EvalError::Nix(failure) = error else { return None };
    let root = flake.root().filter(|_| flake.is_git())?;
    // The flake may be below the tree's own directory.
    let below = source.flake_file();
    let top = root.ancestors().nth(below.parent()?.components().count())?;
    let in_source = |text: &str| missing_in(text, source.path.as_path(), top);
    let file = failure.stderr.iter().rev().find_map(|line| in_source(line))?;
    let asked = git(top, &["check-ignore", "--quiet", "--"]).arg(&file);
    Some(Missed { is_ignored: asked.output(cancel).await.is_ok(), file })
}

/// The first path that a line quotes and that is in the work tree at `top` and not in the source. Nix names the one in the
/// source, in the work tree, or relative to either, by version and kind of reference.
fn missing_in(line: &str, source: &Path, top: &Path) -> Option<PathBuf> {
    let is_complaint = ["does not exist", "No such file", "not tracked"].iter().any(|words| line.contains(words));
    let quoted = line.split(['\'', '"', '«', '»']).filter(|_| is_complaint);
    let relative = |text: &str| {
        let path = Path::new(text.trim_end_matches('/'));
        let below = path.strip_prefix(source).or_else(|_| path.strip_prefix(top)).unwrap_or(path);
        normal(below).filter(|below| !below.as_os_str().is_empty())
    };
    quoted
        .filter_map(relative)
        .find(|below| top.join(below).exists() && !source.join(below).exists())
        .map(|below| top.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cmd;

    struct Tree(tempfile::TempDir);

    impl Tree {
        async fn of(tracked: &[(&str, &str)], untracked: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write("flake.nix", "{ }");
            for (file, text) in tracked {
                tree.write(file, text);
            }
            for words in [&["init", "--quiet"][..], &["add", "."]] {
                let cmd = Cmd::new("git").current_dir(tree.0.path()).args(words.iter().copied());
                cmd.output(&Cancel::never()).await.unwrap();
            }
            for file in untracked {
                tree.write(file, "{ }");
            }
            tree
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// What is unseen, each with the file that names it.
        async fn unseen(&self) -> Vec<(String, String)> {
            let top = self.0.path().canonicalize().unwrap();
            let flake = FlakeRef::resolve(".", &top).unwrap();
            let relative = |path: &Path| path.strip_prefix(&top).unwrap().display().to_string();
            let found = unseen(&flake, &Cancel::never()).await;
            found.iter().map(|one| (relative(&one.file), relative(&one.named_in))).collect()
        }
    }

    #[tokio::test]
    async fn what_code_names_and_git_does_not_track_is_unseen() {
        let host = "hosts/a/default.nix";
        for (text, untracked, unseen) in [
            ("import ./own.nix", &["hosts/a/own.nix"][..], &["hosts/a/own.nix"][..]),
            ("import ../../mods/x.nix", &["mods/x.nix", "mods/y.nix"], &["mods/x.nix"]),
            ("import ../../mods", &["mods/default.nix"], &["mods"]),
            ("import ../shared", &["hosts/shared/default.nix"], &["hosts/shared"]),
            ("import ../shared/deep/x.nix", &["hosts/shared/deep/x.nix"], &["hosts/shared/deep/x.nix"]),
            // Hosts and modules that are found by reading a directory.
            ("builtins.readDir ../../hosts", &["hosts/b/default.nix"], &["hosts/b"]),
            ("n: ../${n}/default.nix", &["hosts/b/default.nix"], &["hosts/b"]),
            ("builtins.readDir ./.", &["hosts/a/new.nix"], &["hosts/a/new.nix"]),
            // What nobody names, and what is no code.
            ("import ./gone.nix", &["hosts/a/own.nix"], &[]),
            ("# import ./own.nix", &["hosts/a/own.nix"], &[]),
            ("builtins.readDir ./.", &["hosts/a/notes.txt", "hosts/b/default.nix"], &[]),
            ("import ../../.", &["try.nix"], &[]),
            ("import ../../../out.nix", &["out.nix"], &[]),
            ("import ./own.nix", &[], &[]),
        ] {
            let tree = Tree::of(&[(host, text), ("hosts/.gitignore", "ignored.nix")], untracked).await;
            let wanted: Vec<_> = unseen.iter().map(|file| ((*file).to_owned(), host.to_owned())).collect();
            assert_eq!(tree.unseen().await, wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn ignored_files_and_code_that_is_not_tracked_itself_tell_nothing() {
        let tree = Tree::of(&[("a.nix", "./out.nix"), (".gitignore", "out.nix")], &["out.nix", "b.nix"]).await;
        tree.write("b.nix", "./c.nix");
        tree.write("c.nix", "1");
        assert_eq!(tree.unseen().await, []);
    }

    #[test]
    fn the_path_that_nix_misses_is_found_in_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let (source, top) = (dir.path().join("source"), dir.path().join("hub"));
        for file in [source.join("flake.nix"), top.join("flake.nix"), top.join("hosts/own.nix")] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let missing = |line: &str| missing_in(line, &source, &top);
        let own = Some(top.join("hosts/own.nix"));
        let (of_source, of_top) = (source.display(), top.display());
        assert_eq!(missing(&format!("error: path '{of_source}/hosts/own.nix' does not exist")), own);
        assert_eq!(
            missing(&format!("error: getting status of '{of_source}/hosts/own.nix': No such file or directory")),
            own
        );
        assert_eq!(
            missing(&format!("error: Path 'hosts/own.nix' in the repository \"{of_top}\" is not tracked by Git.")),
            own
        );
        assert_eq!(missing(&format!("error: path '{of_source}/hosts/none.nix' does not exist")), None);
        assert_eq!(missing(&format!("error: path '{of_source}/flake.nix' does not exist")), None);
        assert_eq!(missing(&format!("at {of_source}/hosts/own.nix:1:2: 'hosts/own.nix'")), None);
    }
}
