//! How what a host runs differs from what the flake wants.

use std::collections::BTreeSet;

use serde::Serialize;

use super::sought::Sought;
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
    /// It runs a specialisation of what the flake wants that it is not to run, or not the one that it is to run.
    Specialisation,
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
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::RebootPending,
        Self::NotBootDefault,
        Self::Interrupted,
        Self::Specialisation,
        Self::NotRunning,
        Self::Behind,
        Self::BuiltElsewhere,
        Self::Unknown,
    ];

    /// Its name in data, as it is serialised.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RebootPending => "reboot-pending",
            Self::NotBootDefault => "not-boot-default",
            Self::Interrupted => "interrupted",
            Self::Specialisation => "specialisation",
            Self::NotRunning => "not-running",
            Self::Behind => "behind",
            Self::BuiltElsewhere => "built-elsewhere",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|drift| drift.name() == name)
    }

    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "in sync",
            Self::RebootPending => "reboot pending",
            Self::NotBootDefault => "not boot default",
            Self::Interrupted => "interrupted",
            Self::Specialisation => "specialisation",
            Self::NotRunning => "not running yet",
            Self::Behind => "behind",
            Self::BuiltElsewhere => "differs",
            Self::Unknown => "not compared",
        }
    }
}

/// Holds what a host runs against what the flake wants. `deployed` are the toplevels that were deployed to it from here.
pub fn drift(sought: Option<Sought<'_>>, facts: &Facts, deployed: &BTreeSet<StorePath>) -> Drift {
    let Some(sought) = sought else { return Drift::Unknown };
    let (runs, boots) = (sought.runs(facts), sought.boots(facts));
    // A specialisation was deployed with its system.
    let current = if facts.specialisation.is_some() { &facts.profile } else { &facts.current };
    match (runs, boots) {
        (true, _) if facts.interrupted => Drift::Interrupted,
        (true, true) if facts.reboot.is_empty() => Drift::None,
        (true, true) => Drift::RebootPending,
        (true, false) => Drift::NotBootDefault,
        (false, true) if sought.runs_otherwise(facts) => Drift::Specialisation,
        (false, true) => Drift::NotRunning,
        (false, false) if current.as_ref().is_some_and(|current| deployed.contains(current)) => Drift::Behind,
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
    fn names_are_those_of_the_data() {
        for drift in Drift::ALL {
            assert_eq!(serde_json::to_value(drift).unwrap(), drift.name());
            assert_eq!(Drift::named(drift.name()), Some(drift));
        }
    }

    #[test]
    fn every_kind_has_its_name() {
        let facts =
            |current, profile| Facts { current: Some(path(current)), profile: Some(path(profile)), ..Facts::default() };
        let deployed = BTreeSet::from([path('a')]);
        let wanted = path('w');
        let of = |facts: &Facts| drift(Some(Sought::plain(&wanted)), facts, &deployed);
        assert_eq!(of(&facts('w', 'w')), Drift::None);
        assert_eq!(of(&Facts { reboot: vec![RebootReason::Kernel], ..facts('w', 'w') }), Drift::RebootPending);
        assert_eq!(of(&Facts { interrupted: true, ..facts('w', 'w') }), Drift::Interrupted);
        assert_eq!(of(&facts('w', 'a')), Drift::NotBootDefault);
        assert_eq!(of(&facts('a', 'w')), Drift::NotRunning);
        let gaming = |profile| Facts { specialisation: Some("gaming".to_owned()), ..facts('s', profile) };
        assert_eq!(of(&gaming('w')), Drift::Specialisation);
        assert_eq!(of(&gaming('a')), Drift::Behind);
        let sought = Sought { toplevel: &wanted, specialisation: Some("gaming") };
        assert_eq!(drift(Some(sought), &gaming('w'), &deployed), Drift::None);
        assert_eq!(drift(Some(sought), &facts('w', 'w'), &deployed), Drift::Specialisation);
        assert_eq!(of(&facts('a', 'a')), Drift::Behind);
        assert_eq!(of(&facts('b', 'b')), Drift::BuiltElsewhere);
        assert_eq!(of(&Facts::default()), Drift::BuiltElsewhere);
        assert_eq!(drift(None, &facts('w', 'w'), &deployed), Drift::Unknown);
    }
}
