//! What a run is to reach on each host.

use std::fmt;
use std::str::FromStr;

/// What a run is to reach on each host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Goal {
    /// The toplevel is built.
    Build,
    /// The system runs, and is the boot default.
    Switch,
    /// The system is the boot default, and runs after the next boot.
    Boot,
    /// The system runs until the next boot.
    Test,
    /// It is known what switching would do.
    DryActivate,
    /// The host is booted with its boot default.
    Reboot,
}

/// A word that names no goal.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a goal; there are switch, boot, test and dry-activate")]
pub struct UnknownGoal(String);

impl Goal {
    /// The goal's name; for goals that activate a system, the verb of `switch-to-configuration`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Switch => "switch",
            Self::Boot => "boot",
            Self::Test => "test",
            Self::DryActivate => "dry-activate",
            Self::Reboot => "reboot",
        }
    }

    /// Whether anything is asked of the hosts at all.
    pub const fn needs_target(self) -> bool {
        !matches!(self, Self::Build)
    }

    /// Whether the host is not what it was afterwards.
    pub const fn changes_host(self) -> bool {
        self.sets_profile() || self.makes_current()
    }

    /// Whether the system becomes the profile's newest generation.
    pub const fn sets_profile(self) -> bool {
        matches!(self, Self::Switch | Self::Boot)
    }

    /// Whether the system runs afterwards.
    pub const fn makes_current(self) -> bool {
        matches!(self, Self::Switch | Self::Test)
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Goal {
    type Err = UnknownGoal;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(match s {
            "build" => Self::Build,
            "switch" => Self::Switch,
            "boot" => Self::Boot,
            "test" => Self::Test,
            "dry-activate" => Self::DryActivate,
            _ => return Err(UnknownGoal(s.to_owned())),
        })
    }
}
