//! Files that are written whole or not at all: whoever reads one sees what it was before, or all of what it is now.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Who may do what with a file that is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Only the user, who may read and write it.
    Private,
    /// These permissions, such as `0o755`.
    Is(u32),
    /// As with the file that was there; without one, the user alone.
    AsBefore,
}

/// Keeps something for a later run in a file of the user's own, and makes the directories above it that are missing.
pub fn keep(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory(path))?;
    write(path, content, Mode::Private)
}

/// Gives the file at `path` this content. It is not waited for to be on the disk.
pub fn write(path: &Path, content: &[u8], mode: Mode) -> io::Result<()> {
    let mut new = tempfile::Builder::new().prefix(".hubctl-").tempfile_in(directory(path))?;
    new.write_all(content)?;
    let permissions = match mode {
        Mode::Private => None,
        Mode::Is(mode) => Some(Permissions::from_mode(mode)),
        Mode::AsBefore => fs::metadata(path).ok().map(|about| about.permissions()),
    };
    if let Some(permissions) = permissions {
        new.as_file().set_permissions(permissions)?;
    }
    new.persist(path).map(drop).map_err(|error| error.error)
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_has_the_content_and_the_mode_that_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        write(&path, b"one", Mode::Private).unwrap_err();
        keep(&path, b"one").unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"one".as_slice(), 0o600));
        write(&path, b"two", Mode::Is(0o755)).unwrap();
        write(&path, b"three", Mode::AsBefore).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (b"three".as_slice(), 0o755));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("taken")).unwrap();
        write(&dir.path().join("taken"), b"x", Mode::Private).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
