//! Where a system runs: on this machine, or behind ssh.

use std::fmt;

/// A place that commands run at.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Target {
    /// This machine.
    Local,
    /// A machine reached by ssh.
    Ssh(SshTarget),
}

/// An ssh destination. What is not given is left to the user's ssh configuration.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SshTarget {
    /// An address, a name, or an alias of the user's ssh configuration; an IPv6 address without brackets.
    pub host: String,
    /// The user to log in as.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
}

impl SshTarget {
    /// The host as URIs and messages write it: an IPv6 address in brackets.
    pub fn uri_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("this machine"),
            Self::Ssh(ssh) => ssh.fmt(f),
        }
    }
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.uri_host())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
