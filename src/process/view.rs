//! A child's own view of a directory: the same files, but through a mount that only this child and its children see.
//!
//! Whoever watches the directory through such a view is told of this child's doings and of nobody else's, however many
//! others read the same files at the same time.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

/// All that setting up a view takes, made before the fork: between fork and exec nothing may allocate.
#[derive(Debug)]
pub(super) struct View {
    directory: CString,
    options: CString,
    /// The lines that map the user to itself in a user namespace; none for root, who needs no such namespace.
    maps: Option<(String, String)>,
}

impl View {
    /// A view of `directory`. `empty` is an empty directory: a mount without a writable layer must have two others.
    pub(super) fn of(directory: &Path, empty: &Path) -> io::Result<Self> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let map = |id: u32| format!("{id} {id} 1\n");
        let maps = (!uid.is_root()).then(|| (map(uid.as_raw()), map(gid.as_raw())));
        let user = if maps.is_some() { ",userxattr" } else { "" };
        let options = format!("lowerdir={}:{}{user}", directory.display(), empty.display());
        Ok(Self { directory: CString::new(directory.as_os_str().as_bytes())?, options: CString::new(options)?, maps })
    }

    /// Sets it up in the calling process. Only system calls, as is required between fork and exec.
    pub(super) fn enter(&self) -> io::Result<()> {
        let user = if self.maps.is_some() { UnshareFlags::NEWUSER } else { UnshareFlags::empty() };
        unshare(UnshareFlags::NEWNS | user)?;
        if let Some((uid, gid)) = &self.maps {
            write(c"/proc/self/setgroups", b"deny")?;
            write(c"/proc/self/uid_map", uid.as_bytes())?;
            write(c"/proc/self/gid_map", gid.as_bytes())?;
        }
        mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        mount(c"overlay", &*self.directory, c"overlay", MountFlags::RDONLY, &*self.options)?;
        Ok(())
    }
}

#[expect(
    unsafe_code,
    reason = "leaving namespaces is a matter of the whole process, which here is a child about to exec"
)]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: the flags name namespaces only; the child has one thread, and shares no file descriptor table.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

fn write(path: &std::ffi::CStr, bytes: &[u8]) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes)?;
    Ok(())
}
