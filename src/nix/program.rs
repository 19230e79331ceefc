//! The `nix` program: found once, asked its version once, and the beginning of every command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::known_version::KnownVersion;
use super::own_cache::own_cache;
use super::store_db::StoreDb;
use super::store_path::StorePath;
use super::version::Version;
use crate::process::{Cancel, Cmd, Failure};

/// The features that hubctl's calls of Nix need.
const FEATURES: &str = "nix-command flakes";

/// How long Nix may take to tell of itself.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// What the user wants every call of Nix to be told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// `--option NAME VALUE`.
    pub options: Vec<(String, String)>,
    /// `--override-input INPUT REF`; for commands that read the flake.
    pub override_inputs: Vec<(String, String)>,
    /// `--impure`; for commands that evaluate.
    pub impure: bool,
    /// `--builders SPEC`: Nix's remote builders in place of those that its configuration names; for commands that build, or may
    /// do so while they evaluate. No answer depends on it.
    pub builders: Option<String>,
}

/// The `nix` program.
#[derive(Clone, Debug)]
pub struct Nix {
    program: PathBuf,
    version: Version,
    settings: Settings,
    /// Where commands have caches of their own.
    caches: Option<PathBuf>,
    /// What builds are told beside the user's settings, and after them.
    build_options: Vec<(String, String)>,
    /// The database of this machine's store, where it may be read.
    db: Option<Arc<StoreDb>>,
    /// All settings as JSON, once they are known.
    effective: Arc<OnceCell<String>>,
}

/// Why Nix cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NixError {
    /// There is no `nix` on PATH.
    #[error("`nix` is not on PATH")]
    NotFound,
    /// It does not run.
    #[error("`nix --version` failed")]
    Failed(#[source] Failure),
    /// It is too old, or none that is known.
    #[error("`nix --version` says `{0}`, which hubctl does not support")]
    Unsupported(String),
}

impl Settings {
    /// The flags for commands that read no flake.
    fn flags(&self) -> impl Iterator<Item = &str> {
        flags(&self.options)
    }

    /// The flags for commands that lock a flake and evaluate it, `nixos-rebuild` among them.
    pub fn flake_flags(&self) -> impl Iterator<Item = &str> {
        let overrides = self.override_inputs.iter().flat_map(|(input, flake)| ["--override-input", input, flake]);
        self.flags().chain(overrides).chain(self.impure.then_some("--impure")).chain(self.builder_flags())
    }

    /// The flags for commands that build.
    pub(super) fn builder_flags(&self) -> impl Iterator<Item = &str> {
        self.builders.iter().flat_map(|builders| ["--option", "builders", builders])
    }
}

/// What `nix --version` prints.
async fn printed_version(program: &Path, known: Option<&KnownVersion>, cancel: &Cancel) -> Result<String, NixError> {
    if let Some(printed) = known.and_then(KnownVersion::read) {
        return Ok(printed);
    }
    let version = Cmd::new(program).arg("--version").ends_by_itself().deadline(ANSWERS_WITHIN);
    let printed = version.output(cancel).await.map_err(NixError::Failed)?.text();
    if let Some(known) = known.filter(|_| Version::parse(&printed).is_some()) {
        known.keep(&printed);
    }
    Ok(printed)
}

fn flags(options: &[(String, String)]) -> impl Iterator<Item = &str> {
    options.iter().flat_map(|(name, value)| ["--option", name, value])
}

impl NixError {
    /// What helps.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotFound => "install Nix (https://nixos.org/download), or put its bin directory on PATH",
            Self::Failed(_) => "run `nix --version` to see what is wrong with it",
            Self::Unsupported(_) => "hubctl works with Nix 2.8 and newer, and with Lix",
        }
    }
}

impl Nix {
    /// Finds `nix` on PATH and asks its version, and at the same time for its settings, which nearly every command wants next. The
    /// version is not asked again as long as `kept`, a file, has it of the same program.
    pub async fn detect(settings: Settings, kept: Option<&Path>, cancel: &Cancel) -> Result<Self, NixError> {
        let program = which::which("nix").map_err(|_| NixError::NotFound)?;
        let known = kept.and_then(|kept| KnownVersion::new(kept, &program));
        let all_settings = bare_cmd(&program, Version::OLD_SHOW_CONFIG).args(settings.flags()).deadline(ANSWERS_WITHIN);
        let (printed, all_settings) =
            tokio::join!(printed_version(&program, known.as_ref(), cancel), all_settings.output(cancel));
        let printed = printed?;
        // Where this did not work, they are asked for again when they are wanted, by the version's own name for them.
        let all_settings = all_settings.ok().map(|output| output.text());
        match Version::parse(&printed) {
            Some(version) if version.is_supported() => Ok(Self {
                program,
                version,
                settings,
                caches: None,
                build_options: Vec::new(),
                db: None,
                effective: Arc::new(OnceCell::new_with(all_settings)),
            }),
            _ => Err(NixError::Unsupported(printed)),
        }
    }

    /// The same Nix, whose commands that read a flake have caches of their own below `directory`, where this version would not
    /// read again what is in the user's.
    #[must_use]
    pub fn caching_in(self, directory: &Path) -> Self {
        let caches = self.version.remembers_copies().then(|| directory.to_path_buf());
        Self { caches, ..self }
    }

    /// The same Nix, whose store is read in place where its setting `store` says that it is this machine's.
    #[must_use]
    pub fn with_store(self, store: Option<&str>) -> Self {
        Self { db: store.and_then(StoreDb::open).map(Arc::new), ..self }
    }

    /// The database of this machine's store, where it may be read.
    pub(super) fn db(&self) -> Option<&StoreDb> {
        self.db.as_deref()
    }

    /// A command that reads a flake, with a cache of its own if it needs one.
    pub(super) fn with_own_cache(&self, cmd: Cmd) -> Result<Cmd, Failure> {
        let Some(caches) = &self.caches else { return Ok(cmd) };
        let cache = own_cache(caches).map_err(|error| cmd.failed_to_start(error))?;
        Ok(cmd.env("NIX_CACHE_HOME", cache))
    }

    /// The version of Nix.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// What the user wants Nix to be told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same Nix, with more settings for builds. They come after all others, and so win.
    #[must_use]
    pub fn building_with(mut self, options: impl IntoIterator<Item = (String, String)>) -> Self {
        self.build_options.extend(options);
        self
    }

    /// What builds are told beside the user's settings, and after them.
    pub fn build_options(&self) -> &[(String, String)] {
        &self.build_options
    }

    /// `nix SUBCOMMAND` for commands that build.
    pub(super) fn build_cmd(&self, subcommand: &[&str]) -> Cmd {
        let cmd = self.cmd(subcommand).args(flags(&self.build_options));
        // These may be what a flake asks for, who had other commands in mind.
        let replaced = self.build_options.iter().any(|(name, _)| name == "experimental-features");
        if replaced { cmd.args(["--extra-experimental-features", FEATURES]) } else { cmd }
    }

    /// `nix SUBCOMMAND` with what every call needs, for commands that read no flake.
    pub(super) fn cmd(&self, subcommand: &[&str]) -> Cmd {
        self.bare_cmd(subcommand).args(self.settings.flags())
    }

    /// Lists what takes a path of the store, directly or not, with the path itself.
    pub(super) fn takers(&self, path: &StorePath) -> Cmd {
        self.store_cmd().args(["--query", "--referrers-closure", path.as_str()]).deadline(Duration::from_secs(5 * 60))
    }

    /// Lists the outputs of derivations, built or not.
    pub(super) fn outputs(&self, derivations: &[&str]) -> Cmd {
        self.store_cmd()
            .args(["--query", "--outputs"])
            .args(derivations.iter().copied())
            .deadline(Duration::from_secs(60))
    }

    /// Keeps a path of the store from being collected for as long as there is a link at `root`.
    pub(super) fn add_root(&self, path: &StorePath, root: &Path) -> Cmd {
        self.store_cmd()
            .args(["--realise", path.as_str(), "--indirect", "--add-root"])
            .arg(root)
            .deadline(Duration::from_secs(60))
    }

    /// Prints those of `paths` that are not valid.
    pub(super) fn invalid_among<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Cmd {
        self.store_cmd().args(["--check-validity", "--print-invalid"]).args(paths).deadline(Duration::from_secs(60))
    }

    /// Prints those of `paths` that another store does not have, as it is now and not as it was when it was asked last.
    pub(super) fn invalid_in<'a>(&self, store: &str, paths: impl IntoIterator<Item = &'a str>) -> Cmd {
        let fresh = ["narinfo-cache-positive-ttl", "narinfo-cache-negative-ttl"];
        self.store_cmd()
            .args(["--store", store])
            .args(fresh.iter().flat_map(|setting| ["--option", setting, "0"]))
            .args(["--check-validity", "--print-invalid"])
            .args(paths)
            .deadline(Duration::from_secs(5 * 60))
    }

    /// `nix-store`, which is installed beside `nix`.
    fn store_cmd(&self) -> Cmd {
        Cmd::new(self.program.with_file_name("nix-store"))
    }

    /// All settings that Nix goes by, from its files, the environment and the command line, as JSON.
    pub async fn effective_settings(&self, cancel: &Cancel) -> Result<&str, Failure> {
        let ask = || async {
            let cmd = self.cmd(self.version.show_config()).deadline(ANSWERS_WITHIN);
            Ok(cmd.output(cancel).await?.text())
        };
        self.effective.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The settings that builds go by, as JSON.
    pub(super) async fn effective_build_settings(&self, cancel: &Cancel) -> Result<String, Failure> {
        if self.build_options.is_empty() {
            return self.effective_settings(cancel).await.map(str::to_owned);
        }
        let cmd = self.build_cmd(self.version.show_config()).deadline(ANSWERS_WITHIN);
        Ok(cmd.output(cancel).await?.text())
    }

    /// `nix SUBCOMMAND` for commands that read the flake.
    pub(super) fn flake_cmd(&self, subcommand: &[&str]) -> Cmd {
        self.bare_cmd(subcommand).args(self.settings.flake_flags())
    }

    fn bare_cmd(&self, subcommand: &[&str]) -> Cmd {
        bare_cmd(&self.program, subcommand)
    }
}

fn bare_cmd(program: &Path, subcommand: &[&str]) -> Cmd {
    Cmd::new(program).args(["--extra-experimental-features", FEATURES]).args(subcommand)
}
