//! A host, and the names and choices that describe one.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Policy;
use crate::nix::{HOMES, SystemAttr};
use crate::remote::{Check, Elevate, Platform};

/// The name of a host: the attribute under `nixosConfigurations` or `darwinConfigurations`, and the key in `hub.toml`. A user's home
/// is a host of its own, `user@host`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Why a word cannot be the name of a host.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` cannot be a host's name: letters, digits, `-`, `_` and `.` only, and no `-` or `.` in front; that of a home is `user@host`"
)]
pub struct HostNameError(String);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user and the host of a home's name.
    pub fn home(&self) -> Option<(&str, &str)> {
        self.0.split_once('@')
    }
}

/// Whether a text is made as a name is: of what means nothing to ssh, to Nix, to a shell or in a path.
pub(super) fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && !text.starts_with(['-', '.']) && text.chars().all(fits)
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let fits = s.split_once('@').map_or_else(|| is_word(s), |(user, host)| is_word(user) && is_word(host));
        if fits { Ok(Self(s.to_owned())) } else { Err(HostNameError(s.to_owned())) }
    }
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which system a host runs, and so which output of the flake describes it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A host of `nixosConfigurations`.
    #[default]
    Nixos,
    /// A host of `darwinConfigurations`.
    Darwin,
    /// A user's home, of `homeConfigurations`.
    Home,
}

impl Kind {
    /// The flake output that holds hosts of this kind.
    pub const fn output(self) -> &'static str {
        match self {
            Self::Nixos => "nixosConfigurations",
            Self::Darwin => "darwinConfigurations",
            Self::Home => HOMES,
        }
    }

    /// How systems of this kind are run.
    pub const fn platform(self) -> Platform {
        match self {
            Self::Nixos => Platform::Nixos,
            Self::Darwin => Platform::Darwin,
            Self::Home => Platform::Home,
        }
    }
}

/// Where a host's toplevel is built.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildOn {
    /// On the machine that hubctl runs on, which may use Nix's own remote builders.
    #[default]
    Here,
    /// On the host itself.
    Target,
    /// On another host of the fleet.
    Host(HostName),
}

impl FromStr for BuildOn {
    type Err = HostNameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(match s {
            "here" => Self::Here,
            "target" => Self::Target,
            name => Self::Host(name.parse()?),
        })
    }
}

/// A host of the fleet with all that `hub.toml`'s defaults, its role and its own table say of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Host {
    /// The name in the flake.
    pub name: HostName,
    /// The ssh destination: an address, a name, or an alias of the user's ssh configuration.
    pub target: String,
    /// The ssh user; without it, ssh's own configuration decides.
    pub user: Option<String>,
    /// The ssh port; without it, ssh's own configuration decides.
    pub port: Option<u16>,
    /// The Nix system, such as `x86_64-linux`, where `hub.toml` says it.
    pub system: Option<String>,
    /// The flake output it stands in.
    pub kind: Kind,
    /// The role, which names a table of shared settings.
    pub role: Option<String>,
    /// The tags that `@tag` selects by.
    pub tags: BTreeSet<String>,
    /// Whether it is left out of everything that does not name it.
    pub archived: bool,
    /// How commands become root on it.
    pub elevate: Elevate,
    /// Where its toplevel is built.
    pub build_on: BuildOn,
    /// The specialisation of its system that it is to run, if one is.
    pub specialisation: Option<String>,
    /// How activations on it are judged.
    #[serde(skip)]
    pub policy: Policy,
    /// What is checked of a system that runs there.
    #[serde(skip)]
    pub health: Vec<Check>,
    /// The hosts that are deployed before it, where both are.
    pub after: BTreeSet<HostName>,
    /// Whether it has a wave of its own, after all hosts that do not wait for it.
    pub alone: bool,
}

impl Host {
    /// Where its system stands in the flake.
    pub fn attribute(&self) -> SystemAttr<'_> {
        SystemAttr { output: self.kind.output(), name: self.name.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_ssh_or_nix_would_misread_are_refused() {
        for bad in ["", "-oProxyCommand=x", ".hidden", "a b", "a;b", "ä", "@a", "a@", "a@b@c", "a@-b"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
        for good in ["p620", "web-1", "a_b", "x.example.org", "ann@p620"] {
            assert!(good.parse::<HostName>().is_ok(), "{good}");
        }
    }
}
