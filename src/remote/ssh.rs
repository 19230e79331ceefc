//! Targets behind ssh: one multiplexed connection per target, shared with Nix's own ssh and with the next runs.
//!
//! The connection's master is OpenSSH's (`ssh -M`), started with what the user's configuration says and with a control
//! socket of a fixed name in a private directory; commands go through it with the `openssh` crate.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use openssh::{Session, Stdio};
use rustix::fs::{FlockOperation, flock};
use secrecy::ExposeSecret as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::connection::{Connect, ConnectError, Connection, Executed, Lost, Password};
use super::local::LocalConnection;
use super::target::{SshTarget, Target};
use crate::nix::{SshAccess, StoreUri};
use crate::process::{Cancel, Cmd, End, Failure, LineSink, for_each_line};

/// How many commands of this run one master carries at once. sshd allows ten (`MaxSessions`), of which Nix and other runs of
/// hubctl need some.
const SESSIONS: usize = 6;

/// How long to wait before a command is tried again for which the host has no session left, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How often the connection is checked, in seconds; three checks without an answer end it.
const ALIVE_INTERVAL: u32 = 5;

/// How much of a command's standard error is kept, in lines.
const STDERR_LINES: usize = 40;

/// How long a master may take to stop listening.
const RETIRE_DEADLINE: Duration = Duration::from_secs(2);

/// Which host keys ssh accepts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostKeys {
    /// Only those that the known hosts files hold.
    #[default]
    Strict,
    /// Those, and the first key of a host that no file knows, which is then added.
    AcceptNew,
}

/// How connections are made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SshOptions {
    /// An ssh configuration to use instead of the user's and the system's.
    pub config_file: Option<PathBuf>,
    /// How long an idle connection is kept after the run, for the next one; zero keeps none.
    pub persist: Duration,
    /// How unknown host keys are treated.
    pub host_keys: HostKeys,
    /// How long a host may take to answer.
    pub connect_timeout: Duration,
    /// Where control sockets are: a private directory with a short path.
    pub control_dir: PathBuf,
}

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

/// The private directory of this user for sockets: below `$XDG_RUNTIME_DIR`, or below `/tmp` where there is none. Made if
/// missing; refused when it is somebody else's or open to others.
pub fn private_runtime_dir() -> io::Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let dir = base.map_or_else(|| PathBuf::from(format!("/tmp/hubctl-{uid}")), |base| base.join("hubctl"));
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(&dir)?;
    if !metadata.is_dir() || metadata.uid() != uid || metadata.mode() & 0o077 != 0 {
        let message = format!("{} is not a private directory of this user; remove it", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(dir)
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
        let failed = |error: io::Error| self.other_error(target, error.to_string());
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
                return Err(self.other_error(target, error.to_string()));
            }
            _ => {}
        }
        let launched = self.master_command(target, socket).output(cancel).await;
        launched.map(drop).map_err(|failure| self.connect_error(target, &failure))
    }

    fn master_command(&self, target: &SshTarget, socket: &Path) -> Cmd {
        let seconds = |duration: Duration| duration.as_secs().max(1);
        let host_keys = match self.options.host_keys {
            HostKeys::Strict => "yes",
            HostKeys::AcceptNew => "accept-new",
        };
        // A connection that is to be closed after the run still needs a master that outlives the moment between two steps.
        let persist = if self.options.persist.is_zero() { 60 } else { seconds(self.options.persist) };
        let settings = [
            "BatchMode=yes".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            format!("ControlPersist={persist}"),
            format!("StrictHostKeyChecking={host_keys}"),
            format!("ConnectTimeout={}", seconds(self.options.connect_timeout)),
            format!("ServerAliveInterval={ALIVE_INTERVAL}"),
            "ServerAliveCountMax=3".to_owned(),
        ];
        let master = Cmd::new("ssh").env("LC_ALL", "C").args(["-M", "-N", "-f", "-S"]).arg(socket);
        let settings = settings.iter().flat_map(|setting| ["-o", setting]);
        self.towards(target, master.args(settings))
            // Name resolution and authentication are not part of ssh's own timeout.
            .deadline(self.options.connect_timeout + Duration::from_secs(10))
    }

    /// An ssh command that goes to `target`, by the configuration that this run uses.
    fn towards(&self, target: &SshTarget, ssh: Cmd) -> Cmd {
        let config = self.options.config_file.iter();
        let user = target.user.iter();
        let port = target.port.iter();
        ssh.args(config.flat_map(|file| [Path::new("-F"), file.as_path()]))
            .args(user.flat_map(|user| ["-l".to_owned(), user.clone()]))
            .args(port.flat_map(|port| ["-p".to_owned(), port.to_string()]))
            .args(["--", &target.host])
    }

    /// What a person types to go to `target` as this run does, with `options` of ssh.
    fn typed(&self, target: &SshTarget, options: &[&str]) -> String {
        self.towards(target, Cmd::new("ssh").args(options.iter().copied())).display()
    }

    fn other_error(&self, target: &SshTarget, said: String) -> ConnectError {
        ConnectError::Other { target: target.to_string(), said, check: self.typed(target, &["-v"]) }
    }

    fn connect_error(&self, target: &SshTarget, failure: &Failure) -> ConnectError {
        let timed_out = |limit| ConnectError::TimedOut { target: target.to_string(), limit };
        match failure.end {
            End::Cancelled => return ConnectError::Cancelled,
            End::TimedOut(limit) => return timed_out(limit),
            _ => {}
        }
        let says = |text: &str| failure.mentions(text);
        let name = || target.to_string();
        if says("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            ConnectError::HostKeyChanged { target: name(), remedy: forget_key_command(target, failure) }
        } else if says("Host key verification failed") || says("host key is known for") {
            let remedy = self.typed(target, &["-o", "StrictHostKeyChecking=ask"]);
            ConnectError::HostKeyUnknown { target: name(), remedy }
        } else if says("Could not resolve hostname") {
            ConnectError::UnknownName { host: target.host.clone() }
        } else if says("Connection refused") {
            ConnectError::Refused { target: name() }
        } else if says("Permission denied") || says("Too many authentication failures") {
            ConnectError::Denied { target: name(), check: self.typed(target, &["-o", "BatchMode=yes"]) }
        } else if says("No route to host") || says("Network is unreachable") {
            ConnectError::NoRoute { target: name() }
        } else if says("timed out") || says("timeout") {
            timed_out(self.options.connect_timeout)
        } else {
            let said = failure.stderr.iter().rev().find(|line| !line.trim().is_empty());
            self.other_error(target, said.cloned().unwrap_or_else(|| failure.end.to_string()))
        }
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

/// A target behind ssh.
#[derive(Debug)]
struct SshConnection {
    session: Session,
    store: StoreUri,
    sessions: Arc<Semaphore>,
    /// Whether it may outlive the run.
    is_kept: bool,
    /// Whether nothing was heard from the host over it by this run.
    unproven: AtomicBool,
}

#[async_trait]
impl Connection for SshConnection {
    async fn execute(
        &self,
        words: &[String],
        password: Option<&Password>,
        on_line: LineSink<'_>,
    ) -> Result<Executed, Lost> {
        let lost = |error: openssh::Error| Lost(describe(&error));
        let _turn = self.sessions.acquire().await.map_err(|error| Lost(error.to_string()))?;
        let mut child = self.spawn(words, password.is_some()).await.map_err(lost)?;
        if let (Some(password), Some(mut stdin)) = (password, child.stdin().take()) {
            // A command that does not read its input closes it, which is no loss of the connection.
            let _ = stdin.write_all(password.expose_secret().as_bytes()).await;
            let _ = stdin.write_all(b"\n").await;
        }
        let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
        let mut said = Vec::new();
        let mut keep = |line: &str| {
            if said.len() == STDERR_LINES {
                said.remove(0);
            }
            said.push(line.to_owned());
        };
        let read_stdout = async {
            match stdout {
                Some(stdout) => for_each_line(stdout, on_line).await,
                None => Ok(()),
            }
        };
        let read_stderr = async {
            match stderr {
                Some(stderr) => for_each_line(stderr, &mut keep).await,
                None => Ok(()),
            }
        };
        let (read_out, read_err) = tokio::join!(read_stdout, read_stderr);
        read_out.and(read_err).map_err(|error| Lost(error.to_string()))?;
        let code = match child.wait().await {
            Ok(status) => status.code(),
            // The crate makes an error of exit code 127, which shells give for commands that they do not find.
            Err(openssh::Error::Remote(error)) if error.kind() == io::ErrorKind::NotFound => Some(127),
            Err(openssh::Error::RemoteProcessTerminated) => None,
            Err(error) => return Err(lost(error)),
        };
        Ok(Executed { code, stderr: said.join("\n") })
    }

    fn store(&self) -> Option<StoreUri> {
        Some(self.store.clone())
    }

    fn is_reused(&self) -> bool {
        self.unproven.load(Ordering::Relaxed)
    }

    async fn discard(&self) {
        close_master(self.session.control_socket()).await;
    }

    async fn retire(&self) {
        if !self.is_kept {
            return self.discard().await;
        }
        let socket = self.session.control_socket();
        let stop =
            Cmd::new("ssh").args(["-O", "stop", "-S"]).arg(socket).arg("--").arg("any").deadline(RETIRE_DEADLINE);
        if stop.output(&Cancel::never()).await.is_err() {
            close_master(socket).await;
        }
    }
}

impl SshConnection {
    /// Starts a command. A host that has no session left for it is asked again until it has; the command's own deadline ends
    /// that.
    async fn spawn(&self, words: &[String], with_stdin: bool) -> Result<openssh::Child<&Session>, openssh::Error> {
        let attempt = || async {
            let (program, args) = words.split_first().ok_or(openssh::Error::InvalidCommand)?;
            self.session
                .command(program)
                .args(args)
                .stdin(if with_stdin { Stdio::piped() } else { Stdio::null() })
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .await
        };
        // Also a host that declines has answered.
        let refused = |error: &openssh::Error| {
            let refused = describe(error).contains("open refused");
            if refused {
                self.unproven.store(false, Ordering::Relaxed);
            }
            refused
        };
        attempt
            .retry(ExponentialBuilder::default().with_min_delay(RETRY.0).with_max_delay(RETRY.1).without_max_times())
            .when(refused)
            .await
    }
}

/// The command that removes a key that has changed: ssh says under which name it stands in which file, which are another name
/// and file than the target's where the configuration says so.
fn forget_key_command(target: &SshTarget, failure: &Failure) -> String {
    let between = |before: &str, after: &str| {
        let mut found = failure.stderr.iter().filter_map(|line| line.trim().split_once(before)?.1.rsplit_once(after));
        found.next().map(|(found, _)| found.to_owned())
    };
    let file = between(" key in ", ":");
    let name = between("Host key for ", " has changed").unwrap_or_else(|| target.host.clone());
    let file = file.iter().flat_map(|file| ["-f", file]);
    Cmd::new("ssh-keygen").args(file).args(["-R", &name]).display()
}

/// Whether a master listens at `socket`. It answers for itself, not for the host.
async fn is_alive(socket: &Path) -> bool {
    if !socket.exists() {
        return false;
    }
    let session = Session::resume_mux(socket.into(), None);
    matches!(tokio::time::timeout(Duration::from_secs(2), session.check()).await, Ok(Ok(())))
}

/// Ends the master at `socket`; one that is gone already is as good.
async fn close_master(socket: &Path) {
    let session = Session::resume_mux(socket.into(), None);
    let _ = tokio::time::timeout(Duration::from_secs(2), session.close()).await;
    let _ = fs::remove_file(socket);
}

fn describe(error: &openssh::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector() -> SshConnector {
        SshConnector::new(SshOptions {
            config_file: None,
            persist: Duration::from_secs(60),
            host_keys: HostKeys::Strict,
            connect_timeout: Duration::from_secs(10),
            control_dir: "/run/c".into(),
        })
    }

    fn target(user: Option<&str>) -> SshTarget {
        SshTarget { host: "p620".to_owned(), user: user.map(str::to_owned), port: Some(2222) }
    }

    #[test]
    fn the_socket_depends_on_the_way_of_connecting() {
        let connector = connector();
        assert_eq!(connector.control_path(&target(None)), connector.control_path(&target(None)));
        assert_ne!(connector.control_path(&target(None)), connector.control_path(&target(Some("root"))));
    }

    #[test]
    fn the_master_never_asks_and_is_strict() {
        let line = connector().master_command(&target(Some("root")), Path::new("/run/c/x")).display();
        assert_eq!(
            line,
            "ssh -M -N -f -S /run/c/x -o BatchMode=yes -o ClearAllForwardings=yes -o ControlPersist=60 \
             -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 \
             -l root -p 2222 -- p620"
        );
    }

    #[test]
    fn hints_are_commands_that_go_where_the_run_goes() {
        let mut connector = connector();
        connector.options.config_file = Some("/my hub/ssh_config".into());
        let hint = |lines: &[&str]| {
            let stderr = lines.iter().map(|line| (*line).to_owned()).collect();
            let failure = Failure { command: "ssh".to_owned(), end: End::Code(255), stderr };
            connector.connect_error(&target(Some("root")), &failure).hint().unwrap()
        };
        let unknown = hint(&["Host key verification failed."]);
        let accept = "`ssh -o StrictHostKeyChecking=ask -F '/my hub/ssh_config' -l root -p 2222 -- p620`";
        assert!(unknown.contains(accept), "{unknown}");
        let changed = [
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
            "Add correct host key in /home/me/known hosts to get rid of this message.",
            "Offending ED25519 key in /home/me/known hosts:12",
            "Host key for [10.0.0.7]:2222 has changed and you have requested strict checking.",
        ];
        let known = hint(&changed);
        assert!(known.contains("`ssh-keygen -f '/home/me/known hosts' -R '[10.0.0.7]:2222'`"), "{known}");
        assert!(hint(&changed[..1]).contains("`ssh-keygen -R p620`"));
    }

    #[test]
    fn what_ssh_says_becomes_what_is_wrong() {
        let error = |line: &str| {
            let failure = Failure { command: "ssh".to_owned(), end: End::Code(255), stderr: vec![line.to_owned()] };
            connector().connect_error(&target(None), &failure)
        };
        let refused = "ssh: connect to host p620 port 2222: Connection refused";
        assert!(matches!(error(refused), ConnectError::Refused { .. }));
        assert!(matches!(error("root@p620: Permission denied (publickey)."), ConnectError::Denied { .. }));
        let changed = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @";
        assert!(matches!(error(changed), ConnectError::HostKeyChanged { .. }));
        assert!(matches!(error("Host key verification failed."), ConnectError::HostKeyUnknown { .. }));
        let name = "ssh: Could not resolve hostname p620: Name or service not known";
        assert!(matches!(error(name), ConnectError::UnknownName { .. }));
        assert!(matches!(error("something new"), ConnectError::Other { .. }));
    }
}
