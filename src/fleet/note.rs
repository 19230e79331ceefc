//! What is odd about the fleet without being wrong: told once, and never in the way.

use std::fmt;
use std::path::PathBuf;

use super::shown::{shown, toml_key};
use super::{HostName, Kind};

/// How many hosts a message names.
const NAMED: usize = 5;

/// A way in which `hub.toml` and the flake do not agree. `Display` says it, [`InventoryNote::hint`] says what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InventoryNote {
    /// `hub.toml` lists a host that the flake does not have.
    NotInFlake {
        /// The host.
        host: HostName,
        /// The `hub.toml`.
        file: PathBuf,
        /// The line that lists it.
        line: usize,
        /// A host that only the flake has and that is probably the same.
        nearest: Option<String>,
    },
    /// The flake has hosts that `hub.toml` does not list, although it lists others.
    NotInFile {
        /// The hosts, in order.
        hosts: Vec<HostName>,
    },
    /// Both outputs of the flake have a host of this name, and `hub.toml` does not say which one is meant.
    InBothOutputs {
        /// The host.
        host: HostName,
        /// The kind that it is taken for.
        taken: Kind,
    },
    /// The flake has an attribute that cannot be a host's name, and so is left out.
    NoHostName {
        /// The output that has it.
        output: Kind,
        /// The attribute's name.
        name: String,
    },
}

impl InventoryNote {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotInFlake { nearest: Some(near), .. } => format!("the flake has `{near}`: is that the one?"),
            Self::NotInFlake { host, nearest: None, .. } => format!(
                "add it to the flake, take `[hosts.{}]` out, or set `archived = true` there to keep it for the record",
                toml_key(host.as_str())
            ),
            Self::NotInFile { hosts } => {
                let (first, it) =
                    (hosts.first().map_or("", HostName::as_str), if hosts.len() == 1 { "it" } else { "them" });
                format!("add `[hosts.{}]`; until then the defaults hold for {it}", toml_key(first))
            }
            Self::InBothOutputs { host, .. } => format!(
                "say which one is meant with `kind = \"nixos\"` or `kind = \"darwin\"` in `[hosts.{}]`",
                toml_key(host.as_str())
            ),
            Self::NoHostName { .. } => {
                "rename the attribute: letters, digits, `-`, `_` and `.`, with neither `-` nor `.` in front".into()
            }
        }
    }
}

impl fmt::Display for InventoryNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInFlake { host, file, line, .. } => {
                write!(f, "{}:{line}: `{host}` is not a host of the flake", file.display())
            }
            Self::NotInFile { hosts } => {
                let more = hosts.len().saturating_sub(NAMED);
                let names: Vec<_> = hosts.iter().take(NAMED).map(|host| format!("`{host}`")).collect();
                let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                let (are, them) = if hosts.len() == 1 { ("is", "it") } else { ("are", "them") };
                write!(f, "{}{more} {are} in the flake, but hub.toml does not list {them}", names.join(", "))
            }
            Self::InBothOutputs { host, taken } => {
                let (nixos, darwin) = (Kind::Nixos.output(), Kind::Darwin.output());
                write!(f, "`{host}` is in both `{nixos}` and `{darwin}`; the one in `{}` is taken", taken.output())
            }
            Self::NoHostName { output, name } => {
                write!(f, "`{}` in `{}` cannot be a host's name and is left out", shown(name), output.output())
            }
        }
    }
}
