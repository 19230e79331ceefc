//! The content of secrets, on its way in and out: never copied to where it is not wiped.

use std::io::{self, Read};

use rustix::fd::AsFd;
use zeroize::Zeroizing;

use crate::error::{Error, Kind, Result};

/// How large a content may be that is held in memory, in bytes.
const MAX: usize = 256 * 1024 * 1024;

/// Reads all there is.
pub(super) fn read(mut from: impl Read) -> Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(vec![0; 64 * 1024]);
    let mut length = 0;
    loop {
        if length == content.len() {
            if length >= MAX {
                return Err(Error::message(Kind::Usage, "a secret of more than 256 MiB is not taken")
                    .hint("encrypt it with `age`; hubctl only has to know its rule"));
            }
            // What grows is copied, and the old copy wiped.
            let mut larger = Zeroizing::new(vec![0; length * 2]);
            larger[..length].copy_from_slice(&content);
            content = larger;
        }
        match from.read(&mut content[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new(Kind::Failed, error)),
        }
    }
    content.truncate(length);
    Ok(content)
}

/// Writes all of it, with nothing in between that would keep it.
pub(super) fn write(to: impl AsFd, mut content: &[u8]) -> io::Result<()> {
    while !content.is_empty() {
        match rustix::io::write(&to, content) {
            Ok(written) => content = &content[written..],
            Err(rustix::io::Errno::INTR) => {}
            // Whoever read it went away, and wants no more.
            Err(rustix::io::Errno::PIPE) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether there is nothing in it but white space.
pub(super) fn is_blank(content: &[u8]) -> bool {
    content.trim_ascii().is_empty()
}
