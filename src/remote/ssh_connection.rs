//! A connection behind ssh: commands that go through the master at a control socket, with the `openssh` crate.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use openssh::{Session, Stdio};
use secrecy::ExposeSecret as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use super::connection::{Connection, Executed, Lost, Password};
use crate::nix::StoreUri;
use crate::process::{Cancel, Cmd, LineSink, for_each_line};

/// How long to wait before a command is tried again for which the host has no session left, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How much of a command's standard error is kept, in lines.
const STDERR_LINES: usize = 40;

/// How long a master may take to stop listening.
const RETIRE_DEADLINE: Duration = Duration::from_secs(2);

/// A target behind ssh.
#[derive(Debug)]
pub(super) struct SshConnection {
    pub(super) session: Session,
    pub(super) store: StoreUri,
    /// The turns at the master.
    pub(super) sessions: Arc<Semaphore>,
    /// Whether it may outlive the run.
    pub(super) is_kept: bool,
    /// Whether nothing was heard from the host over it by this run.
    pub(super) unproven: AtomicBool,
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

/// Whether a master listens at `socket`. It answers for itself, not for the host.
pub(super) async fn is_alive(socket: &Path) -> bool {
    if !socket.exists() {
        return false;
    }
    let session = Session::resume_mux(socket.into(), None);
    matches!(tokio::time::timeout(Duration::from_secs(2), session.check()).await, Ok(Ok(())))
}

/// Ends the master at `socket`; one that is gone already is as good.
pub(super) async fn close_master(socket: &Path) {
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
