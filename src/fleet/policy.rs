//! What is done about a system that is live and not well, and how long it has to become well.

use std::time::Duration;

use globset::Glob;

use super::selector::is_glob;

/// What becomes of a system whose units fail when it is activated, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum FailedUnits {
    /// It stays, and is told as degraded.
    #[default]
    Tolerate,
    /// It stays, and the host counts as failed.
    Fail,
    /// It is taken back.
    Rollback,
}

/// Whether a host may be rebooted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reboots {
    /// It may, and comes back by itself.
    #[default]
    Allowed,
    /// It needs a person for that: somebody who types a passphrase, or switches it on.
    Never,
}

/// What a host has to fulfil to be deployed to, how an activation on it is judged, and for how long it is waited for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// How long an activation may take, lost contact included.
    pub activation_timeout: Duration,
    /// How long after its end an activation waits to be confirmed before the host takes it back; zero for ever.
    pub confirm: Duration,
    /// How full the battery of a host that runs on it has to be, in percent.
    pub min_battery: u8,
    /// What becomes of a system whose units fail.
    pub failed_units: FailedUnits,
    /// What differs from that for single units.
    pub units: UnitPolicies,
    /// Whether it may be rebooted.
    pub reboots: Reboots,
    /// How long it may take until it is back after a reboot, and how long that boot waits to be confirmed.
    pub reboot_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            activation_timeout: Duration::from_secs(30 * 60),
            confirm: Duration::from_secs(60),
            min_battery: 20,
            failed_units: FailedUnits::default(),
            units: UnitPolicies::default(),
            reboots: Reboots::default(),
            // Servers with much memory take minutes to test it.
            reboot_timeout: Duration::from_secs(5 * 60),
        }
    }
}

impl Policy {
    /// Whether what is activated is taken back unless it is confirmed.
    pub fn confirms(&self) -> bool {
        !self.confirm.is_zero()
    }

    /// Has units fail without any other consequence than that it is told.
    pub fn tolerate_failed_units(&mut self) {
        self.failed_units = FailedUnits::Tolerate;
        self.units = UnitPolicies::default();
    }

    /// What becomes of a system of which units fail: `new` had not failed before, `known` had. The strictest policy among the new
    /// ones decides. Where no unit is known to have failed at all, it is the host's.
    pub fn on_failed(&self, new: &[String], known: &[String]) -> FailedUnits {
        let of_units = new.iter().map(|unit| self.units.of(unit).unwrap_or(self.failed_units)).max();
        let of_host = if known.is_empty() { self.failed_units } else { FailedUnits::default() };
        of_units.unwrap_or(of_host)
    }

    /// The same of a system that lacks `secrets` too: units need them, whichever these are, so that the host's policy counts.
    pub fn on_lack(&self, new: &[String], known: &[String], secrets: &[String]) -> FailedUnits {
        let of_units = self.on_failed(new, known);
        if secrets.is_empty() { of_units } else { of_units.max(self.failed_units) }
    }
}

/// Policies for single units: a name goes before a glob, and of two globs the longer one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UnitPolicies(Vec<(Glob, FailedUnits)>);

impl UnitPolicies {
    /// Adds what `general` says of units that are not named here.
    pub(in crate::fleet) fn or(&mut self, general: &Self) {
        for (glob, policy) in &general.0 {
            if !self.0.iter().any(|(known, _)| known == glob) {
                self.insert(glob.clone(), *policy);
            }
        }
    }

    /// Adds a policy for the units that `glob` matches.
    pub(in crate::fleet) fn insert(&mut self, glob: Glob, policy: FailedUnits) {
        self.0.push((glob, policy));
        // Equal ones, of the same length, are told apart by their text, so that the order in the file means nothing.
        self.0.sort_by(|(a, _), (b, _)| rank(a).cmp(&rank(b)).then_with(|| a.glob().cmp(b.glob())));
    }

    fn of(&self, unit: &str) -> Option<FailedUnits> {
        let matching = |(glob, _): &&(Glob, FailedUnits)| glob.glob() == unit || glob.compile_matcher().is_match(unit);
        self.0.iter().find(matching).map(|(_, policy)| *policy)
    }
}

/// Names first, then long globs before short ones.
fn rank(glob: &Glob) -> (bool, std::cmp::Reverse<usize>) {
    (is_glob(glob.glob()), std::cmp::Reverse(glob.glob().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(failed_units: FailedUnits, units: &[(&str, FailedUnits)]) -> Policy {
        let mut policy = Policy { failed_units, ..Policy::default() };
        for (glob, of_units) in units {
            policy.units.insert(Glob::new(glob).unwrap(), *of_units);
        }
        policy
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_strictest_policy_of_the_new_units_decides() {
        use FailedUnits::{Fail, Rollback, Tolerate};
        let policy = policy(Fail, &[("nginx.service", Rollback), ("foo-*", Tolerate), ("foo-db*", Rollback)]);
        let on = |new: &[&str], known: &[&str]| policy.on_failed(&names(new), &names(known));
        assert_eq!(on(&["foo-a.service"], &[]), Tolerate);
        assert_eq!(on(&["foo-a.service", "bar.service"], &[]), Fail);
        assert_eq!(on(&["foo-a.service", "nginx.service"], &[]), Rollback);
        assert_eq!(on(&["foo-db.service"], &[]), Rollback, "the longer glob says more");
        assert_eq!(on(&[], &["nginx.service"]), Tolerate, "it had failed before");
        assert_eq!(on(&[], &[]), Fail, "what failed is not known");
        let lacks = |new: &[&str]| policy.on_lack(&names(new), &[], &names(&["wifi"]));
        assert_eq!((lacks(&["foo-a.service"]), lacks(&["nginx.service"]), lacks(&[])), (Fail, Rollback, Fail));
    }

    #[test]
    fn what_is_more_particular_goes_before() {
        let mut own = policy(FailedUnits::Tolerate, &[("a.service", FailedUnits::Fail)]).units;
        let general = [("a.service", FailedUnits::Rollback), ("b.service", FailedUnits::Rollback)];
        own.or(&policy(FailedUnits::Tolerate, &general).units);
        assert_eq!(own.of("a.service"), Some(FailedUnits::Fail));
        assert_eq!(own.of("b.service"), Some(FailedUnits::Rollback));
        assert_eq!(own.of("c.service"), None);
    }
}
