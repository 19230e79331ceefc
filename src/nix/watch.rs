//! Which files of a tree are opened while it is watched, as the kernel tells it through inotify.
//!
//! Source: inotify(7). A watch on a directory tells of every open of a file in it; watches do not reach below, so each
//! directory has one.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::tree::Tree;

/// The files that were opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Opened {
    /// Relative to the tree's root.
    pub(super) files: BTreeSet<PathBuf>,
    /// Whether more happened than the kernel's queue holds, so that files are missing.
    pub(super) overflowed: bool,
}

/// A watch over a tree.
#[derive(Debug)]
pub(super) struct Watch {
    queue: AsyncFd<OwnedFd>,
    directories: HashMap<i32, PathBuf>,
    opened: Opened,
}

impl Watch {
    /// A queue that watches nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        let queue = register(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        Ok(Self { queue, directories: HashMap::new(), opened: Opened::default() })
    }

    /// Watches every directory of `tree`, which is seen at `root`.
    pub(super) fn add(&mut self, tree: &Tree, root: &Path) -> io::Result<()> {
        for directory in tree.directories() {
            let flags = WatchFlags::OPEN | WatchFlags::ONLYDIR;
            let descriptor = inotify::add_watch(&self.queue, root.join(directory), flags)?;
            self.directories.insert(descriptor, directory.to_path_buf());
        }
        Ok(())
    }

    /// Waits until something happens, and takes it in.
    pub(super) async fn take_in(&mut self) -> io::Result<()> {
        let mut ready = self.queue.readable().await?;
        take_in(&self.queue, &self.directories, &mut self.opened)?;
        ready.clear_ready();
        Ok(())
    }

    /// What was opened up to now.
    pub(super) fn finish(mut self) -> io::Result<Opened> {
        take_in(&self.queue, &self.directories, &mut self.opened)?;
        Ok(self.opened)
    }
}

/// What an error of a watch means. The kernel's words for its limits are those of other limits.
pub(super) fn explain(error: &io::Error) -> String {
    use rustix::io::Errno;
    let limit = match error.raw_os_error() {
        Some(code) if code == Errno::MFILE.raw_os_error() => "fs.inotify.max_user_instances",
        Some(code) if code == Errno::NOSPC.raw_os_error() => "fs.inotify.max_user_watches",
        _ => return error.to_string(),
    };
    format!("this user's watches are used up; `sysctl {limit}` shows the limit")
}

#[expect(unsafe_code, reason = "the runtime trusts its callers not to close what they register")]
fn register(queue: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by the result, which nobody takes it out of, and so open for as long as that lives.
    Ok(unsafe { AsyncFd::register(queue) }?)
}

/// Takes all that waits out of the queue.
fn take_in(queue: &AsyncFd<OwnedFd>, directories: &HashMap<i32, PathBuf>, opened: &mut Opened) -> io::Result<()> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 8 * 1024];
    let mut reader = Reader::new(queue, &mut buffer);
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            opened.overflowed = true;
        }
        // What the shape of the tree tells of directories is all that reading one could tell.
        if event.events().contains(ReadFlags::ISDIR) {
            continue;
        }
        if let (Some(directory), Some(name)) = (directories.get(&event.wd()), event.file_name()) {
            use std::os::unix::ffi::OsStrExt as _;
            opened.files.insert(directory.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_watches_are_named() {
        let told = |errno: rustix::io::Errno| explain(&errno.into());
        assert!(told(rustix::io::Errno::MFILE).contains("max_user_instances"));
        assert!(told(rustix::io::Errno::NOSPC).contains("max_user_watches"));
        assert!(told(rustix::io::Errno::NOENT).contains("No such file"));
    }
}
