//! Whether the features of a host go together, as far as they themselves say what they require, what they conflict with and where
//! they belong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Serialize;

use crate::error::nearest;

/// What a feature says of others.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Feature {
    /// The features without which it is of no use.
    pub requires: BTreeSet<String>,
    /// The features beside which it cannot be; that holds for them too.
    pub conflicts: BTreeSet<String>,
    /// The roles and tags of the hosts that it is meant for; all, if there is none.
    pub belongs_to: BTreeSet<String>,
}

/// Something that is wrong with the features of a host.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case", tag = "problem")]
pub enum FeatureProblem {
    /// A feature is required and not enabled.
    Missing {
        /// From a feature that is enabled to the one that is missing, each requiring the next.
        chain: Vec<String>,
    },
    /// Two features are enabled of which one conflicts with the other.
    Conflict {
        /// From what nothing requires to the one that says so.
        chain: Vec<String>,
        /// The same for the other one.
        other: Vec<String>,
    },
    /// A feature is enabled on a host that it is not meant for.
    Misplaced {
        /// The feature.
        feature: String,
        /// What it is meant for.
        belongs_to: Vec<String>,
    },
    /// A feature speaks of one that there is not.
    Unknown {
        /// The feature.
        feature: String,
        /// The name that nothing has.
        named: String,
        /// The one that may be meant.
        nearest: Option<String>,
    },
}

impl std::fmt::Display for FeatureProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing { chain } => {
                let missing = chain.last().map_or("", String::as_str);
                write!(f, "`{missing}` is required and not enabled: {}", chain.join(" requires "))
            }
            Self::Conflict { chain, other } => {
                let (one, two) = (chain.last().map_or("", String::as_str), other.last().map_or("", String::as_str));
                write!(f, "`{one}` conflicts with `{two}`, and both are enabled")?;
                let chains = [chain, other].into_iter().filter(|chain| chain.len() > 1);
                let chains: Vec<_> = chains.map(|chain| chain.join(" requires ")).collect();
                if chains.is_empty() { Ok(()) } else { write!(f, ": {}", chains.join(", ")) }
            }
            Self::Misplaced { feature, belongs_to } => {
                write!(f, "`{feature}` is enabled and belongs to {}", belongs_to.join(", "))
            }
            Self::Unknown { feature, named, nearest } => {
                write!(f, "`{feature}` speaks of `{named}`, and there is no such feature")?;
                nearest.as_ref().map_or(Ok(()), |near| write!(f, "; did you mean `{near}`?"))
            }
        }
    }
}

/// What is wrong with the `enabled` features of a host that is called by `groups`, its role and its tags. A host without any is
/// meant for everything.
pub fn check_features(
    features: &BTreeMap<String, Feature>,
    enabled: &BTreeSet<String>,
    groups: &BTreeSet<String>,
) -> Vec<FeatureProblem> {
    let known = enabled.iter().filter_map(|name| features.get_key_value(name));
    let mut found = BTreeSet::new();
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, feature) in known {
        for chain in unmet(features, enabled, name) {
            let last = chain.last().copied().unwrap_or_default();
            let chain: Vec<_> = chain.iter().map(|name| (*name).to_owned()).collect();
            // The shortest chain says it best.
            let known = missing.entry(last).or_insert_with(|| chain.clone());
            if chain.len() < known.len() {
                *known = chain;
            }
        }
        for other in feature.conflicts.iter().filter(|other| *other != name && enabled.contains(*other)) {
            // Where both say so, it is told once.
            let is_told = features.get(other).is_some_and(|other| other.conflicts.contains(name)) && other < name;
            if !is_told {
                let (chain, other) = (cause(features, enabled, name), cause(features, enabled, other));
                found.insert(FeatureProblem::Conflict { chain, other });
            }
        }
        if !feature.belongs_to.is_empty() && !groups.is_empty() && feature.belongs_to.is_disjoint(groups) {
            let belongs_to = feature.belongs_to.iter().cloned().collect();
            found.insert(FeatureProblem::Misplaced { feature: name.clone(), belongs_to });
        }
    }
    found.extend(missing.into_values().map(|chain| FeatureProblem::Missing { chain }));
    found.into_iter().collect()
}

/// The names in what features say of others that no feature has.
pub fn unknown_features(features: &BTreeMap<String, Feature>) -> Vec<FeatureProblem> {
    let mut found = Vec::new();
    for (name, feature) in features {
        for named in feature.requires.union(&feature.conflicts).filter(|named| !features.contains_key(*named)) {
            let near = nearest(named, features.keys().map(String::as_str)).map(str::to_owned);
            found.push(FeatureProblem::Unknown { feature: name.clone(), named: named.clone(), nearest: near });
        }
    }
    found
}

/// The chains from an enabled feature to each that it requires, by way of others that are not enabled either. What there is not is
/// told elsewhere.
fn unmet<'a>(features: &'a BTreeMap<String, Feature>, enabled: &BTreeSet<String>, from: &'a str) -> Vec<Vec<&'a str>> {
    let (mut found, mut seen, mut next) = (Vec::new(), BTreeSet::from([from]), VecDeque::from([vec![from]]));
    while let Some(chain) = next.pop_front() {
        let required =
            chain.last().and_then(|last| features.get(*last)).into_iter().flat_map(|feature| &feature.requires);
        for name in required.filter(|name| features.contains_key(*name) && !enabled.contains(*name)) {
            if seen.insert(name.as_str()) {
                let chain: Vec<_> = chain.iter().copied().chain([name.as_str()]).collect();
                found.push(chain.clone());
                next.push_back(chain);
            }
        }
    }
    found
}

/// Why a feature is enabled: from what no enabled feature requires to it.
fn cause(features: &BTreeMap<String, Feature>, enabled: &BTreeSet<String>, of: &str) -> Vec<String> {
    let mut chain = VecDeque::from([of.to_owned()]);
    while let Some(first) = chain.front() {
        let requires = |name: &&String| features.get(*name).is_some_and(|feature| feature.requires.contains(first));
        let Some(by) = enabled.iter().filter(|name| !chain.contains(*name)).find(requires) else { break };
        chain.push_front(by.clone());
    }
    chain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn features() -> BTreeMap<String, Feature> {
        let feature = |requires: &str, conflicts: &str, belongs_to: &str| Feature {
            requires: set(requires),
            conflicts: set(conflicts),
            belongs_to: set(belongs_to),
        };
        BTreeMap::from([
            ("k3s".to_owned(), feature("docker", "", "server")),
            ("docker".to_owned(), feature("networking", "podman", "")),
            ("podman".to_owned(), feature("", "docker", "")),
            ("networking".to_owned(), feature("", "", "")),
            ("loop".to_owned(), feature("loop-back", "", "")),
            ("loop-back".to_owned(), feature("loop", "", "")),
        ])
    }

    fn told(enabled: &str, groups: &str) -> Vec<String> {
        check_features(&features(), &set(enabled), &set(groups)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_chain() {
        assert_eq!(told("k3s docker networking", "server"), [""; 0]);
        assert_eq!(told("networking nothing-known", ""), [""; 0]);
        assert_eq!(
            told("k3s", "server"),
            [
                "`docker` is required and not enabled: k3s requires docker",
                "`networking` is required and not enabled: k3s requires docker requires networking",
            ]
        );
        assert_eq!(
            told("docker k3s", "server"),
            ["`networking` is required and not enabled: docker requires networking"]
        );
        assert_eq!(
            told("k3s docker networking podman", "server"),
            ["`docker` conflicts with `podman`, and both are enabled: k3s requires docker"]
        );
        assert_eq!(told("k3s docker networking", "laptop amd"), ["`k3s` is enabled and belongs to server"]);
        assert_eq!(told("k3s docker networking", ""), [""; 0], "of this host it is not known what it is");
        assert_eq!(told("loop loop-back", ""), [""; 0]);
        assert_eq!(told("loop", ""), ["`loop-back` is required and not enabled: loop requires loop-back"]);
    }

    #[test]
    fn names_that_no_feature_has_are_told() {
        let mut features = features();
        features.entry("k3s".to_owned()).or_default().requires.insert("dockr".to_owned());
        let told: Vec<_> = unknown_features(&features).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["`k3s` speaks of `dockr`, and there is no such feature; did you mean `docker`?"]);
        assert_eq!(unknown_features(&self::features()), []);
    }
}
