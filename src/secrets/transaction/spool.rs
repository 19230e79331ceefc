//! New contents that are too long for the memory: written as they come, in hubctl's own directory, until a transaction takes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use sha2::{Digest as _, Sha256};

use super::change::Hash;

/// What their names begin with.
const PREFIX: &str = "spool-";

/// A content that is being written. Nothing of it is secret.
pub struct Spool {
    file: File,
    hash: Sha256,
    left: Left,
}

/// A content that is written. Its file goes with this value, unless a transaction has taken it.
#[derive(Debug)]
pub struct Spooled {
    hash: Hash,
    left: Left,
}

/// A file that is removed when nobody wants it any more.
#[derive(Debug)]
struct Left(PathBuf);

impl Spool {
    /// A new one in `state`, a directory of hubctl's own, whose lock somebody has.
    pub fn new(state: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(state)?;
        let path = state.join(format!("{PREFIX}{:016x}", rand::rngs::OsRng.next_u64()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path)?;
        Ok(Self { file, hash: Sha256::new(), left: Left(path) })
    }

    /// Ends the content.
    pub fn finish(self) -> Spooled {
        Spooled { hash: self.hash.finalize().into(), left: self.left }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Spooled {
    /// The content, from its beginning.
    pub fn open(&self) -> io::Result<File> {
        File::open(self.path())
    }

    pub(super) fn path(&self) -> &Path {
        &self.left.0
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        // One that a transaction took is not there any more.
        let _ = fs::remove_file(&self.0);
    }
}

/// Removes what runs that were killed left in `state`. Whoever calls this has its lock.
pub(super) fn sweep(state: &Path) -> io::Result<()> {
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
