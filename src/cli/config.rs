//! `hub.toml` as commands see it: read once, with its defaults where there is none.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use crate::error::{Error, Kind, Result};
use crate::fleet::KeepPolicy;
use crate::fleet::config::{Cache, ConfigErrors, Deploy, HubToml, Lint, Metrics, Nix, Ssh};
use crate::nix::FlakeRef;

/// `hub.toml`, or its defaults where there is none.
pub(super) struct Config {
    pub(super) root: Option<PathBuf>,
    pub(super) file: Option<HubToml>,
}

impl Config {
    /// The `hub.toml` at the root of a local flake.
    pub(super) fn of(flake: &FlakeRef) -> Result<Self> {
        let Some(root) = flake.root() else { return Ok(Self { root: None, file: None }) };
        let file = read_hub_toml(&root.join("hub.toml"))?;
        Ok(Self { root: Some(root.to_path_buf()), file })
    }

    pub(super) fn ssh(&self) -> Ssh {
        self.file.as_ref().map(|file| file.ssh().clone()).unwrap_or_default()
    }

    pub(super) fn deploy(&self) -> Deploy {
        self.file.as_ref().map(|file| file.deploy().clone()).unwrap_or_default()
    }

    pub(super) fn nix(&self) -> Nix {
        self.file.as_ref().map(|file| file.nix().clone()).unwrap_or_default()
    }

    pub(super) fn cache(&self) -> Cache {
        self.file.as_ref().map(|file| file.cache().clone()).unwrap_or_default()
    }

    pub(super) fn gc(&self) -> KeepPolicy {
        self.file.as_ref().map(HubToml::gc).unwrap_or_default()
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.file.as_ref().map(|file| file.metrics().clone()).unwrap_or_default()
    }

    pub(super) fn lint(&self) -> Lint {
        self.file.as_ref().map(|file| file.lint().clone()).unwrap_or_default()
    }

    /// The hub's root, where it is on this machine.
    pub(super) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The key that signs what is pushed to the cache.
    pub(super) fn cache_key_file(&self) -> Option<PathBuf> {
        let file = self.cache().secret_key_file?;
        Some(self.root.as_ref().map_or_else(|| file.clone(), |root| root.join(&file)))
    }

    /// How many evaluations run at once: two more than there are cores, unless `hub.toml` says it. One that begins, ends or waits
    /// for the disk leaves its core to another.
    pub(super) fn evaluations_at_once(&self) -> usize {
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        self.nix().eval_jobs.map_or(cores + 2, NonZeroUsize::get)
    }

    /// `hub.toml`, where there is one.
    pub(super) fn file(&self) -> Option<&HubToml> {
        self.file.as_ref()
    }
}

/// Wraps what is wrong with `hub.toml`, which brings its own excerpts and hints.
pub(super) fn config_error(errors: &ConfigErrors) -> Error {
    Error::message(Kind::Config, errors.render(false).trim_end())
}

pub(super) fn read_hub_toml(path: &Path) -> Result<Option<HubToml>> {
    match fs::read_to_string(path) {
        Ok(text) => HubToml::parse(&text, path).map(Some).map_err(|errors| config_error(&errors)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::message(Kind::Config, format!("{} cannot be read: {error}", path.display()))),
    }
}
