//! What differs between two systems, as far as what they consist of tells.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::nix::{PackageChange, diff_closures};
use crate::remote::{RebootReason, System, UnitChanges};

/// What differs between two systems. What cannot be known is none.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Changes {
    /// Packages, by name.
    pub packages: Vec<PackageChange>,
    /// The sizes of the closures.
    pub closure: Sizes,
    /// What only a boot brings.
    pub reboot: Vec<RebootReason>,
    /// What becomes of the host's units.
    pub units: Option<UnitChanges>,
    /// Users.
    pub users: Option<Names>,
    /// Groups.
    pub groups: Option<Names>,
    /// Ports that the firewall lets through.
    pub ports: Option<Names>,
    /// Files below `/etc`.
    pub etc: Option<Names>,
    /// Secrets.
    pub secrets: Option<Names>,
}

/// The sizes of two closures, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sizes {
    /// Of the old one.
    pub old: u64,
    /// Of the new one.
    pub new: u64,
}

/// Names that appear, disappear, or stand for something else.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Names {
    /// Those that only the new system has.
    pub added: Vec<String>,
    /// Those that only the old system has.
    pub removed: Vec<String>,
    /// Those that both have and that may not be the same.
    pub changed: Vec<String>,
}

impl Sizes {
    /// How much larger the new one is.
    pub fn change(self) -> i64 {
        let signed = |size| i64::try_from(size).unwrap_or(i64::MAX);
        signed(self.new) - signed(self.old)
    }
}

impl Names {
    /// How many names differ.
    pub fn count(&self) -> usize {
        self.added.len() + self.removed.len() + self.changed.len()
    }

    fn of(old: Option<&BTreeSet<String>>, new: Option<&BTreeSet<String>>) -> Option<Self> {
        let (old, new) = (old?, new?);
        let only = |a: &BTreeSet<String>, b| a.difference(b).cloned().collect();
        Some(Self { added: only(new, old), removed: only(old, new), changed: Vec::new() })
    }

    fn of_files(old: Option<&BTreeMap<String, String>>, new: Option<&BTreeMap<String, String>>) -> Option<Self> {
        let (old, new) = (old?, new?);
        let only = |a: &BTreeMap<String, String>, b: &BTreeMap<_, _>| {
            a.keys().filter(|name| !b.contains_key(*name)).cloned().collect()
        };
        let differs = |(name, text): &(&String, &String)| new.get(*name).is_some_and(|other| other != *text);
        let changed = old.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        Some(Self { added: only(new, old), removed: only(old, new), changed })
    }
}

/// What differs between two systems. What becomes of units is not in what they consist of.
pub fn changes(old: &System, new: &System) -> Changes {
    let reasons: BTreeSet<_> = old.boots.keys().chain(new.boots.keys()).copied().collect();
    Changes {
        packages: diff_closures(&old.closure, &new.closure),
        closure: Sizes { old: old.closure.size(), new: new.closure.size() },
        reboot: reasons.into_iter().filter(|part| old.boots.get(part) != new.boots.get(part)).collect(),
        units: None,
        users: Names::of(old.users.as_ref(), new.users.as_ref()),
        groups: Names::of(old.groups.as_ref(), new.groups.as_ref()),
        ports: Names::of(old.ports.as_ref(), new.ports.as_ref()),
        etc: Names::of_files(old.etc.as_ref(), new.etc.as_ref()),
        secrets: Names::of(old.secrets.as_ref(), new.secrets.as_ref()),
    }
}

/// What several have in common, told once: each thing with all who have it, and the things of the same owners together. What most have
/// comes first.
pub fn shared<O: Clone + Ord, T: Clone + Ord>(of: &BTreeMap<O, BTreeSet<T>>) -> Vec<(BTreeSet<O>, BTreeSet<T>)> {
    let mut owners = BTreeMap::<&T, BTreeSet<O>>::new();
    for (owner, thing) in of.iter().flat_map(|(owner, things)| things.iter().map(move |thing| (owner, thing))) {
        owners.entry(thing).or_default().insert(owner.clone());
    }
    let mut together = BTreeMap::<BTreeSet<O>, BTreeSet<T>>::new();
    for (thing, owners) in owners {
        together.entry(owners).or_default().insert(thing.clone());
    }
    let mut together: Vec<_> = together.into_iter().collect();
    together.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    together
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::Closure;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn etc(files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_differs_is_found_and_what_is_not_known_is_not_told() {
        let closure = |name| Closure::parse(&format!("/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-{name} 100"));
        let old = System {
            closure: closure("vim-9.0"),
            boots: [(RebootReason::Kernel, "a".to_owned()), (RebootReason::Initrd, "i".to_owned())].into(),
            etc: Some(etc(&[("hosts", "1"), ("same", "1"), ("gone", "1")])),
            users: Some(set(&["ann", "bob"])),
            ports: Some(set(&["22/tcp"])),
            ..System::default()
        };
        let new = System {
            closure: closure("vim-9.1"),
            boots: [(RebootReason::Kernel, "b".to_owned()), (RebootReason::Initrd, "i".to_owned())].into(),
            etc: Some(etc(&[("hosts", "2"), ("same", "1"), ("new", "1")])),
            users: Some(set(&["ann", "eve"])),
            secrets: Some(set(&["key"])),
            ports: None,
            ..System::default()
        };
        let found = changes(&old, &new);
        assert_eq!((found.packages.len(), found.closure.change()), (1, 0));
        assert_eq!(found.reboot, [RebootReason::Kernel]);
        let names = |added: &str, removed: &str, changed: &[&str]| Names {
            added: vec![added.to_owned()],
            removed: vec![removed.to_owned()],
            changed: changed.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(found.users, Some(names("eve", "bob", &[])));
        assert_eq!(found.etc, Some(names("new", "gone", &["hosts"])));
        assert_eq!((found.groups, found.ports, found.secrets, found.units), (None, None, None, None));
    }

    #[test]
    fn what_several_have_is_told_once() {
        let of = BTreeMap::from([
            ("a", set(&["x", "y"])),
            ("b", set(&["x", "y", "z"])),
            ("c", set(&["x"])),
            ("d", set(&[])),
        ]);
        let told: Vec<_> = shared(&of)
            .into_iter()
            .map(|(owners, things)| {
                let owners: Vec<_> = owners.into_iter().collect();
                format!("{}: {}", owners.join(" "), things.into_iter().collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert_eq!(told, ["a b c: x", "a b: y", "b: z"]);
    }
}
