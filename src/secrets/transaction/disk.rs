//! The operations on files that a transaction consists of, each of which a test can have fail or be the last.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// How large a file may be that is read into memory, in bytes.
pub(crate) const MAX_FILE: u64 = 256 * 1024 * 1024;

/// What is to come of an operation before it is done.
#[derive(Debug)]
pub enum Step {
    /// It is done.
    Go,
    /// It fails.
    Fail(io::Error),
    /// The process ends, as if it were killed: nothing is taken back.
    Vanish,
}

/// Decides on operations, each of which is named. Only tests have one.
type Hook = Arc<dyn Fn(&'static str) -> Step + Send + Sync>;

/// The file system.
#[derive(Clone, Default)]
pub struct Disk {
    hook: Option<Hook>,
}

/// Why an operation was not done.
#[derive(Debug)]
pub(super) enum Broken {
    Failed(io::Error),
    Vanished,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

type Result<T> = std::result::Result<T, Broken>;

impl Disk {
    /// The file system, on which `hook` is asked before each operation that changes something.
    pub fn with_hook(hook: impl Fn(&'static str) -> Step + Send + Sync + 'static) -> Self {
        Self { hook: Some(Arc::new(hook)) }
    }

    /// The file system. A program that is built for tests may be told by `HUBCTL_TEST_SECRETS_FAULT` at which operation it is to be
    /// killed or to fail: `kill:7`, `28:7`; or at which of one kind, as `kill:exchange:7`.
    pub fn of_environment() -> Self {
        #[cfg(debug_assertions)]
        if let Some(disk) = std::env::var("HUBCTL_TEST_SECRETS_FAULT").ok().and_then(|text| faulty(&text)) {
            return disk;
        }
        Self::default()
    }

    fn step(&self, name: &'static str) -> Result<()> {
        match self.hook.as_ref().map_or(Step::Go, |hook| hook(name)) {
            Step::Go => Ok(()),
            Step::Fail(error) => Err(Broken::Failed(error)),
            Step::Vanish => Err(Broken::Vanished),
        }
    }

    /// Makes a file that was not there, with the mode and owner of `like`, and makes its content last.
    pub(super) fn create(&self, path: &Path, content: &[u8], like: Option<&fs::Metadata>) -> Result<()> {
        self.write_new(path, like, |file| file.write_all(content))
    }

    /// Gives a file that is written already a name that nothing has, with the mode and owner of `like`, and makes its content last.
    pub(super) fn take(&self, from: &Path, path: &Path, like: Option<&fs::Metadata>) -> Result<()> {
        let file = File::open(from)?;
        take_after(&file, like)?;
        self.step("sync")?;
        file.sync_all()?;
        self.step("rename")?;
        match renameat_with(CWD, from, CWD, path, RenameFlags::NOREPLACE) {
            // Names do not reach from one file system to another.
            Err(Errno::XDEV) => self.write_new(path, like, |to| io::copy(&mut &file, to).map(drop)),
            done => done.map_err(|error| Broken::Failed(error.into())),
        }
    }

    fn write_new(
        &self,
        path: &Path,
        like: Option<&fs::Metadata>,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<()> {
        self.step("create")?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        take_after(&file, like)?;
        self.step("write")?;
        write(&mut file)?;
        self.step("sync")?;
        file.sync_all()?;
        Ok(())
    }

    /// Has two names exchange what they mean.
    pub(super) fn exchange(&self, one: &Path, other: &Path) -> Result<()> {
        self.step("exchange")?;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Err(Broken::Failed(io::Error::new(
                io::ErrorKind::Unsupported,
                "its file system cannot exchange two files, as all changes at once need it",
            ))),
            done => done.map_err(|error| Broken::Failed(error.into())),
        }
    }

    /// Gives a file a name that nothing has yet.
    pub(super) fn rename_to_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.step("rename")?;
        renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(|error| Broken::Failed(error.into()))
    }

    /// Gives a file a name that another may have.
    pub(super) fn replace(&self, from: &Path, to: &Path) -> Result<()> {
        self.step("replace")?;
        Ok(fs::rename(from, to)?)
    }

    /// Removes a file; one that is gone is no error.
    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        self.step("remove")?;
        match fs::remove_file(path) {
            // A file system that is read-only says so of what is not there too.
            Err(error) if fs::symlink_metadata(path).is_ok() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes the names in a directory last.
    pub(super) fn sync_dir(&self, dir: &Path) -> Result<()> {
        self.step("sync directory")?;
        Ok(File::open(dir)?.sync_all()?)
    }
}

/// Gives a file the mode and the owner of another.
fn take_after(file: &File, like: Option<&fs::Metadata>) -> io::Result<()> {
    let Some(like) = like else { return Ok(()) };
    file.set_permissions(fs::Permissions::from_mode(like.mode() & 0o777))?;
    let mine = file.metadata()?;
    if (mine.uid(), mine.gid()) != (like.uid(), like.gid()) {
        // Who may not give files away leaves this one to be theirs.
        let _ = std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid()));
    }
    Ok(())
}

/// A file to be read, and what it is; nothing where there is none. A link is an error, and so is what is no file.
pub(crate) fn open(path: &Path) -> io::Result<Option<(File, fs::Metadata)>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a link; name what it leads to"));
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    Ok(Some((file, about)))
}

/// As [`open`], with the content of the file.
pub(crate) fn read(path: &Path) -> io::Result<Option<(Vec<u8>, fs::Metadata)>> {
    let Some((file, about)) = open(path)? else { return Ok(None) };
    if about.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is larger than 256 MiB"));
    }
    let mut content = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default() + 1);
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    Ok(Some((content, about)))
}

#[cfg(debug_assertions)]
fn faulty(text: &str) -> Option<Disk> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (what, at) = text.split_once(':')?;
    let (kind, at) = at.rsplit_once(':').map_or((None, at), |(kind, at)| (Some(kind.to_owned()), at));
    let at: usize = at.parse().ok()?;
    let errno: Option<i32> = what.parse().ok();
    let done = AtomicUsize::new(0);
    Some(Disk::with_hook(move |name| {
        if kind.as_ref().is_some_and(|kind| kind != name) || done.fetch_add(1, Ordering::SeqCst) != at {
            return Step::Go;
        }
        if let Some(errno) = errno {
            return Step::Fail(io::Error::from_raw_os_error(errno));
        }
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        Step::Vanish
    }))
}
