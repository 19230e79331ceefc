//! The Nix files of a flake, as Nix sees them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::flake::FlakeRef;
use super::git::{git, path, split};
use crate::process::{Cancel, Failure};

/// Why the files of a flake are not known.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The flake is elsewhere.
    #[error("{0} is no directory on this machine")]
    Remote(String),
    /// git does not tell.
    #[error("git does not tell which files the flake has: {0}")]
    Git(Failure),
    /// A directory cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The files of a local flake that end in `.nix`, relative to its directory: those that git knows, where the flake is in git, else
/// all. Some may be gone meanwhile.
pub async fn nix_files(flake: &FlakeRef, cancel: &Cancel) -> Result<Vec<PathBuf>, FilesError> {
    files(flake, is_nix, cancel).await
}

/// As [`nix_files`], whatever their names end in.
pub async fn all_files(flake: &FlakeRef, cancel: &Cancel) -> Result<Vec<PathBuf>, FilesError> {
    files(flake, |_| true, cancel).await
}

async fn files(flake: &FlakeRef, is_wanted: fn(&Path) -> bool, cancel: &Cancel) -> Result<Vec<PathBuf>, FilesError> {
    let Some(root) = flake.root() else { return Err(FilesError::Remote(flake.to_string())) };
    let mut files = if flake.is_git() {
        let listed = git(root, &["ls-files", "-z", "--cached"]).output(cancel).await.map_err(FilesError::Git)?;
        split(&listed.stdout, 0).map(path).filter(|file| is_wanted(file)).collect()
    } else {
        let mut found = Vec::new();
        walk(root, Path::new(""), is_wanted, &mut found)?;
        found
    };
    files.sort();
    // A file in conflict is listed once for each of its versions.
    files.dedup();
    Ok(files)
}

fn is_nix(file: &Path) -> bool {
    file.extension() == Some(OsStr::new("nix"))
}

fn walk(
    root: &Path,
    relative: &Path,
    is_wanted: fn(&Path) -> bool,
    found: &mut Vec<PathBuf>,
) -> Result<(), FilesError> {
    let directory = root.join(relative);
    let unreadable = |source| FilesError::Unreadable { path: directory.clone(), source };
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (name, kind) = (relative.join(entry.file_name()), entry.file_type().map_err(unreadable)?);
        if kind.is_dir() && entry.file_name() != ".git" {
            walk(root, &name, is_wanted, found)?;
        } else if kind.is_file() && is_wanted(&name) {
            found.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_walked_without_git_and_without_links() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [("flake.nix", "{}"), ("a/b/c.nix", "{}"), ("a/readme.md", ""), (".git/x.nix", "{}")] {
            fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
            fs::write(dir.path().join(file), text).unwrap();
        }
        std::os::unix::fs::symlink("flake.nix", dir.path().join("link.nix")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
        let mut found = Vec::new();
        walk(dir.path(), Path::new(""), is_nix, &mut found).unwrap();
        found.sort();
        assert_eq!(found, [Path::new("a/b/c.nix"), Path::new("flake.nix")]);
    }
}
