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
        let absolute = |key: &str| std::env::var_os(key).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        let base =
            base.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "neither XDG_STATE_HOME nor HOME is set"))?;
        Ok(Self(base.join("hubctl")))
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

    /// The runs that go on, and those that ended of late.
    pub fn runs(&self) -> Runs {
        Runs::at(self.0.join("runs"))
    }

    /// All of them.
    pub fn root(&self) -> &Path {
        &self.0
    }
}
