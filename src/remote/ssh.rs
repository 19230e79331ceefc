//! Targets behind ssh: one multiplexed connection per target, shared with Nix's own ssh and with the next runs.
//!
//! The connection's master is OpenSSH's (`ssh -M`), started with what the user's configuration says and with a control
//! socket of a fixed name in a private directory; commands go through it with the `openssh` crate.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use openssh::Session;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::connection::{Connect, ConnectError, Connection};
use super::local::LocalConnection;
use super::ssh_connection::{SshConnection, close_master, is_alive};
use super::ssh_options::SshOptions;
use super::target::{SshTarget, Target};
use crate::nix::{SshAccess, StoreUri};
use crate::process::{Cancel, Cmd};

/// How many commands of this run one master carries at once. sshd allows ten (`MaxSessions`), of which Nix and other runs of
/// hubctl need some.
const SESSIONS: usize = 6;

/// Makes connections by ssh, and to this machine.
#[derive(Debug)]
pub struct SshConnector {
    options: SshOptions,
    /// The sockets that were used, each with the turns at its master.
    opened: Mutex<BTreeMap<PathBuf, Arc<Semaphore>>>,
    /// The connections that are being made before they are asked for, by their sockets.
    early: Mutex<BTreeMap<PathBuf, JoinHandle<Result<Master, ConnectError>>>>,
}

/// The master of a connection: started by this run, or there from before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Master {
    New,
    Reused,
}

impl SshConnector {
    /// Connections made with `options`.
    pub fn new(options: SshOptions) -> Self {
        Self { options, opened: Mutex::default(), early: Mutex::default() }
    }

    /// How it connects.
    pub fn options(&self) -> &SshOptions {
        &self.options
    }

    /// The control socket of the master for `target`: the same in every run that would connect in the same way.
    fn control_path(&self, target: &SshTarget) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        (target, &self.options.config_file).hash(&mut hasher);
        self.options.control_dir.join(format!("{:016x}", hasher.finish()))
    }

    /// The turns at the master behind `control_path`, the same for all who use it.
    fn sessions(&self, control_path: &Path) -> Arc<Semaphore> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.entry(control_path.to_path_buf()).or_insert_with(|| Arc::new(Semaphore::new(SESSIONS))).clone()
    }

    /// Begins to connect to `target`, so that the connection is there, or nearly, when it is asked for: whoever connects first
    /// gets what came of it. Does nothing where connections are not kept, since nobody may ever ask for this one.
    pub fn connect_early(self: &Arc<Self>, target: &Target, cancel: &Cancel) {
        let Target::Ssh(target) = target else { return };
        if self.options.persist.is_zero() {
            return;
        }
        let socket = self.control_path(target);
        let (connector, target, cancel) = (self.clone(), target.clone(), cancel.clone());
        let connecting = {
            let socket = socket.clone();
            async move { connector.master(&target, &socket, &cancel).await }
        };
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        early.entry(socket).or_insert_with(|| tokio::spawn(connecting));
    }

    /// The command that opens a shell for a person at `target`: their own one on this machine, and the login shell elsewhere.
    pub fn shell(&self, target: &Target) -> Cmd {
        match target {
            Target::Local => Cmd::new(std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())),
            Target::Ssh(ssh) => self.options.shell_command(ssh, &self.control_path(ssh)),
        }
    }

    /// What came of connecting early, where that was begun and not asked for yet.
    async fn early_master(&self, socket: &Path) -> Option<Result<Master, ConnectError>> {
        let early = self.early.lock().unwrap_or_else(PoisonError::into_inner).remove(socket)?;
        early.await.ok()
    }

    async fn connect_ssh(&self, target: &SshTarget, cancel: &Cancel) -> Result<SshConnection, ConnectError> {
        let control_path = self.control_path(target);
        let master = match self.early_master(&control_path).await {
            Some(early) => early?,
            None => self.master(target, &control_path, cancel).await?,
        };
        Ok(SshConnection {
            session: Session::resume_mux(control_path.clone().into_boxed_path(), None),
            store: self.store(target, &control_path),
            sessions: self.sessions(&control_path),
            is_kept: !self.options.persist.is_zero(),
            unproven: AtomicBool::new(master == Master::Reused),
        })
    }

    /// Sees to it that a master listens at `socket`.
    async fn master(&self, target: &SshTarget, socket: &Path, cancel: &Cancel) -> Result<Master, ConnectError> {
        if is_alive(socket).await {
            return Ok(Master::Reused);
        }
        let _lock = self.lock(socket, target, cancel).await?;
        // Another run may have made the connection while this one waited for the lock.
        if is_alive(socket).await {
            return Ok(Master::Reused);
        }
        self.launch(target, socket, cancel).await?;
        Ok(Master::New)
    }

    /// Keeps two runs from starting a master at the same socket. The lock ends with the process that holds it.
    async fn lock(&self, socket: &Path, target: &SshTarget, cancel: &Cancel) -> Result<fs::File, ConnectError> {
        let failed = |error: io::Error| self.options.other_error(target, error.to_string());
        let file = fs::File::create(socket.with_extension("lock")).map_err(failed)?;
        let wait = async {
            while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = wait => {}
            () = cancel.reached(crate::process::Level::Soft) => return Err(ConnectError::Cancelled),
        }
        Ok(file)
    }

    async fn launch(&self, target: &SshTarget, socket: &Path, cancel: &Cancel) -> Result<(), ConnectError> {
        // What a master that died leaves behind would keep the new one from listening.
        match fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.options.other_error(target, error.to_string()));
            }
            _ => {}
        }
        let launched = self.options.master_command(target, socket).output(cancel).await;
        launched.map(drop).map_err(|failure| self.options.connect_error(target, &failure))
    }

    fn store(&self, target: &SshTarget, control_path: &Path) -> StoreUri {
        let user = target.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        StoreUri {
            schemes: vec!["ssh-ng", "ssh"],
            rest: format!("{user}{}", target.uri_host()),
            ssh: Some(SshAccess {
                host: target.host.clone(),
                control_path: control_path.to_path_buf(),
                config_file: self.options.config_file.clone(),
            }),
            programs: None,
        }
    }
}

#[async_trait]
impl Connect for SshConnector {
    async fn connect(&self, target: &Target, cancel: &Cancel) -> Result<Arc<dyn Connection>, ConnectError> {
        Ok(match target {
            Target::Local => Arc::new(LocalConnection),
            Target::Ssh(ssh) => Arc::new(self.connect_ssh(ssh, cancel).await?),
        })
    }

    async fn close(&self) {
        if !self.options.persist.is_zero() {
            return;
        }
        let opened = std::mem::take(&mut *self.opened.lock().unwrap_or_else(PoisonError::into_inner));
        for socket in opened.into_keys() {
            close_master(&socket).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ssh_options::HostKeys;
    use super::*;

    #[test]
    fn the_socket_depends_on_the_way_of_connecting() {
        let connector = SshConnector::new(SshOptions {
            config_file: None,
            persist: Duration::from_secs(60),
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(10),
            control_dir: "/run/c".into(),
        });
        let target =
            |user: Option<&str>| SshTarget { host: "p620".to_owned(), user: user.map(str::to_owned), port: Some(2222) };
        assert_eq!(connector.control_path(&target(None)), connector.control_path(&target(None)));
        assert_ne!(connector.control_path(&target(None)), connector.control_path(&target(Some("root"))));
    }
}
