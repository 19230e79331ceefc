//! The formatter that a flake has of its own: what it is, and what it makes of files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::git::{ENVIRONMENT, git};
use super::store_path::StorePath;
use crate::process::{Cancel, Cmd, Failure};

/// A flake's own formatter.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Formatter {
    /// The program, which takes files as its arguments.
    pub program: PathBuf,
    /// What has to be built for it; nothing where it is a file of the flake.
    pub drv: Option<StorePath>,
}

/// A function of a formatter, whose answer is a [`Formatter`].
pub(super) const FUNCTION: &str = include_str!("formatter.nix");

/// How long it may take with some files.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// The most that its command line has of files, in bytes. Linux takes four times as much.
const WORDS: usize = 500_000;

/// Larger files are no settings of a formatter.
const LARGEST: u64 = 1024 * 1024;

/// Some of a flake's files in a copy of it, in which a formatter may do what it likes.
#[derive(Debug)]
pub struct FormatCopy {
    dir: TempDir,
    files: Vec<PathBuf>,
}

impl FormatCopy {
    /// A copy of those of the files `known` below `root` that may tell a formatter how it is wanted, with `texts` at their paths.
    pub fn of(root: &Path, known: &[PathBuf], texts: &BTreeMap<String, String>) -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("hubctl-format-").tempdir()?;
        let copy = Self { dir, files: texts.keys().map(PathBuf::from).collect() };
        let tree = copy.tree();
        for file in known.iter().filter(|file| !copy.files.contains(file)) {
            copy_file(&root.join(file), &tree.join(file))?;
        }
        for (file, text) in texts {
            let place = tree.join(file);
            fs::create_dir_all(place.parent().unwrap_or(&tree))?;
            fs::write(place, text)?;
        }
        Ok(copy)
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    /// Has `program` format the texts, in a repository of git where `is_git`, since some find the top of the tree by that.
    pub async fn format(&self, program: &Path, is_git: bool, cancel: &Cancel) -> Result<(), Failure> {
        if is_git {
            // Nothing of the files is read for this, so that no filter of git's is run.
            for words in [&["init", "--quiet", "--template="][..], &["add", "--intent-to-add", "--force", "."]] {
                alone(git(&self.tree(), words)).output(cancel).await?;
            }
        }
        for files in portions(&self.files) {
            let cmd = Cmd::new(program).args(files).current_dir(self.tree()).deadline(DEADLINE);
            // What it remembers of this copy is of no use to anybody.
            alone(cmd).env("XDG_CACHE_HOME", self.dir.path().join("cache")).output(cancel).await?;
        }
        Ok(())
    }

    /// What became of each text, by its path.
    pub fn made(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let read = |file: &PathBuf| Ok((file.to_string_lossy().into_owned(), fs::read(self.tree().join(file))?));
        self.files.iter().map(read).collect()
    }
}

/// A command that does not look at the repository that a hook is run for.
fn alone(cmd: Cmd) -> Cmd {
    ENVIRONMENT.iter().fold(cmd, |cmd, key| cmd.env_remove(*key))
}

/// Copies a file, or a link as a link; nothing where there is neither, or a file that is large.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(from) else { return Ok(()) };
    let parent = to.parent().unwrap_or(to);
    if metadata.is_symlink() {
        fs::create_dir_all(parent)?;
        std::os::unix::fs::symlink(fs::read_link(from)?, to)?;
    } else if metadata.is_file() && metadata.len() <= LARGEST {
        fs::create_dir_all(parent)?;
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Files in as many portions as command lines take.
fn portions(files: &[PathBuf]) -> Vec<&[PathBuf]> {
    let (mut portions, mut begin, mut size) = (Vec::new(), 0, 0);
    for (at, file) in files.iter().enumerate() {
        let more = file.as_os_str().len() + 1;
        if size + more > WORDS && at > begin {
            portions.push(&files[begin..at]);
            (begin, size) = (at, 0);
        }
        size += more;
    }
    if begin < files.len() {
        portions.push(&files[begin..]);
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_are_formatted_in_portions() {
        let files: Vec<_> = (0..10_000).map(|at| PathBuf::from(format!("{}/{at:05}.nix", "a".repeat(90)))).collect();
        let all = portions(&files);
        assert_eq!(all.len(), 3);
        assert_eq!(all.concat(), files);
        assert!(portions(&[]).is_empty());
        assert_eq!(portions(&[PathBuf::from("a".repeat(WORDS * 2))]).len(), 1);
    }

    #[test]
    fn a_copy_has_what_is_to_be_formatted_and_settings() {
        let root = tempfile::tempdir().unwrap();
        for (file, size) in [("treefmt.toml", 3), ("a/picture", 2 * 1024 * 1024), ("a/b.nix", 3), ("a/c.nix", 3)] {
            fs::create_dir_all(root.path().join("a")).unwrap();
            fs::write(root.path().join(file), "x".repeat(size)).unwrap();
        }
        std::os::unix::fs::symlink("b.nix", root.path().join("a/link.nix")).unwrap();
        let known = ["treefmt.toml", "a/picture", "a/b.nix", "a/c.nix", "a/link.nix", "gone"].map(PathBuf::from);
        let texts = BTreeMap::from([("a/b.nix".to_owned(), "staged".to_owned())]);
        let copy = FormatCopy::of(root.path(), &known, &texts).unwrap();
        let text = |file: &str| fs::read_to_string(copy.tree().join(file)).ok();
        assert_eq!(text("treefmt.toml").as_deref(), Some("xxx"));
        assert_eq!(text("a/c.nix").as_deref(), Some("xxx"));
        assert_eq!(text("a/link.nix").as_deref(), Some("staged"), "a link leads to the copy");
        assert_eq!((text("a/picture"), text("gone")), (None, None));
        assert_eq!(copy.made().unwrap(), [("a/b.nix".to_owned(), b"staged".to_vec())]);
    }
}
