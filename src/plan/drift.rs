//! How what a host runs differs from what the flake wants, and from what the host itself boots.

use std::cmp::Ordering;

use serde::Serialize;

use super::sought::Sought;
use crate::nix::StorePath;
use crate::remote::Facts;

/// A way in which a host is not as the flake wants it, or not as it would be after a boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// There is none: it runs what the flake wants, boots it by default, and was booted with it as far as that matters.
    None,
    /// Switching to what it runs, or making that the boot default, did not come to its end.
    Interrupted,
    /// What the flake wants is not known.
    Unknown,
    /// It runs what was deployed from an earlier state of this flake.
    Behind,
    /// It runs what was deployed from a later state of this flake than the one at hand.
    Ahead,
    /// It runs something that was not deployed from here.
    BuiltElsewhere,
    /// What the flake wants is the boot default, and something else runs.
    NotRunning,
    /// It runs a specialisation that it is not to run, or not the one that it is to run.
    Specialisation,
    /// It boots something else by default than what runs.
    NotBootDefault,
    /// It was booted with another kernel, initrd, or the like than what runs.
    RebootPending,
}

impl Drift {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::RebootPending,
        Self::NotBootDefault,
        Self::Interrupted,
        Self::Specialisation,
        Self::NotRunning,
        Self::Behind,
        Self::Ahead,
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
            Self::Ahead => "ahead",
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
            Self::Interrupted => "interrupted",
            Self::Unknown => "not compared",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::BuiltElsewhere => "built elsewhere",
            Self::NotRunning => "not running yet",
            Self::Specialisation => "specialisation",
            Self::NotBootDefault => "not boot default",
            Self::RebootPending => "reboot pending",
        }
    }
}

/// A system that was deployed to a host from here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deployed {
    /// The toplevel.
    pub toplevel: StorePath,
    /// The flake's revision, where the work tree was clean.
    pub rev: Option<String>,
}

/// Holds what a host runs against what the flake wants, and gives every way in which it drifted, the main one first; nothing where it
/// is as wanted. `deployed` are the systems that were deployed to it from here, newest first; `order` is that of a revision and the
/// flake at hand, where one of them came out of the other.
pub fn drifts(
    sought: Option<Sought<'_>>,
    facts: &Facts,
    deployed: &[Deployed],
    order: impl Fn(&str) -> Option<Ordering>,
) -> Vec<Drift> {
    let interrupted = (facts.interrupted || facts.halfway.is_some()).then_some(Drift::Interrupted);
    let from_flake = sought.map_or(Some(Drift::Unknown), |sought| from_flake(sought, facts, deployed, order));
    let wanted = sought.and_then(|sought| sought.specialisation);
    let specialised = facts.specialisation.is_some() && facts.specialisation.as_deref() != wanted;
    let boots_other = facts.current.is_some()
        && facts.current != facts.profile
        && facts.specialisation.is_none()
        && !matches!(from_flake, Some(Drift::NotRunning | Drift::Specialisation));
    let of_host = [
        (specialised && from_flake != Some(Drift::Specialisation), Drift::Specialisation),
        (boots_other, Drift::NotBootDefault),
        (!facts.reboot.is_empty(), Drift::RebootPending),
    ];
    let of_host = of_host.into_iter().filter(|(holds, _)| *holds).map(|(_, drift)| drift);
    interrupted.into_iter().chain(from_flake).chain(of_host).collect()
}

/// How what runs differs from what the flake wants.
fn from_flake(
    sought: Sought<'_>,
    facts: &Facts,
    deployed: &[Deployed],
    order: impl Fn(&str) -> Option<Ordering>,
) -> Option<Drift> {
    match (sought.runs(facts), sought.boots(facts)) {
        (true, _) => None,
        (false, true) if sought.runs_otherwise(facts) => Some(Drift::Specialisation),
        (false, true) => Some(Drift::NotRunning),
        (false, false) => Some(from_records(sought.toplevel, facts.system(), deployed, order)),
    }
}

/// Whether what runs was deployed before or after the flake was as it is. The revisions tell; where they do not, the order of
/// deployments does: a flake that wants what the host ran before went back.
fn from_records(
    wanted: &StorePath,
    runs: Option<&StorePath>,
    deployed: &[Deployed],
    order: impl Fn(&str) -> Option<Ordering>,
) -> Drift {
    let is_it = |one: &Deployed| Some(&one.toplevel) == runs;
    let Some(at) = deployed.iter().position(is_it) else { return Drift::BuiltElsewhere };
    let orders = deployed.iter().filter(|one| is_it(one)).filter_map(|one| order(one.rev.as_deref()?));
    match orders.into_iter().find(|order| order.is_ne()) {
        Some(Ordering::Greater) => Drift::Ahead,
        None if deployed[at..].iter().any(|one| one.toplevel == *wanted) => Drift::Ahead,
        Some(_) | None => Drift::Behind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RebootReason;

    fn path(hash: char) -> StorePath {
        format!("/nix/store/{}-nixos-system-p620-25.11", hash.to_string().repeat(32)).parse().unwrap()
    }

    fn facts(current: char, profile: char) -> Facts {
        Facts { current: Some(path(current)), profile: Some(path(profile)), ..Facts::default() }
    }

    /// How a host drifted where `w` is wanted, and these were deployed, newest first, each with its revision.
    fn of(facts: &Facts, specialisation: Option<&str>, deployed: &[(char, &str)]) -> Vec<Drift> {
        let deployed: Vec<_> = deployed
            .iter()
            .map(|(hash, rev)| Deployed {
                toplevel: path(*hash),
                rev: Some((*rev).to_owned()).filter(|rev| !rev.is_empty()),
            })
            .collect();
        let order = |rev: &str| match rev {
            "old" => Some(Ordering::Less),
            "new" => Some(Ordering::Greater),
            "same" => Some(Ordering::Equal),
            _ => None,
        };
        drifts(Some(Sought { toplevel: &path('w'), specialisation }), facts, &deployed, order)
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
        use Drift::{Interrupted, NotBootDefault, NotRunning, RebootPending, Specialisation, Unknown};
        let plain = |facts: &Facts| of(facts, None, &[]);
        let reboot = || vec![RebootReason::Kernel];
        assert_eq!(plain(&facts('w', 'w')), []);
        assert_eq!(plain(&Facts { reboot: reboot(), ..facts('w', 'w') }), [RebootPending]);
        assert_eq!(plain(&Facts { interrupted: true, ..facts('w', 'w') }), [Interrupted]);
        assert_eq!(plain(&Facts { halfway: Some(path('w')), ..facts('w', 'w') }), [Interrupted]);
        assert_eq!(plain(&facts('w', 'a')), [NotBootDefault]);
        assert_eq!(plain(&facts('a', 'w')), [NotRunning]);
        let gaming = |profile| Facts { specialisation: Some("gaming".to_owned()), ..facts('s', profile) };
        assert_eq!(plain(&gaming('w')), [Specialisation]);
        assert_eq!(of(&gaming('w'), Some("gaming"), &[]), []);
        assert_eq!(of(&facts('w', 'w'), Some("gaming"), &[]), [Specialisation]);
        let none = |_: &str| None;
        assert_eq!(drifts(None, &facts('w', 'w'), &[], none), [Unknown]);
        let own = Facts { reboot: reboot(), ..facts('a', 'b') };
        assert_eq!(drifts(None, &own, &[], none), [Unknown, NotBootDefault, RebootPending]);
    }

    #[test]
    fn what_was_deployed_from_here_is_behind_or_ahead() {
        use Drift::{Ahead, Behind, BuiltElsewhere, NotBootDefault, RebootPending, Specialisation};
        let runs_a = facts('a', 'a');
        for (deployed, drift) in [
            (&[][..], BuiltElsewhere),
            (&[('b', "old")], BuiltElsewhere),
            (&[('a', "old")], Behind),
            (&[('a', "new")], Ahead),
            // The revisions go before the order: what was reverted is wanted anew.
            (&[('a', "old"), ('w', "old")], Behind),
            (&[('a', "same"), ('w', "")], Ahead),
            (&[('a', "diverged")], Behind),
            (&[('a', ""), ('w', "")], Ahead),
            (&[('w', ""), ('a', "")], Behind),
        ] {
            assert_eq!(of(&runs_a, None, deployed), [drift], "{deployed:?}");
        }
        assert_eq!(of(&Facts::default(), None, &[('a', "old")]), [BuiltElsewhere]);
        let more = Facts { reboot: vec![RebootReason::Initrd], ..facts('a', 'b') };
        assert_eq!(of(&more, None, &[('a', "old")]), [Behind, NotBootDefault, RebootPending]);
        let gaming = Facts { specialisation: Some("gaming".to_owned()), ..facts('s', 'a') };
        assert_eq!(of(&gaming, None, &[('a', "old")]), [Behind, Specialisation]);
    }
}
