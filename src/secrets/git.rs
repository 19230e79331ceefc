//! What git makes of secrets: files that it ignores or does not know are not in the flake.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Cancel, Cmd};

/// How long git may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// What git knows of the files of secrets.
#[derive(Clone, Debug, Default)]
pub struct InGit {
    tracked: BTreeSet<PathBuf>,
    ignored: BTreeSet<PathBuf>,
}

impl InGit {
    /// Whether git knows this file.
    pub fn is_tracked(&self, path: &Path) -> bool {
        self.tracked.contains(path)
    }

    /// Whether git is told to leave this file alone.
    pub fn is_ignored(&self, path: &Path) -> bool {
        self.ignored.contains(path)
    }
}

/// Asks git about `paths` below `root`; nothing where there is no git.
pub async fn git_state(root: &Path, paths: &[PathBuf], cancel: &Cancel) -> Option<InGit> {
    if !root.ancestors().any(|dir| dir.join(".git").exists()) || paths.is_empty() {
        return None;
    }
    let lines: Vec<u8> = paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
    let git = |words: &[&str]| {
        Cmd::new("git").ends_by_itself().arg("-C").arg(root).args(words).env("LC_ALL", "C").deadline(DEADLINE)
    };
    let listed = git(&["ls-files", "-z", "--cached"]);
    // It exits with 1 where it ignores none of them.
    let ignored = git(&["check-ignore", "-z", "--stdin", "--no-index"]).stdin(lines);
    let (listed, ignored) = tokio::join!(listed.output(cancel), ignored.output(cancel));
    let split = |bytes: &[u8]| bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty()).map(path).collect();
    Some(InGit {
        tracked: split(&listed.ok()?.stdout),
        ignored: ignored.map(|output| split(&output.stdout)).unwrap_or_default(),
    })
}

/// Where hubctl keeps what it needs while it changes secrets: within git's own directory, which is no part of the flake.
pub fn state_dir(root: &Path) -> PathBuf {
    let Some(top) = root.ancestors().find(|dir| dir.join(".git").exists()) else { return root.join(".hubctl/secrets") };
    let git = top.join(".git");
    // In a work tree of its own it is a file that says where git's directory is.
    let elsewhere = fs::read_to_string(&git).ok();
    let elsewhere =
        elsewhere.as_deref().and_then(|text| text.strip_prefix("gitdir: ")).map(|dir| top.join(dir.trim_end()));
    let below = root.strip_prefix(top).unwrap_or(Path::new("")).to_string_lossy().replace('/', "%");
    elsewhere.unwrap_or(git).join("hubctl").join(format!("secrets%{below}"))
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
