//! Where hubctl keeps things between runs.

use std::io;
use std::path::{Path, PathBuf};

use super::runs::Runs;

/// The directories below `$XDG_STATE_HOME/hubctl`.
#[derive(Clone, Debug)]
pub struct StateDirs(PathBuf);

impl StateDirs {
    /// The directories of this user: below `$XDG_STATE_HOME`, or `~/.local/state` where that is not set.
    pub fn of_user() -> io::Result<Self> {
        Ok(Self(below("XDG_STATE_HOME", ".local/state")?))
    }

    /// The directories below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// The whole logs of one deployment, one file per host.
    pub fn logs(&self, deployment: &str) -> PathBuf {
        self.0.join("logs").join(deployment)
    }

    /// The roots that keep what a run works with from being collected.
    pub fn gcroots(&self) -> PathBuf {
        self.0.join("gcroots")
    }

    /// What `lint` saw in the files of flakes, one file each.
    pub fn lint(&self) -> PathBuf {
        self.0.join("lint")
    }

    /// What is known of flakes' own formatters, one file each.
    pub fn formatters(&self) -> PathBuf {
        self.0.join("formatters")
    }

    /// The runs that go on, and those that ended of late.
    pub fn runs(&self) -> Runs {
        Runs::at(self.0.join("runs"))
    }

    /// The index of the options of a flake's inputs, which `locks`, the text of its lock file, tells from others.
    pub fn options(flake: &Path, locks: &str) -> io::Result<PathBuf> {
        let key = blake3::hash(format!("{}\0{locks}", flake.display()).as_bytes()).to_hex();
        Ok(below("XDG_CACHE_HOME", ".cache")?.join("options").join(format!("{key}.txt")))
    }

    /// What is known of the version of Nix.
    pub fn nix_version() -> io::Result<PathBuf> {
        Ok(below("XDG_CACHE_HOME", ".cache")?.join("nix-version"))
    }

    /// All of them.
    pub fn root(&self) -> &Path {
        &self.0
    }
}

/// hubctl's directory in the one that a variable names, or in `fallback` of the user's home.
fn below(key: &str, fallback: &str) -> io::Result<PathBuf> {
    let absolute = |key: &str| std::env::var_os(key).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(key).or_else(|| absolute("HOME").map(|home| home.join(fallback)));
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("neither {key} nor HOME is set"));
    Ok(base.ok_or_else(missing)?.join("hubctl"))
}
