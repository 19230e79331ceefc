//! Becoming root on a target.

use serde::{Deserialize, Serialize};

use super::connection::Password;

/// How a command becomes root on a host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elevate {
    /// The ssh user is root, or activation fails.
    #[default]
    None,
    /// `sudo`, with a password when it asks for one.
    Sudo,
    /// `doas`, without a password.
    Doas,
    /// `run0`, without a password.
    Run0,
}

/// How a command becomes root, with the password where one is needed.
#[derive(Clone, Debug, Default)]
pub struct Elevation {
    /// The program.
    pub how: Elevate,
    /// What `sudo` reads on standard input.
    pub password: Option<Password>,
}

impl Elevate {
    /// The words in front of a command that is to run as root, without a terminal. The program is looked up on the target.
    pub(super) fn prefix(self, with_password: bool) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Sudo if with_password => &["sudo", "--prompt=", "--stdin", "--"],
            Self::Sudo => &["sudo", "--non-interactive", "--"],
            Self::Doas => &["doas", "-n", "--"],
            Self::Run0 => &["run0", "--no-ask-password", "--pipe", "--"],
        }
    }
}
