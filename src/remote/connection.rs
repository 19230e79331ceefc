//! What the layers above need of a way to reach a target, so that ssh, this machine and stand-ins are alike to them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::target::Target;
use crate::nix::StoreUri;
use crate::process::{Cancel, LineSink};

/// A password that is asked once and given to many; never shown, wiped when the last holder is gone.
pub type Password = Arc<SecretString>;

/// Makes connections.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Connects to `target`, or takes a connection that is still open from before.
    async fn connect(&self, target: &Target, cancel: &Cancel) -> Result<Arc<dyn Connection>, ConnectError>;

    /// Ends every connection that is not to be kept for the next run.
    async fn close(&self);
}

/// A way to run commands at a target.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Runs a command: each word reaches it as it is. Lines of its standard output go to `on_line` as they come; `password`
    /// and nothing else is its standard input. Dropping the future leaves the command running there.
    async fn execute(
        &self,
        words: &[String],
        password: Option<&Password>,
        on_line: LineSink<'_>,
    ) -> Result<Executed, Lost>;

    /// The target's store, to copy closures to; none when it is this machine's own.
    fn store(&self) -> Option<StoreUri>;

    /// Whether the connection was open before this run and nothing came over it yet, so that it may be dead without anybody
    /// having noticed.
    fn is_reused(&self) -> bool {
        false
    }

    /// Drops the connection, so that the next one to the same target is a new one.
    async fn discard(&self);

    /// Lets the connection end with what runs over it now, so that the next one to the same target is a new one.
    async fn retire(&self) {
        self.discard().await;
    }
}

/// A command that ran to its end, as far as the connection can tell.
#[derive(Clone, Debug, Default)]
pub struct Executed {
    /// Its exit code, where the connection knows it.
    pub code: Option<i32>,
    /// The end of what it printed on standard error.
    pub stderr: String,
}

/// The connection broke, so that nothing is known of the command's end.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the connection was lost: {0}")]
pub struct Lost(pub String);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the name `{host}` has no address")]
    UnknownName {
        /// The name.
        host: String,
    },
    /// Nothing listens there.
    #[error("{target} refused the connection")]
    Refused {
        /// Where to.
        target: String,
    },
    /// Nothing answers.
    #[error("{target} did not answer within {} s", .limit.as_secs())]
    TimedOut {
        /// Where to.
        target: String,
        /// How long was waited.
        limit: Duration,
    },
    /// There is no way there.
    #[error("there is no route to {target}")]
    NoRoute {
        /// Where to.
        target: String,
    },
    /// The host has another key than it had before.
    #[error("the host key of {target} has changed")]
    HostKeyChanged {
        /// Where to.
        target: String,
        /// The command that removes the old key.
        remedy: String,
    },
    /// The host's key is in no known hosts file.
    #[error("the host key of {target} is not known")]
    HostKeyUnknown {
        /// Where to.
        target: String,
        /// The command by which a person accepts it.
        remedy: String,
    },
    /// None of the user's keys is accepted.
    #[error("{target} accepts none of the offered keys")]
    Denied {
        /// Where to.
        target: String,
        /// The command that works once there is a key.
        check: String,
    },
    /// Anything else that ssh says.
    #[error("ssh to {target} failed: {said}")]
    Other {
        /// Where to.
        target: String,
        /// The last line that ssh printed.
        said: String,
        /// The command that shows more.
        check: String,
    },
    /// The user asked to stop.
    #[error("connecting was stopped")]
    Cancelled,
}

impl ConnectError {
    /// What helps.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownName { host } => {
                format!("set `target` of the host in hub.toml, or add `Host {host}` with a `HostName` to ~/.ssh/config")
            }
            Self::Refused { .. } => {
                "is sshd running there, and on this port? `port` in hub.toml sets another".to_owned()
            }
            Self::TimedOut { .. } | Self::NoRoute { .. } => {
                "is the host on, and in the network? `hubctl ping` shows who answers".to_owned()
            }
            Self::HostKeyChanged { remedy, .. } => format!(
                "if the host was reinstalled, `{remedy}` forgets the old key, and the new one is accepted like that of a new \
                 host; if not, somebody else answers"
            ),
            Self::HostKeyUnknown { remedy, .. } => format!(
                "compare the key with the host's own (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there), then accept it: \
                 `{remedy}`; or set `host-keys = \"accept-new\"` under [ssh] in hub.toml"
            ),
            Self::Denied { check, .. } => format!(
                "hubctl never types passwords into ssh: give it a key with which `{check}` works (ssh-copy-id, ssh-add), or set \
                 another `user` in hub.toml"
            ),
            Self::Other { check, .. } => format!("`{check}` shows more"),
            Self::Cancelled => return None,
        })
    }
}

impl fmt::Debug for dyn Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
