//! How it stands with the values of secrets, without any private key.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::care::Care;
use super::record::{Record, Rotation};
use super::target::Target;

/// How it is known when a value was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// It was written down.
    Record,
    /// From git's history: the value is not older, and may be younger.
    Git,
}

/// How it stands with the value of a secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Standing {
    /// The secret.
    pub secret: Target,
    /// When it got its value, where that is known.
    pub since: Option<Timestamp>,
    /// How that is known.
    pub known_by: Option<Known>,
    /// How old it is, in days.
    pub days: Option<i64>,
    /// How old it may become, in days.
    pub max_days: Option<i64>,
    /// Whether it is older than that.
    pub due: bool,
    /// How a new value is made, where that is said.
    pub generate: Option<&'static str>,
    /// Secrets that should have the same value, and did not get theirs together with it, or have one of another length.
    pub differs_from: Vec<Target>,
}

impl Standing {
    /// Whether nothing has to be done.
    pub fn is_well(&self) -> bool {
        !self.due && self.differs_from.is_empty()
    }
}

/// How it stands with `secrets`, each with what the rules call it. `in_git` has when the files of those that are not on record got
/// their values, and `lengths` how long values are, as far as that is known.
pub fn standing(
    secrets: &BTreeMap<Target, Option<String>>,
    care: &Care,
    record: &Record,
    in_git: &BTreeMap<Target, Timestamp>,
    lengths: &BTreeMap<Target, u64>,
    now: Timestamp,
) -> Vec<Standing> {
    let last = record.last();
    let one = |(target, name): (&Target, &Option<String>)| {
        let policy = care.policy(target, name.as_deref());
        let recorded = last.get(target.to_string().as_str()).map(|one| (one.at, Known::Record));
        let known = recorded.or_else(|| in_git.get(target).map(|at| (*at, Known::Git)));
        let seconds = known.map(|(at, _)| now.as_second() - at.as_second());
        let max = policy.max_age.map(|age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        Standing {
            secret: target.clone(),
            since: known.map(|(at, _)| at),
            known_by: known.map(|(_, how)| how),
            days: seconds.map(days),
            max_days: max.map(days),
            due: seconds.zip(max).is_some_and(|(seconds, max)| seconds > max),
            generate: policy.generate.as_ref().map(crate::secrets::generate::Generator::kind),
            differs_from: differing(target, &care.group(target), &last, lengths),
        }
    };
    secrets.iter().map(one).collect()
}

fn days(seconds: i64) -> i64 {
    seconds / (24 * 60 * 60)
}

/// Those of a group that surely have another value than `target`, or got theirs at another time.
fn differing(
    target: &Target,
    group: &BTreeSet<Target>,
    last: &BTreeMap<&str, &Rotation>,
    lengths: &BTreeMap<Target, u64>,
) -> Vec<Target> {
    let id = |target: &Target| last.get(target.to_string().as_str()).map(|one| &one.id);
    let differs = |other: &&Target| {
        let lengths = lengths.get(target).zip(lengths.get(*other));
        id(target) != id(other) || lengths.is_some_and(|(one, other)| one != other)
    };
    group.iter().filter(|other| *other != target).filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::secrets::rotation::Policy;

    fn of(path: &str) -> Target {
        Target::file(Path::new(path))
    }

    #[test]
    fn what_is_older_than_it_may_become_is_due() {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let policy = Policy { max_age: Some(Duration::from_secs(30 * 86400)), ..Policy::default() };
        let care = Care::new(&[("*".to_owned(), policy)], |_| None);
        let mut record = Record::default();
        record.add([&of("old"), &of("renewed")], "2026-04-01T00:00:00Z".parse().unwrap(), "set", "a");
        record.add([&of("renewed")], "2026-05-02T00:00:00Z".parse().unwrap(), "hex", "b");
        let in_git = BTreeMap::from([
            (of("git"), "2026-05-01T00:00:00Z".parse().unwrap()),
            (of("renewed"), "2020-05-01T00:00:00Z".parse().unwrap()),
        ]);
        let secrets = ["git", "old", "renewed", "unknown"].map(|path| (of(path), None)).into();
        let all = standing(&secrets, &care, &record, &in_git, &BTreeMap::new(), now);
        let told: Vec<_> = all.iter().map(|one| (one.days, one.known_by, one.due)).collect();
        let expected = [
            (Some(31), Some(Known::Git), true),
            (Some(61), Some(Known::Record), true),
            (Some(30), Some(Known::Record), false),
            (None, None, false),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn copies_that_did_not_change_together_differ() {
        let policy = Policy { copies: vec!["b".to_owned()], ..Policy::default() };
        let care = Care::new(&[("a".to_owned(), policy)], |word| Some(of(word)));
        let secrets: BTreeMap<_, _> = ["a", "b", "c"].map(|path| (of(path), None)).into();
        let mut record = Record::default();
        let differs = |record: &Record, lengths: &[(&str, u64)]| {
            let lengths = lengths.iter().map(|(path, length)| (of(path), *length)).collect();
            let all = standing(&secrets, &care, record, &BTreeMap::new(), &lengths, Timestamp::UNIX_EPOCH);
            all.iter().filter(|one| !one.is_well()).count()
        };
        assert_eq!(
            (differs(&record, &[("a", 3), ("b", 3), ("c", 4)]), differs(&record, &[("a", 3), ("b", 4)])),
            (0, 2)
        );
        record.add([&of("a"), &of("b")], Timestamp::UNIX_EPOCH, "hex", "x");
        assert_eq!(differs(&record, &[]), 0);
        record.add([&of("b")], "2026-05-02T00:00:00Z".parse().unwrap(), "set", "y");
        assert_eq!(differs(&record, &[]), 2);
    }
}
