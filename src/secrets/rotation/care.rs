//! What `hub.toml` says of secrets: how each gets a new value, how old that may become, and which have the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use globset::{Glob, GlobMatcher};

use super::target::Target;
use crate::secrets::generate::Generator;

/// What one table says of a secret, or of those that a glob names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Policy {
    /// How a new value is made.
    pub generate: Option<Generator>,
    /// How old a value may become.
    pub max_age: Option<Duration>,
    /// Secrets with the same value, as the user names them.
    pub copies: Vec<String>,
    /// The file that has the public key of a private one, below the root.
    pub public_key: Option<PathBuf>,
    /// The secret with the password of which this one has the hash, as the user names it.
    pub clear: Option<String>,
}

impl Policy {
    /// These settings, and those of `general` where these say nothing.
    fn or(self, general: &Self) -> Self {
        Self {
            generate: self.generate.or_else(|| general.generate.clone()),
            max_age: self.max_age.or(general.max_age),
            copies: self.copies,
            public_key: self.public_key.or_else(|| general.public_key.clone()),
            clear: self.clear.or_else(|| general.clear.clone()),
        }
    }
}

/// The tables, with what their names stand for.
#[derive(Debug, Default)]
pub struct Care {
    exact: BTreeMap<Target, Policy>,
    /// The longest first, which says the most.
    globs: Vec<(GlobMatcher, Policy)>,
    groups: Vec<BTreeSet<Target>>,
    unknown: Vec<String>,
}

impl Care {
    /// Finds out what the names of `tables` stand for: `resolve` knows the secrets that there are. Names that stand for none are kept
    /// apart, each with where it stands.
    pub fn new(tables: &[(String, Policy)], resolve: impl Fn(&str) -> Option<Target>) -> Self {
        let mut care = Self::default();
        let mut globs = Vec::new();
        for (word, policy) in tables {
            if let Some(glob) = glob(word) {
                globs.push((word.len(), glob, policy.clone()));
                continue;
            }
            let Some(target) = resolve(word) else {
                care.unknown.push(format!("[secrets.\"{word}\"]"));
                continue;
            };
            let mut group = BTreeSet::from([target.clone()]);
            for copy in &policy.copies {
                match resolve(copy) {
                    Some(copy) => drop(group.insert(copy)),
                    None => care.unknown.push(format!("`{copy}`, a copy of [secrets.\"{word}\"]")),
                }
            }
            if let Some(clear) = policy.clear.as_ref().filter(|clear| resolve(clear).is_none()) {
                care.unknown.push(format!("`{clear}`, the `clear` of [secrets.\"{word}\"]"));
            }
            care.join(group);
            care.exact.insert(target, policy.clone());
        }
        globs.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        care.globs = globs.into_iter().map(|(_, glob, policy)| (glob, policy)).collect();
        care
    }

    /// Secrets of one group have one value, and so have those of two groups with one in common.
    fn join(&mut self, mut group: BTreeSet<Target>) {
        if group.len() < 2 {
            return;
        }
        let (joined, apart) = std::mem::take(&mut self.groups).into_iter().partition(|one| !one.is_disjoint(&group));
        let joined: Vec<BTreeSet<Target>> = joined;
        group.extend(joined.into_iter().flatten());
        self.groups = apart;
        self.groups.push(group);
    }

    /// What the tables say of a secret: its own, and those of globs where its own says nothing, the longest first. `name` is what the
    /// rules call it.
    pub fn policy(&self, target: &Target, name: Option<&str>) -> Policy {
        let own = self.exact.get(target).cloned().unwrap_or_default();
        let whole = target.to_string();
        let is = |glob: &GlobMatcher| glob.is_match(&whole) || name.is_some_and(|name| glob.is_match(name));
        // A glob for files does not mean each of their values.
        let is = |glob: &GlobMatcher| is(glob) && glob.glob().glob().contains('#') == target.value.is_some();
        self.globs.iter().filter(|(glob, _)| is(glob)).fold(own, |policy, (_, general)| policy.or(general))
    }

    /// All secrets with the same value as this one, itself included.
    pub fn group(&self, target: &Target) -> BTreeSet<Target> {
        let group = self.groups.iter().find(|group| group.contains(target));
        group.cloned().unwrap_or_else(|| BTreeSet::from([target.clone()]))
    }

    /// The groups of secrets with the same value.
    pub fn groups(&self) -> &[BTreeSet<Target>] {
        &self.groups
    }

    /// Whether the tables name secrets by globs.
    pub fn has_globs(&self) -> bool {
        !self.globs.is_empty()
    }

    /// The secrets that the tables name themselves, also as copies.
    pub fn named(&self) -> BTreeSet<&Target> {
        self.exact.keys().chain(self.groups.iter().flatten()).collect()
    }

    /// What is named and is not there.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }
}

/// The secrets that a word stands for, where it is a glob.
fn glob(word: &str) -> Option<GlobMatcher> {
    if !word.contains(['*', '?', '[', '{']) {
        return None;
    }
    Glob::new(word).ok().map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(word: &str) -> Target {
        let (path, value) = Target::split(word);
        Target { path: path.into(), value: value.map(str::to_owned) }
    }

    fn care(tables: &[(&str, Policy)]) -> Care {
        let tables: Vec<_> = tables.iter().map(|(name, policy)| ((*name).to_owned(), policy.clone())).collect();
        Care::new(&tables, |word| (!word.starts_with("no")).then(|| target(word)))
    }

    fn copies(words: &[&str]) -> Policy {
        Policy { copies: words.iter().map(|word| (*word).to_owned()).collect(), ..Policy::default() }
    }

    #[test]
    fn a_secrets_own_table_goes_before_globs_and_the_longest_glob_before_others() {
        let of = |generate: Option<&str>, days: Option<u64>| Policy {
            generate: generate.map(|text| text.parse().unwrap()),
            max_age: days.map(|days| Duration::from_secs(days * 86400)),
            ..Policy::default()
        };
        let care = care(&[
            ("*", of(Some("hex"), Some(1))),
            ("secrets/*", of(None, Some(2))),
            ("secrets/a.age", of(Some("base64"), None)),
            ("*.yaml#db/*", of(Some("password"), None)),
        ]);
        let policy = |word: &str| {
            let policy = care.policy(&target(word), None);
            (policy.generate.map(|one| one.kind()), policy.max_age.map(|age| age.as_secs() / 86400))
        };
        assert_eq!(policy("secrets/a.age"), (Some("base64"), Some(2)));
        assert_eq!(policy("b.age"), (Some("hex"), Some(1)));
        assert_eq!(policy("web.yaml#db/x"), (Some("password"), None));
        assert_eq!(policy("web.yaml#token"), (None, None));
        let named = care.policy(&target("secrets/x/b.age"), Some("b"));
        assert_eq!(named.max_age, Some(Duration::from_secs(2 * 86400)));
    }

    #[test]
    fn groups_with_one_in_common_are_one() {
        let care = care(&[
            ("a", copies(&["b"])),
            ("c", copies(&["d#x/y", "none"])),
            ("e", copies(&["b", "c"])),
            ("not", Policy { clear: Some("z".to_owned()), ..Policy::default() }),
        ]);
        let group = care.group(&target("d#x/y"));
        let all: Vec<_> = group.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["a", "b", "c", "d#x/y", "e"]);
        assert_eq!(care.groups().len(), 1);
        assert_eq!(care.group(&target("z")).len(), 1);
        assert_eq!(care.unknown(), ["`none`, a copy of [secrets.\"c\"]", "[secrets.\"not\"]"]);
    }
}
