//! A place for a secret while somebody edits it: in memory, nobody else's, and wiped afterwards.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use rustix::fs::{FlockOperation, OFlags, flock, statfs};
use zeroize::Zeroizing;

/// What the names of such places begin with.
const PREFIX: &str = "hubctl-edit-";

/// What the kernel calls file systems that are in memory: tmpfs and ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// A directory in memory with one file. What is in it is wiped when this value goes, or, if the process was killed, by the next
/// [`Scratch::sweep`].
pub struct Scratch {
    dir: PathBuf,
    file: PathBuf,
    /// Held for as long as somebody works there.
    _lock: File,
}

/// Why there is no such place.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    /// Nothing is in memory.
    #[error("neither $XDG_RUNTIME_DIR nor /dev/shm is in memory")]
    OnDisk,
    /// It cannot be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Scratch {
    /// A new place, with a file of this name. With `on_disk`, the directory for temporary files will do.
    pub fn new(name: &str, content: &[u8], on_disk: bool) -> Result<Self, ScratchError> {
        let disk = on_disk.then(std::env::temp_dir);
        let base = places().into_iter().find(|dir| is_in_memory(dir)).or(disk).ok_or(ScratchError::OnDisk)?;
        let dir = base.join(format!("{PREFIX}{:016x}", rand::rngs::OsRng.next_u64()));
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let lock = File::open(&dir)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from)?;
        let scratch = Self { file: dir.join(name), dir, _lock: lock };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&scratch.file)?;
        file.write_all(content)?;
        Ok(scratch)
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The directory, for what editors put beside a file.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the file has by now; it may be another one under the same name.
    pub fn read(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let flags = OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(flags).open(&self.file)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
        file.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Wipes what runs that were killed left.
    pub fn sweep() {
        let me = rustix::process::geteuid().as_raw();
        for base in places() {
            let Ok(entries) = fs::read_dir(base) else { continue };
            for dir in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
                let mine = fs::symlink_metadata(dir.path()).is_ok_and(|about| about.is_dir() && about.uid() == me);
                let Some(lock) = mine.then(|| File::open(dir.path()).ok()).flatten() else { continue };
                if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    wipe(&dir.path());
                }
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        wipe(&self.dir);
    }
}

/// Where such a place may be.
fn places() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.into_iter().chain([PathBuf::from("/dev/shm")]).filter(|dir| dir.is_absolute() && dir.is_dir()).collect()
}

#[cfg(target_os = "linux")]
fn is_in_memory(dir: &Path) -> bool {
    statfs(dir).is_ok_and(|about| IN_MEMORY.contains(&about.f_type))
}

/// Elsewhere nothing says it.
#[cfg(not(target_os = "linux"))]
fn is_in_memory(_dir: &Path) -> bool {
    let _ = (IN_MEMORY, statfs::<&Path>);
    false
}

/// Overwrites all files in a directory and removes it. What cannot be wiped is removed all the same.
fn wipe(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            wipe(&path);
            continue;
        }
        let _ = overwrite(&path);
        let _ = fs::remove_file(&path);
    }
    let _ = fs::remove_dir(dir);
}

fn overwrite(path: &Path) -> io::Result<()> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
    let length = file.metadata()?.len();
    file.rewind()?;
    io::copy(&mut io::repeat(0).take(length), &mut file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_edited_is_in_memory_and_gone_afterwards() {
        let scratch = Scratch::new("token", b"secret", false).unwrap();
        assert!(is_in_memory(scratch.dir()));
        assert_eq!(**scratch.read().unwrap(), *b"secret");
        // As editors do that write beside a file and rename it.
        fs::write(scratch.dir().join("new"), "other").unwrap();
        fs::rename(scratch.dir().join("new"), scratch.file()).unwrap();
        assert_eq!(**scratch.read().unwrap(), *b"other");
        // Somebody works there.
        Scratch::sweep();
        assert!(scratch.file().exists());
        let dir = scratch.dir().to_path_buf();
        drop(scratch);
        assert!(!dir.exists());
    }

    #[test]
    fn what_a_run_that_was_killed_left_is_swept_up() {
        let left = Path::new("/dev/shm").join(format!("{PREFIX}left-{}", std::process::id()));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("token"), "secret").unwrap();
        Scratch::sweep();
        assert!(!left.exists());
    }
}
