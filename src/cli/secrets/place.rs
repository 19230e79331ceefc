//! The repository at hand: its rules, its secrets, and the keys of whoever runs this.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Keys;
use super::ask::Terminal;
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::secrets::age::{Ask, Identities};
use crate::secrets::transaction::{Disk, Recovered, Store};
use crate::secrets::{Rules, SecretsError, Vault, state_dir};

/// The repository at hand.
pub(super) struct Place {
    pub(super) root: PathBuf,
    pub(super) rules: Rules,
    pub(super) vault: Vault,
    ask: Arc<dyn Ask>,
}

impl Place {
    /// Finds the repository and reads its rules, after what an earlier run left half-done was seen to.
    pub(super) async fn of(hub: &Hub) -> Result<Self> {
        let root = repository(hub)?;
        let file = Rules::find(&root).map_err(told)?;
        let dir = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Self::with_rules(hub, root, &file, &dir).await
    }

    /// As [`Place::of`], with the rules in `file`, which name paths below `dir`. Both are below `root`, in which nothing is left
    /// half-done.
    pub(super) async fn with_rules(hub: &Hub, root: PathBuf, file: &Path, dir: &Path) -> Result<Self> {
        let ask = ask(hub);
        let cache = hub.state()?.1.root().join("rules");
        let cache = (!hub.global.no_cache).then_some(cache.as_path());
        let rules = Rules::read_for(&root, file, dir, cache, &hub.cancel).await;
        hub.not_stopped()?;
        let vault = Vault::new(&root, ask.clone());
        Ok(Self { root, rules: rules.map_err(told)?, vault, ask })
    }

    /// The files, to be changed by nobody else meanwhile.
    pub(super) fn store(&self, hub: &Hub) -> Result<Store> {
        store(hub, &self.root)
    }

    /// The private keys to use: those that are named, or else the user's own ssh keys, as far as they can be used.
    pub(super) fn identities(&self, hub: &Hub, keys: &Keys) -> Result<Identities> {
        let mut identities = Identities::new(self.ask.clone());
        for file in &keys.identities {
            identities.add_file(file, Some(&self.root)).map_err(|error| {
                let hint = error.hint();
                Error::new(Kind::Usage, error).hints(hint)
            })?;
        }
        let home = std::env::var_os("HOME").filter(|_| keys.identities.is_empty()).map(PathBuf::from);
        for file in home.into_iter().flat_map(|home| ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name)))
        {
            if !file.exists() {
                continue;
            }
            if let Err(error) = identities.add_file(&file, Some(&self.root)) {
                hub.ui.warning(&error.to_string(), error.hint().as_deref());
            }
        }
        Ok(identities)
    }
}

/// Whom passphrases are asked of.
pub(super) fn ask(hub: &Hub) -> Arc<dyn Ask> {
    Arc::new(Terminal::new(hub.ui.clone()))
}

/// What happened as the user is told it.
pub(super) fn told(error: SecretsError) -> Error {
    let (kind, hints) = (error.kind(), error.hints());
    Error::new(kind, error).hints(hints)
}

/// Does `work`, which may take a while or ask for a passphrase, on a thread of its own, so that signals are heard meanwhile.
pub(super) async fn aside<T: Send + 'static>(
    hub: &Hub,
    work: impl FnOnce() -> std::result::Result<T, SecretsError> + Send + 'static,
) -> Result<T> {
    let working = tokio::task::spawn_blocking(work);
    let done = hub.unless_stopped(async { Ok(working.await) }).await?;
    done.map_err(|error| Error::new(Kind::Failed, error))?.map_err(told)
}

/// The root of the repository, after what an earlier run left half-done was seen to.
pub(super) fn repository(hub: &Hub) -> Result<PathBuf> {
    let flake = hub.flake()?;
    let Some(root) = flake.root() else {
        return Err(Error::message(Kind::Usage, format!("{flake} is no directory on this machine"))
            .hint("fetch it, and name the directory with --flake"));
    };
    begin(hub, root)?;
    Ok(root.to_path_buf())
}

/// Makes this process fit to hold secrets, and sees to what an earlier run left half-done below `root`.
pub(super) fn begin(hub: &Hub, root: &Path) -> Result<()> {
    harden();
    if Store::is_left(&state_dir(root)) {
        store(hub, root)?;
    }
    Ok(())
}

/// The files below `root`, to be changed by nobody else meanwhile.
pub(super) fn store(hub: &Hub, root: &Path) -> Result<Store> {
    let store = Store::open(root, &state_dir(root), Disk::of_environment()).map_err(told)?;
    match store.recovered() {
        Recovered::Nothing => {}
        Recovered::Finished(files) => {
            hub.ui.status(&format!("an earlier run was killed while it changed {}; that is finished now", list(files)));
        }
        Recovered::TakenBack(files) => {
            hub.ui.status(&format!("an earlier run was killed before it changed {}; that is taken back", list(files)));
        }
    }
    Ok(store)
}

fn list(files: &[PathBuf]) -> String {
    match files {
        [file] => file.display().to_string(),
        files => format!("{} files", files.len()),
    }
}

/// Keeps what this process holds in memory from being written to disk when it crashes, and from other processes.
fn harden() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Where the system does not allow it, the secrets are as safe as in any other program.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}
