//! git, as far as a flake's work tree is concerned.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::Cmd;

/// How long git may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What makes git look at another repository, or another state of it, than newer versions of Nix do.
pub(super) const ENVIRONMENT: &[&str] =
    &["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"];

/// Settings that keep git from taking a file that changed for one that did not.
const SETTINGS: &[&str] =
    &["core.fileMode=true", "core.trustctime=true", "core.checkStat=default", "core.fsmonitor=false"];

/// git, asked about the repository of a directory.
pub(super) fn git(root: &Path, words: &[&str]) -> Cmd {
    Cmd::new("git")
        .ends_by_itself()
        .args(["--no-optional-locks", "-C"])
        .arg(root)
        .args(SETTINGS.iter().flat_map(|setting| ["-c", setting]))
        .args(words)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .deadline(DEADLINE)
}

/// Whether the environment has git look elsewhere than the directory says.
pub(super) fn is_redirected() -> bool {
    ENVIRONMENT.iter().any(|key| std::env::var_os(key).is_some())
}

/// The parts of git's output that end with `at`.
pub(super) fn split(output: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    output.split(move |byte| *byte == at).filter(|line| !line.is_empty())
}

/// A path as git prints it.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Whether there is no such file, because it or a directory above it is gone or is something else now.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
