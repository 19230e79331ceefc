//! Which generations of a host may go, and what keeps each of the others.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::fleet::KeepPolicy;
use crate::nix::StorePath;
use crate::remote::{Facts, Generation};

/// What keeps a generation.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptFor {
    /// The host boots it by default.
    BootDefault,
    /// The host runs it, or a specialisation of it.
    Running,
    /// The host was booted with it, or with a specialisation of it.
    Booted,
    /// `rollback` goes there.
    Previous,
    /// It was deployed and confirmed last, or `rollback --deployment` goes back there from that deployment.
    Confirmed,
    /// It is one of the newest.
    Newest,
    /// It was made not long ago, or it is not known when.
    Young,
    /// The host does not tell what it boots.
    Unsure,
}

impl KeptFor {
    /// What a person calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BootDefault => "boot default",
            Self::Running => "running",
            Self::Booted => "booted",
            Self::Previous => "rollback goes there",
            Self::Confirmed => "last deployment",
            Self::Newest => "newest",
            Self::Young => "young",
            Self::Unsure => "the boot default is not known",
        }
    }
}

/// A generation with all that keeps it; it may go where nothing does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fate {
    /// The generation.
    pub generation: Generation,
    /// What keeps it.
    pub kept_for: BTreeSet<KeptFor>,
}

impl Fate {
    /// Whether nothing keeps it.
    pub fn may_go(&self) -> bool {
        self.kept_for.is_empty()
    }
}

/// What becomes of each of a host's generations. `confirmed` are the systems that the last deployment promises: the one that it
/// left there, and the one before it.
pub fn fates(
    generations: &[Generation],
    facts: &Facts,
    confirmed: &BTreeSet<StorePath>,
    policy: KeepPolicy,
) -> Vec<Fate> {
    let mut numbers: Vec<_> = generations.iter().map(|one| one.number).collect();
    numbers.sort_unstable();
    let newest: BTreeSet<_> = numbers.iter().rev().take(policy.keep.get()).copied().collect();
    // Where nothing is the boot default, nothing is known of what may be needed.
    let default = facts.generation.filter(|number| numbers.contains(number));
    let previous = numbers.iter().rev().find(|number| default.is_some_and(|default| **number < default)).copied();
    let is_at = |one: &Generation, path: &Option<StorePath>| path.as_ref().is_some_and(|path| one.has(path));
    let fate = |one: &Generation| {
        let reasons = [
            (default == Some(one.number) || is_at(one, &facts.profile), KeptFor::BootDefault),
            (is_at(one, &facts.current), KeptFor::Running),
            (is_at(one, &facts.booted), KeptFor::Booted),
            (previous == Some(one.number), KeptFor::Previous),
            (confirmed.iter().any(|path| one.has(path)), KeptFor::Confirmed),
            (newest.contains(&one.number), KeptFor::Newest),
            (is_young(one, facts.now, policy), KeptFor::Young),
            (default.is_none(), KeptFor::Unsure),
        ];
        let kept_for = reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect();
        Fate { generation: one.clone(), kept_for }
    };
    generations.iter().map(fate).collect()
}

/// Whether a generation was made within the time for which each is kept, by the host's own clock.
fn is_young(one: &Generation, now: Option<i64>, policy: KeepPolicy) -> bool {
    if policy.keep_since.is_zero() {
        return false;
    }
    let age = now.zip(one.created.map(Timestamp::as_second)).map(|(now, created)| now.saturating_sub(created));
    let limit = i64::try_from(policy.keep_since.as_secs()).unwrap_or(i64::MAX);
    age.is_none_or(|age| age <= limit)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use proptest::collection::{btree_map, btree_set};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_760_000_000;
    const DAY: i64 = 24 * 60 * 60;

    fn path(system: u8) -> StorePath {
        format!("/nix/store/{system:032}-nixos-system-p620-25.11").parse().unwrap()
    }

    fn policy(keep: usize, days: u64) -> KeepPolicy {
        let keep_since = Duration::from_secs(days * 24 * 60 * 60);
        KeepPolicy { keep: NonZeroUsize::new(keep).unwrap(), keep_since }
    }

    fn generation(number: u64, system: u8, days: Option<i64>) -> Generation {
        let created = days.map(|days| Timestamp::from_second(NOW - days * DAY).unwrap());
        Generation { number, created, toplevel: path(system), specialisations: Vec::new(), version: None }
    }

    fn facts(generation: Option<u64>, profile: u8, current: u8, booted: u8) -> Facts {
        let (profile, current, booted) = (Some(path(profile)), Some(path(current)), Some(path(booted)));
        Facts { generation, profile, current, booted, now: Some(NOW), ..Facts::default() }
    }

    fn going(fates: &[Fate]) -> Vec<u64> {
        fates.iter().filter(|fate| fate.may_go()).map(|fate| fate.generation.number).collect()
    }

    #[test]
    fn what_is_old_and_of_no_use_may_go() {
        let all: Vec<_> =
            (1..=8).map(|number| generation(u64::from(number), number, Some(80 - i64::from(number)))).collect();
        let none = BTreeSet::new();
        let at_newest = facts(Some(8), 8, 8, 8);
        assert_eq!(going(&fates(&all, &at_newest, &none, policy(3, 0))), [1, 2, 3, 4, 5]);
        assert_eq!(going(&fates(&all, &at_newest, &none, policy(3, 76))), [1, 2, 3]);
        assert_eq!(going(&fates(&all, &at_newest, &BTreeSet::from([path(2)]), policy(1, 0))), [1, 3, 4, 5, 6]);
        // One that was rolled back to runs and boots an old one.
        assert_eq!(going(&fates(&all, &facts(Some(4), 4, 4, 1), &none, policy(1, 0))), [2, 5, 6, 7]);
        assert_eq!(going(&fates(&all, &facts(None, 8, 8, 8), &none, policy(1, 0))), [0; 0]);
        assert_eq!(going(&fates(&all, &facts(Some(9), 8, 8, 8), &none, policy(1, 0))), [0; 0]);
    }

    #[test]
    fn a_generation_of_which_a_specialisation_runs_stays() {
        let with = Generation { specialisations: vec![path(9)], ..generation(1, 1, Some(90)) };
        let all = [with, generation(2, 2, Some(90)), generation(3, 3, Some(90)), generation(4, 4, Some(90))];
        let all = fates(&all, &facts(Some(4), 4, 9, 9), &BTreeSet::new(), policy(1, 0));
        assert_eq!(going(&all), [2]);
        assert_eq!(all[0].kept_for, BTreeSet::from([KeptFor::Running, KeptFor::Booted]));
    }

    #[test]
    fn what_has_no_time_counts_as_young() {
        let all =
            [generation(1, 1, None), generation(2, 2, Some(-3)), generation(3, 3, Some(0)), generation(4, 4, Some(0))];
        assert_eq!(going(&fates(&all, &facts(Some(4), 4, 4, 4), &BTreeSet::new(), policy(1, 1))), [0; 0]);
        assert_eq!(going(&fates(&all, &facts(Some(4), 4, 4, 4), &BTreeSet::new(), policy(1, 0))), [1, 2]);
    }

    proptest! {
        /// Whatever the host and the policy are, all that a rollback may want to go to stays.
        #[test]
        fn what_a_rollback_promises_never_goes(
            systems in btree_map(1_u64..40, (0_u8..20, option::of(-5_i64..100)), 0..25),
            default in option::of(0_u64..42),
            (profile, current, booted) in (0_u8..20, 0_u8..20, 0_u8..20),
            confirmed in btree_set(0_u8..20, 0..3),
            (keep, days) in (1_usize..12, 0_u64..60),
        ) {
            let all: Vec<_> = systems.iter().map(|(number, (system, days))| generation(*number, *system, *days)).collect();
            // The profile's system is that of its generation.
            let profile = default.and_then(|number| systems.get(&number)).map_or(profile, |(system, _)| *system);
            let facts = facts(default, profile, current, booted);
            let promised: BTreeSet<_> = confirmed.iter().map(|system| path(*system)).collect();
            let all = fates(&all, &facts, &promised, policy(keep, days));
            let goes = going(&all);
            let stays = |number: u64| !goes.contains(&number);

            prop_assert_eq!(all.len(), systems.len());
            for (number, (system, age)) in &systems {
                let needed = [profile, current, booted].contains(system) || confirmed.contains(system);
                prop_assert!(!needed || stays(*number), "{} is needed", number);
                let young = days > 0 && age.is_none_or(|age| age <= i64::try_from(days).unwrap());
                prop_assert!(!young || stays(*number), "{} is young", number);
            }
            for number in systems.keys().rev().take(keep) {
                prop_assert!(stays(*number), "{} is one of the newest", number);
            }
            if let Some(default) = default {
                prop_assert!(!systems.contains_key(&default) || stays(default));
                let before = systems.keys().rev().find(|number| **number < default);
                prop_assert!(before.is_none_or(|number| stays(*number)), "{:?} is before the default", before);
            }
            prop_assert!(default.is_some_and(|default| systems.contains_key(&default)) || goes.is_empty());
        }
    }
}
