//! How what a host runs differs from what the flake wants.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::nix::StorePath;
use crate::remote::Facts;

/// How what a host runs differs from what the flake wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// It runs what the flake wants, boots it by default, and was booted with it as far as that matters.
    None,
    /// It runs what the flake wants, and was booted with another kernel, initrd, or the like.
    RebootPending,
    /// It runs what the flake wants, and boots something else by default.
    NotBootDefault,
    /// It runs what the flake wants in part: switching to it did not come to its end.
    Interrupted,
    /// What the flake wants is the boot default, and something else runs.
    NotRunning,
    /// It runs what was deployed from this flake before.
    Behind,
    /// It runs something that was not deployed from here: built elsewhere, or from another state of the flake.
    BuiltElsewhere,
    /// What the flake wants is not known.
    Unknown,
}

impl Drift {
    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "in sync",
            Self::RebootPending => "reboot pending",
            Self::NotBootDefault => "not boot default",
            Self::Interrupted => "interrupted",
            Self::NotRunning => "not running yet",
            Self::Behind => "behind",
            Self::BuiltElsewhere => "differs",
            Self::Unknown => "not compared",
        }
    }
}

/// Holds what a host runs against what the flake wants. `deployed` are the toplevels that were deployed to it from here.
pub fn drift(wanted: Option<&StorePath>, facts: &Facts, deployed: &BTreeSet<StorePath>) -> Drift {
    let Some(wanted) = wanted else { return Drift::Unknown };
    let runs = facts.current.as_ref() == Some(wanted);
    let boots = facts.profile.as_ref() == Some(wanted);
    match (runs, boots) {
        (true, _) if facts.interrupted => Drift::Interrupted,
        (true, true) if facts.reboot.is_empty() => Drift::None,
        (true, true) => Drift::RebootPending,
        (true, false) => Drift::NotBootDefault,
        (false, true) => Drift::NotRunning,
        (false, false) if facts.current.as_ref().is_some_and(|current| deployed.contains(current)) => Drift::Behind,
        (false, false) => Drift::BuiltElsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RebootReason;

    fn path(hash: char) -> StorePath {
        format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
    }

    #[test]
    fn every_kind_has_its_name() {
        let facts =
            |current, profile| Facts { current: Some(path(current)), profile: Some(path(profile)), ..Facts::default() };
        let deployed = BTreeSet::from([path('a')]);
        let wanted = path('w');
        let of = |facts: &Facts| drift(Some(&wanted), facts, &deployed);
        assert_eq!(of(&facts('w', 'w')), Drift::None);
        assert_eq!(of(&Facts { reboot: vec![RebootReason::Kernel], ..facts('w', 'w') }), Drift::RebootPending);
        assert_eq!(of(&Facts { interrupted: true, ..facts('w', 'w') }), Drift::Interrupted);
        assert_eq!(of(&facts('w', 'a')), Drift::NotBootDefault);
        assert_eq!(of(&facts('a', 'w')), Drift::NotRunning);
        assert_eq!(of(&facts('a', 'a')), Drift::Behind);
        assert_eq!(of(&facts('b', 'b')), Drift::BuiltElsewhere);
        assert_eq!(of(&Facts::default()), Drift::BuiltElsewhere);
        assert_eq!(drift(None, &facts('w', 'w'), &deployed), Drift::Unknown);
    }
}
