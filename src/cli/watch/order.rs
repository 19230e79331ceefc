//! Which hosts the table shows, and in which order.

use std::cmp::{Ordering, Reverse};

use super::model::Entry;
use crate::plan::Drift;
use crate::remote::Facts;

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sort {
    /// The names of hosts.
    #[default]
    Name,
    /// How they are, those first that want to be looked at.
    State,
    /// How old their generations are, the oldest first.
    Age,
    /// How many of their units failed, the most first.
    Failed,
    /// How much space their stores have left, the least first.
    Space,
    /// Since when they are up, the longest first.
    Uptime,
}

impl Sort {
    const ALL: [Self; 6] = [Self::Name, Self::State, Self::Age, Self::Failed, Self::Space, Self::Uptime];

    /// The next one, as a key goes through them.
    pub(super) fn next(self) -> Self {
        let at = Self::ALL.iter().position(|one| *one == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    /// Its column, as the table's header names it.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Name => "HOST",
            Self::State => "STATE",
            Self::Age => "AGE",
            Self::Failed => "FAILED",
            Self::Space => "STORE FREE",
            Self::Uptime => "UPTIME",
        }
    }
}

/// The hosts that have all words of `filter`, sorted. Those of which a column is not known come last in it either way.
pub(super) fn shown<'a>(entries: &'a [Entry], filter: &str, sort: Sort, reversed: bool) -> Vec<&'a Entry> {
    let words: Vec<_> = filter.split_whitespace().map(str::to_lowercase).collect();
    let mut shown: Vec<_> = entries.iter().filter(|entry| words.iter().all(|word| matches(entry, word))).collect();
    shown.sort_by(|a, b| {
        let by_column = match (key(a, sort), key(b, sort)) {
            (Some(a), Some(b)) if reversed => b.cmp(&a),
            (Some(a), Some(b)) => a.cmp(&b),
            (None, None) => Ordering::Equal,
            (a, _) => Reverse(a.is_some()).cmp(&Reverse(a.is_none())),
        };
        let by_name = a.name.cmp(&b.name);
        by_column.then(if reversed && sort == Sort::Name { by_name.reverse() } else { by_name })
    });
    shown
}

/// Whether a word of a filter is in the host's name, its role or its state, or begins one of its tags.
fn matches(entry: &Entry, word: &str) -> bool {
    if let Some(tag) = word.strip_prefix('@') {
        return entry.tags.iter().any(|known| known.to_lowercase().starts_with(tag));
    }
    let states = entry.seen.iter().flat_map(|seen| &seen.drifts).map(|drift| drift.as_str());
    let texts = [entry.name.as_str(), entry.role.as_deref().unwrap_or_default(), entry.word()];
    texts.into_iter().chain(states).any(|text| text.to_lowercase().contains(word))
}

/// What a host is sorted by; none where it is not known.
fn key(entry: &Entry, sort: Sort) -> Option<u64> {
    let facts = || entry.seen.as_ref()?.facts.as_ref();
    let of_facts = |value: fn(&Facts) -> Option<u64>| facts().and_then(value);
    match sort {
        Sort::Name => Some(0),
        Sort::State => Some(urgency(entry)),
        Sort::Age => of_facts(|facts| u64::try_from(facts.generation_made?).ok()),
        Sort::Failed => of_facts(|facts| Some(u64::MAX - u64::try_from(facts.failed_units.len()).ok()?)),
        Sort::Space => of_facts(|facts| Some(facts.store_space?.free)),
        Sort::Uptime => of_facts(|facts| Some(u64::MAX - facts.uptime?)),
    }
}

/// The lower, the more a host wants to be looked at.
fn urgency(entry: &Entry) -> u64 {
    let Some(seen) = &entry.seen else { return 90 };
    let by_drift = match seen.drift {
        None => return 0,
        Some(Drift::Interrupted) => 10,
        Some(Drift::NotRunning | Drift::NotBootDefault | Drift::Specialisation) => 30,
        Some(Drift::BuiltElsewhere) => 40,
        Some(Drift::Behind | Drift::Ahead) => 50,
        Some(Drift::RebootPending) => 60,
        Some(Drift::Unknown) => 70,
        Some(Drift::None) => 80,
    };
    if entry.has_trouble() { by_drift.min(20) } else { by_drift }
}
