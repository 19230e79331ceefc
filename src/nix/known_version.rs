//! What `nix --version` printed, kept for as long as the program is the same one: to start Nix takes longer than all else of a
//! command that finds nothing to do.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::files;

/// What a version is kept of, and where.
#[derive(Debug)]
pub(super) struct KnownVersion {
    file: PathBuf,
    /// What tells the program from any other.
    of: String,
}

impl KnownVersion {
    /// Keeps the version of `program` in `file`. None for a program that may start another one, whose version would be that one's.
    pub(super) fn new(file: &Path, program: &Path) -> Option<Self> {
        Some(Self { file: file.to_path_buf(), of: identity(program).ok()?? })
    }

    /// What is kept, if it is of this program.
    pub(super) fn read(&self) -> Option<String> {
        let kept = fs::read_to_string(&self.file).ok()?;
        kept.split_once('\n').filter(|(of, _)| *of == self.of).map(|(_, printed)| printed.to_owned())
    }

    /// Keeps what it printed. Losing it costs time and nothing else.
    pub(super) fn keep(&self, printed: &str) {
        if let Err(error) = self.write(printed) {
            tracing::debug!(%error, "the version of Nix is not kept");
        }
    }

    fn write(&self, printed: &str) -> io::Result<()> {
        files::keep(&self.file, format!("{}\n{printed}", self.of).as_bytes())
    }
}

/// How programs begin that are code of their own: those of Linux and of macOS.
const CODE: [[u8; 4]; 3] = [*b"\x7fELF", [0xcf, 0xfa, 0xed, 0xfe], [0xca, 0xfe, 0xba, 0xbe]];

fn identity(program: &Path) -> io::Result<Option<String>> {
    let path = program.canonicalize()?;
    let mut begin = [0; 4];
    let mut file = File::open(&path)?;
    file.read_exact(&mut begin)?;
    // What is in a store never changes, and what it starts is in a store as well.
    if !CODE.contains(&begin) && !path.starts_with("/nix/store") {
        return Ok(None);
    }
    let about = file.metadata()?;
    let (len, mtime, nsec) = (about.len(), about.mtime(), about.mtime_nsec());
    let (dev, ino, ctime) = (about.dev(), about.ino(), about.ctime());
    Ok(Some(format!("{} {len} {mtime}.{nsec} {dev} {ino} {ctime}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_of_the_very_program() {
        let dir = tempfile::tempdir().unwrap();
        let (program, kept) = (dir.path().join("nix"), dir.path().join("a/kept"));
        fs::copy("/proc/self/exe", &program).unwrap();
        let known = KnownVersion::new(&kept, &program).unwrap();
        assert_eq!(known.read(), None);
        known.keep("nix (Nix) 2.8.0\n");
        assert_eq!(KnownVersion::new(&kept, &program).unwrap().read().as_deref(), Some("nix (Nix) 2.8.0\n"));
        fs::remove_file(&program).unwrap();
        fs::copy("/proc/self/exe", &program).unwrap();
        assert_eq!(KnownVersion::new(&kept, &program).unwrap().read(), None);
    }

    #[test]
    fn what_may_start_another_program_has_no_version_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("nix");
        fs::write(&script, "#!/bin/sh\nexec /opt/nix/bin/nix \"$@\"\n").unwrap();
        assert!(KnownVersion::new(&dir.path().join("kept"), &script).is_none());
        assert!(KnownVersion::new(&dir.path().join("kept"), &dir.path().join("none")).is_none());
    }
}
