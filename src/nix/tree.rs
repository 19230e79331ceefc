//! A source tree in the store: what is where, and a hash of each file that somebody asks for.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::ballast::{Ballast, ballast};

/// A source tree, looked at once. Its files are immutable, since it is in the store.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Entry {
    Directory,
    File { executable: bool, size: u64 },
    Link(PathBuf),
}

impl Tree {
    /// Looks at the tree below `root`.
    pub fn scan(root: &Path) -> io::Result<Self> {
        let mut entries = BTreeMap::new();
        scan_into(root, Path::new(""), &mut entries)?;
        Ok(Self { root: root.to_path_buf(), entries })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its directories, itself included, relative to its root.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        let below = self.entries.iter().filter(|(_, entry)| **entry == Entry::Directory);
        std::iter::once(Path::new("")).chain(below.map(|(path, _)| path.as_path()))
    }

    /// Its files with their sizes, relative to its root.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Path, u64)> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File { size, .. } => Some((path.as_path(), *size)),
            Entry::Directory | Entry::Link(_) => None,
        })
    }

    /// What makes it large, if it is.
    pub fn ballast(&self) -> Option<Ballast> {
        ballast(self)
    }

    /// A hash of all that looking at the tree without opening a file can tell: paths, types, exec bits, targets of links.
    pub fn shape(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (path, entry) in &self.entries {
            let (kind, target) = match entry {
                Entry::Directory => (b'd', Path::new("")),
                Entry::File { executable: false, .. } => (b'f', Path::new("")),
                Entry::File { executable: true, .. } => (b'x', Path::new("")),
                Entry::Link(target) => (b'l', target.as_path()),
            };
            for part in [path, target] {
                let bytes = part.as_os_str().as_bytes();
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
            hasher.update(&[kind]);
        }
        hasher.finalize().to_hex().to_string()
    }

    /// A hash of a file's content; none when there is no such file, or it cannot be read.
    pub fn hash(&self, file: &str) -> Option<String> {
        Some(hash(&fs::read(self.root.join(file)).ok()?))
    }
}

/// The hash of a file's content.
pub(super) fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

fn scan_into(directory: &Path, relative: &Path, entries: &mut BTreeMap<PathBuf, Entry>) -> io::Result<()> {
    for found in fs::read_dir(directory)? {
        let found = found?;
        let (path, kind) = (found.path(), found.file_type()?);
        let name = relative.join(found.file_name());
        let entry = if kind.is_dir() {
            scan_into(&path, &name, entries)?;
            Entry::Directory
        } else if kind.is_symlink() {
            Entry::Link(fs::read_link(&path)?)
        } else {
            let metadata = found.metadata()?;
            Entry::File { executable: metadata.mode() & 0o111 != 0, size: metadata.size() }
        };
        entries.insert(name, entry);
    }
    Ok(())
}

#[cfg(test)]
impl Tree {
    /// A tree of files of these sizes.
    pub(super) fn of_files(files: impl Iterator<Item = (PathBuf, u64)>) -> Self {
        let entry = |(path, size)| (path, Entry::File { executable: false, size });
        Self { root: PathBuf::new(), entries: files.map(entry).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn the_shape_is_all_but_the_contents() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let shape = || Tree::scan(root).unwrap().shape();
        fs::create_dir(root.join("a")).unwrap();
        fs::write(root.join("a/x.nix"), "1").unwrap();
        symlink("a", root.join("link")).unwrap();
        let first = shape();
        fs::write(root.join("a/x.nix"), "2").unwrap();
        assert_eq!(shape(), first);
        assert_ne!(Tree::scan(root).unwrap().hash("a/x.nix"), None);

        let mut seen = vec![first];
        let mut changes = |change: &dyn Fn()| {
            change();
            let now = shape();
            assert!(!seen.contains(&now));
            seen.push(now);
        };
        changes(&|| fs::set_permissions(root.join("a/x.nix"), fs::Permissions::from_mode(0o755)).unwrap());
        changes(&|| fs::rename(root.join("a/x.nix"), root.join("a/y.nix")).unwrap());
        changes(&|| fs::create_dir(root.join("b")).unwrap());
        changes(&|| {
            fs::remove_file(root.join("link")).unwrap();
            symlink("b", root.join("link")).unwrap();
        });
    }
}
