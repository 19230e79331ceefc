//! Why a host declines to activate a system.

use super::guard::Guarded;
use super::lock::Lock;
use super::platform::Platform;
use crate::nix::StorePath;

/// Why an activation was not started. Nothing was changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The host at this address is another one.
    #[error("the host calls itself `{found}`, not `{expected}`")]
    WrongHost {
        /// The name that the configuration gives it.
        expected: String,
        /// The name that it has.
        found: String,
    },
    /// The path is not on the host, or is no system of its platform.
    #[error("{0} is not a {name} system in the host's store", name = .1.as_str())]
    NotASystem(StorePath, Platform),
    /// A part of the system is for a user to activate, and there is none.
    #[error("a part of this system is activated by a user, as nix-darwin had it before 25.05, and root is logged in")]
    NoUser,
    /// There is no systemd to run the activation under.
    #[error("systemd does not run on the host")]
    NoSystemd,
    /// Another activation is under way.
    #[error("another activation is under way on the host")]
    Busy,
    /// The lock that the deployment had taken is gone, or somebody else's.
    #[error("the host's lock was lost: {}", .0.as_ref().map_or_else(lost_lock, held_by))]
    Unlocked(Option<Lock>),
    /// What runs cannot take an activation back.
    #[error("what runs on the host is no system that could take an activation back")]
    Unguarded,
    /// What was to be confirmed first is not to be confirmed any more.
    #[error("the activation before it was not confirmed: the host takes it back, or was booted since")]
    Unconfirmed(Guarded),
    /// Only root may activate.
    #[error("user id {0} on the host is not root")]
    NotRoot(u32),
}

fn lost_lock() -> String {
    "somebody broke it, or the host was booted".to_owned()
}

fn held_by(lock: &Lock) -> String {
    format!("{} has it (deployment {})", lock.owner, lock.id)
}

impl Refusal {
    /// What helps.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::WrongHost { .. } => {
                "is the address somebody else's by now? set `target` in hub.toml; a host that was renamed takes \
                 `--despite host-name` once"
            }
            Self::NotASystem(..) => "copy it there first: `hubctl deploy HOST`",
            Self::NoUser => {
                "update nix-darwin in the flake; or log in as that user: `user = \"..\"` and `elevate = \"sudo\"` for the host in \
                 hub.toml"
            }
            Self::NoSystemd => "hubctl activates under systemd; start the host as NixOS does",
            Self::Busy => "`hubctl status HOST` tells when it is over; run the command again after it",
            Self::Unlocked(_) => {
                "run the command again: what was copied is kept; `hubctl lock HOST` shows who deploys to it"
            }
            Self::Unguarded => "with `confirm = \"0s\"` under [deploy] in hub.toml it is activated without a way back",
            Self::Unconfirmed(_) => "`hubctl status HOST` tells what the host runs; run the command again",
            Self::NotRoot(_) => "set `user = \"root\"`, or `elevate = \"sudo\"`, for the host in hub.toml",
        }
    }
}
