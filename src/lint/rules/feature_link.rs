//! Features that speak of others that there are not, or that can never be enabled.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Rule};
use crate::error::nearest;
use crate::lint::finding::Finding;
use crate::lint::options::{Link, What};
use crate::lint::tree::Tree;

pub(super) const RULE: Rule = rule!("feature-link", Error, Check::Tree(check));

/// The options that are features, and the end of their names that goes without saying.
const NAMESPACE: &str = "features";
const ENABLE: &str = "enable";

/// What a feature says of others, and the file that says it.
struct Feature<'a> {
    path: &'a str,
    links: Vec<&'a Link>,
}

impl<'a> Feature<'a> {
    fn named(&self, conflicts: bool) -> impl Iterator<Item = &'a str> {
        self.links.iter().filter(move |link| link.is_conflict == conflicts).map(|link| link.name.as_str())
    }
}

fn check(tree: &Tree<'_>) -> Vec<(String, Finding)> {
    let mut features: BTreeMap<String, Feature<'_>> = BTreeMap::new();
    let mut is_all_known = true;
    for (path, declared) in tree.files.iter().flat_map(|(path, facts)| facts.declared.iter().map(move |one| (*path, one))) {
        let may_be_feature = declared.path.first().is_none_or(|first| first == NAMESPACE || first == "*");
        is_all_known &= !may_be_feature || declared.what != What::Unknown && !declared.path.iter().any(|part| part == "*");
        if let Some(name) = name(&declared.path) {
            let feature = features.entry(name).or_insert(Feature { path, links: Vec::new() });
            feature.links.extend(&declared.links);
        }
    }
    let unknown = if is_all_known { unknown(&features) } else { Vec::new() };
    unknown.into_iter().chain(contradictions(&features)).collect()
}

/// The name of the feature that an option is.
fn name(path: &[String]) -> Option<String> {
    let (first, rest) = path.split_first().filter(|(first, _)| *first == NAMESPACE)?;
    let rest = rest.strip_suffix(&[ENABLE.to_owned()]).filter(|rest| !rest.is_empty()).unwrap_or(rest);
    (!rest.is_empty() && !first.is_empty()).then(|| rest.join("."))
}

fn unknown(features: &BTreeMap<String, Feature<'_>>) -> Vec<(String, Finding)> {
    let links = features.values().flat_map(|feature| feature.links.iter().map(move |link| (feature.path, *link)));
    let unknown = links.filter(|(_, link)| !features.contains_key(&link.name));
    let finding = |link: &Link| {
        let finding = Finding::at(link.span.clone(), format!("no module declares the feature `{}`", link.name));
        match nearest(&link.name, features.keys().map(String::as_str)) {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None => finding.hint("names are those of options, without `features.` in front and `.enable` behind"),
        }
    };
    unknown.map(|(path, link)| (path.to_owned(), finding(link))).collect()
}

/// Features with all that they require, two of which conflict. What requires such a one is not told as well.
fn contradictions(features: &BTreeMap<String, Feature<'_>>) -> Vec<(String, Finding)> {
    let all: BTreeMap<&str, (&str, &str)> =
        features.keys().filter_map(|name| Some((name.as_str(), contradiction(features, name)?))).collect();
    let is_first = |name: &str| features[name].named(false).all(|required| required == name || !all.contains_key(required));
    let first = all.iter().filter(|(name, _)| is_first(name));
    let finding = |(name, (one, two)): (&&str, &(&str, &str))| {
        let feature = &features[*name];
        let link = feature.links.first()?;
        let message = format!("`{name}` can never be enabled: it takes both `{one}` and `{two}`, which conflict");
        Some((feature.path.to_owned(), Finding::at(link.span.clone(), message)))
    };
    first.filter_map(finding).collect()
}

fn contradiction<'a>(features: &'a BTreeMap<String, Feature<'a>>, of: &'a str) -> Option<(&'a str, &'a str)> {
    let (mut taken, mut next) = (BTreeSet::new(), vec![of]);
    while let Some(name) = next.pop() {
        if taken.insert(name) {
            next.extend(features.get(name).into_iter().flat_map(|feature| feature.named(false)));
        }
    }
    let conflict = |name: &&'a str| {
        let of = features.get(*name)?;
        Some((*name, of.named(true).find(|other| other != name && taken.contains(other))?))
    };
    taken.iter().find_map(conflict)
}
