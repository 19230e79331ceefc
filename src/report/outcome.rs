//! How a host's part of a run ended: exactly one outcome per host, and the exit code that follows from all of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Exit;

/// The end of one host's part of a run.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The host already runs what the flake wants, and boots it by default.
    Unchanged,
    /// The toplevel was built, for `dry-activate` also copied and looked at; nothing on the host was changed.
    Built,
    /// The wanted system is live (or, for `boot`, the boot default).
    Deployed,
    /// The wanted system is live, but units failed.
    Degraded,
    /// The wanted system is in place and takes full effect with the next boot.
    RebootNeeded,
    /// The activation was taken back; the host runs its old system.
    RolledBack,
    /// The host could not be reached.
    Unreachable,
    /// The host's configuration does not evaluate.
    EvalFailed,
    /// The toplevel does not build.
    BuildFailed,
    /// The closure could not be copied to the host.
    CopyFailed,
    /// Setting the profile or switching to the configuration failed.
    ActivateFailed,
    /// The host is live but fails its health checks.
    Unhealthy,
    /// Declined before anything on the host was changed: wrong host, no space, another activation under way.
    Refused,
    /// Its turn did not come, since an earlier wave failed.
    Skipped,
    /// The user stopped the run first.
    Cancelled,
    /// Contact was lost and not regained: neither success nor failure is known.
    Unknown,
}

impl Outcome {
    /// Every outcome, in the order in which summaries count them.
    pub const ALL: [Self; 16] = [
        Self::Unchanged,
        Self::Built,
        Self::Deployed,
        Self::RebootNeeded,
        Self::Degraded,
        Self::RolledBack,
        Self::Unreachable,
        Self::EvalFailed,
        Self::BuildFailed,
        Self::CopyFailed,
        Self::ActivateFailed,
        Self::Unhealthy,
        Self::Refused,
        Self::Skipped,
        Self::Cancelled,
        Self::Unknown,
    ];

    /// The outcome's name, as it stands in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Built => "built",
            Self::Deployed => "deployed",
            Self::Degraded => "degraded",
            Self::RebootNeeded => "reboot-needed",
            Self::RolledBack => "rolled-back",
            Self::Unreachable => "unreachable",
            Self::EvalFailed => "eval-failed",
            Self::BuildFailed => "build-failed",
            Self::CopyFailed => "copy-failed",
            Self::ActivateFailed => "activate-failed",
            Self::Unhealthy => "unhealthy",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the host is as the user asked.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Unchanged | Self::Built | Self::Deployed | Self::RebootNeeded)
    }

    /// Whether the run changed the host for good.
    pub const fn changed_host(self) -> bool {
        matches!(self, Self::Deployed | Self::Degraded | Self::RebootNeeded | Self::Unhealthy)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == s).ok_or_else(|| UnknownOutcome(s.to_owned()))
    }
}

/// A word that names no outcome.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an outcome")]
pub struct UnknownOutcome(String);

/// The exit code of a run with these outcomes.
///
/// A failure outweighs everything; a run that the user stopped is told as cancelled unless a host failed before; refusals
/// and degraded hosts have codes of their own only when nothing worse happened.
pub fn exit_of(outcomes: impl IntoIterator<Item = Outcome>) -> Exit {
    outcomes.into_iter().map(exit_of_one).max_by_key(|exit| severity(*exit)).unwrap_or(Exit::NoHost)
}

const fn exit_of_one(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Unchanged | Outcome::Built | Outcome::Deployed | Outcome::RebootNeeded => Exit::Success,
        Outcome::Degraded => Exit::Degraded,
        Outcome::Refused => Exit::Refused,
        Outcome::Cancelled => Exit::Cancelled,
        Outcome::RolledBack
        | Outcome::Unreachable
        | Outcome::EvalFailed
        | Outcome::BuildFailed
        | Outcome::CopyFailed
        | Outcome::ActivateFailed
        | Outcome::Unhealthy
        | Outcome::Skipped
        | Outcome::Unknown => Exit::Failed,
    }
}

const fn severity(exit: Exit) -> u8 {
    match exit {
        Exit::Success => 0,
        Exit::Degraded => 1,
        Exit::Refused => 2,
        Exit::Cancelled => 3,
        Exit::Failed | Exit::Usage | Exit::NoHost | Exit::Program(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_decides_the_exit_code() {
        use Outcome::{Cancelled, Degraded, Deployed, Refused, Unchanged, Unknown, Unreachable};
        assert_eq!(exit_of([Unchanged, Deployed]), Exit::Success);
        assert_eq!(exit_of([Unchanged, Degraded]), Exit::Degraded);
        assert_eq!(exit_of([Degraded, Refused]), Exit::Refused);
        assert_eq!(exit_of([Refused, Cancelled]), Exit::Cancelled);
        assert_eq!(exit_of([Cancelled, Unreachable]), Exit::Failed);
        assert_eq!(exit_of([Deployed, Unknown]), Exit::Failed);
        assert_eq!(exit_of([]), Exit::NoHost);
    }

    #[test]
    fn names_read_back() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse::<Outcome>().unwrap(), outcome);
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
