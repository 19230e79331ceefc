//! Values of secrets, whatever their format: which secrets words mean, and all that changes along with a value: its copies, the
//! record of when it was made, and the list of those that have to be replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rand::RngCore as _;
use zeroize::Zeroizing;

use super::args::Keys;
use super::place::{Place, aside, ask, told};
use super::secret::{Secret, checked, checked_sops};
use super::{content, sops};
use crate::cli::config::Config;
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::fleet::config::HubToml;
use crate::secrets::age::Identities;
use crate::secrets::rotation::{Care, Known, Policy, Record, Standing, Target, last_changes, standing};
use crate::secrets::sops::{SopsSecret, Step, sealed_length, steps};
use crate::secrets::transaction::{Change, Seen, read_file};
use crate::secrets::{Rule, Rules, SecretsError, ToRotate};

/// All secrets of the repository, with what `hub.toml` says of them.
pub(super) struct Values<'a> {
    pub(super) root: &'a Path,
    agenix: Option<(&'a Place, &'a Rules)>,
    pub(super) care: Care,
}

/// A new value of a secret, which all of its copies get too.
pub(super) struct Renewed {
    pub(super) secret: Target,
    pub(super) plain: Zeroizing<Vec<u8>>,
    /// By what, for the record: a generator's name, or a command's.
    pub(super) how: &'static str,
    /// Whether a content may be nothing but white space.
    pub(super) allow_empty: bool,
}

/// The secrets of agenix, where there are any.
pub(super) async fn agenix(hub: &Hub, root: &Path) -> Result<Option<Place>> {
    let has_none = matches!(Rules::find(root), Err(SecretsError::NoRules(_)));
    if has_none { Ok(None) } else { Place::of(hub).await.map(Some) }
}

/// The same, of a secret's repository: read once.
pub(super) async fn agenix_of<'a>(hub: &Hub, secret: &'a Secret) -> Result<Option<Agenix<'a>>> {
    match secret.place() {
        Some(place) => Ok(Some(Agenix::Of(place))),
        None => Ok(agenix(hub, &secret.root).await?.map(|place| Agenix::Own(Box::new(place)))),
    }
}

impl<'a> Values<'a> {
    /// The secrets below `root`: those of SOPS, and those of agenix where there are any, by `rules`.
    pub(super) fn of(hub: &Hub, root: &'a Path, agenix: Option<(&'a Place, &'a Rules)>) -> Result<Self> {
        // What is no flake, as for agenix's own command line, has no hub.toml.
        let config = hub.flake().ok().map(|flake| Config::of(&flake)).transpose()?;
        let file = config.as_ref().and_then(Config::file);
        let tables = file.map(HubToml::secrets).cloned().unwrap_or_default();
        let rules = agenix.map(|(_, rules)| rules);
        let care = Care::new(&tables, |word| resolve(root, rules, word));
        Ok(Self { root, agenix, care })
    }

    /// The secret that a word of the command line names, with the place of a value behind `#` or in `value`.
    pub(super) fn named(&self, word: &str, value: Option<&str>) -> Result<Target> {
        let (file, within) = Target::split(word);
        let value = value.or(within);
        if let Some(secret) = sops::named(self.root, file)? {
            return Ok(Target { path: secret.path, value: value.map(str::to_owned) });
        }
        let Some((_, rules)) = self.agenix else {
            return Err(Error::message(Kind::Usage, format!("there is no secret `{file}`"))
                .hint("`hubctl secrets status` lists them"));
        };
        let rule = rules.get(file).map_err(told)?;
        if value.is_some() {
            return Err(Error::message(
                Kind::Usage,
                format!("{file} is no file of SOPS, and has no values of its own"),
            )
            .hint("leave the value out"));
        }
        Ok(Target::file(&rule.path))
    }

    /// The secret that a word of `hub.toml` names.
    pub(super) fn resolve(&self, word: &str) -> Option<Target> {
        resolve(self.root, self.agenix.map(|(_, rules)| rules), word)
    }

    /// The secrets that `words` name; globs stand for secrets of agenix, and for those that `hub.toml` names.
    pub(super) fn select(&self, words: &[String], value: Option<&str>) -> Result<BTreeSet<Target>> {
        let mut chosen = BTreeSet::new();
        for word in words {
            if !word.contains(['*', '?', '[', '{']) {
                chosen.insert(self.named(word, value)?);
                continue;
            }
            let no_rule = || told(SecretsError::NoRule { word: word.clone(), nearest: None });
            let glob = globset::Glob::new(word).map_err(|_| no_rule())?.compile_matcher();
            let known = self.known().into_iter().filter(|(target, name)| {
                glob.is_match(target.to_string()) || name.is_some_and(|name| glob.is_match(name))
            });
            let found: Vec<_> = known.map(|(target, _)| target).collect();
            if found.is_empty() {
                return Err(no_rule());
            }
            chosen.extend(found);
        }
        Ok(chosen)
    }

    /// The secrets of agenix, with their names, and those that `hub.toml` names.
    fn known(&self) -> BTreeMap<Target, Option<&str>> {
        let rules = self.agenix.iter().flat_map(|(_, rules)| &rules.list);
        let named = self.care.named().into_iter().map(|target| (target.clone(), None));
        named.chain(rules.map(|rule| (Target::file(&rule.path), Some(rule.name.as_str())))).collect()
    }

    /// What `hub.toml` says of a secret.
    pub(super) fn policy(&self, target: &Target) -> Policy {
        self.care.policy(target, self.rule(target).map(|rule| rule.name.as_str()))
    }

    /// Whether it is a secret of agenix.
    pub(super) fn is_agenix(&self, target: &Target) -> bool {
        self.rule(target).is_some()
    }

    fn rule(&self, target: &Target) -> Option<&Rule> {
        let (_, rules) = self.agenix?;
        rules.list.iter().find(|rule| target.value.is_none() && rule.path == target.path)
    }

    /// Where the record is.
    pub(super) fn record_file(&self) -> PathBuf {
        Record::file(self.agenix.map(|(_, rules)| rules.file.as_path()))
    }

    /// What is on record.
    pub(super) fn record(&self) -> Result<Record> {
        let text = text_of(self.root, &self.record_file())?;
        Ok(text.map(|text| Record::parse(&text)).unwrap_or_default())
    }

    /// The private keys for these secrets and their copies.
    pub(super) async fn identities(&self, hub: &Hub, secrets: &[&Target], keys: &Keys) -> Result<Arc<Identities>> {
        let all = secrets.iter().flat_map(|secret| self.care.group(secret));
        let of_sops = all.into_iter().find(|target| !self.is_agenix(target));
        let identities = match (of_sops, self.agenix) {
            (None, Some((place, _))) => place.identities(hub, keys)?,
            // They are the same and more, so that nobody is asked twice.
            (target, _) => {
                let secret = target.map(|target| sops_file(self.root, &target.path)).transpose()?;
                sops::identities(hub, self.root, keys, secret.as_ref()).await?
            }
        };
        Ok(Arc::new(identities))
    }

    /// Tells that copies of a secret change with it.
    pub(super) fn and_copies(&self, secret: &Target) -> String {
        match self.care.group(secret).len().saturating_sub(1) {
            0 => String::new(),
            1 => ", and its copy".to_owned(),
            count => format!(", and its {count} copies"),
        }
    }

    /// All that has to change so that these secrets, and their copies, have their new values.
    pub(super) async fn changes(
        &self,
        hub: &Hub,
        renewed: Vec<Renewed>,
        identities: &Arc<Identities>,
    ) -> Result<Vec<Change>> {
        for one in renewed.iter().filter(|one| one.secret.value.is_none() && !self.is_agenix(&one.secret)) {
            checked_sops(&sops_file(self.root, &one.secret.path)?, &one.plain, one.allow_empty)?;
        }
        let renewed = self.with_linked(hub, renewed, identities).await?;
        let mut writes: BTreeMap<Target, usize> = BTreeMap::new();
        for (at, one) in renewed.iter().enumerate() {
            for target in self.care.group(&one.secret) {
                let other = writes.insert(target.clone(), at).filter(|other| *renewed[*other].plain != *one.plain);
                if other.is_some() {
                    let what = format!("{target} would get two values at once");
                    return Err(Error::message(Kind::Config, what)
                        .hint("secrets that are copies of each other have one value: see [secrets] in hub.toml"));
                }
            }
        }
        let mut changes = self.agenix_changes(hub, &writes, &renewed, identities).await?;
        let of_sops = self.sops_changes(hub, &writes, &renewed, identities).await?;
        changes.extend(self.record_change(&writes, &renewed)?);
        let done = |list: &mut ToRotate| {
            for target in writes.keys().filter(|target| self.is_agenix(target)) {
                list.remove(&target.path);
            }
            for (change, value) in of_sops.iter().flat_map(|(change, all)| all.iter().map(move |one| (change, one))) {
                list.remove_value(&change.path, value);
            }
        };
        changes.extend(ToRotate::changed(self.root, done).map_err(told)?);
        changes.extend(of_sops.into_iter().map(|(change, _)| change));
        for dir in changes.iter().filter_map(|change| change.path.parent()) {
            std::fs::create_dir_all(self.root.join(dir)).map_err(|error| Error::new(Kind::Failed, error))?;
        }
        Ok(changes)
    }

    /// A new content of a whole file of SOPS may be another one for values in it that have copies elsewhere.
    async fn with_linked(
        &self,
        hub: &Hub,
        mut renewed: Vec<Renewed>,
        identities: &Arc<Identities>,
    ) -> Result<Vec<Renewed>> {
        let mut linked = Vec::new();
        for one in renewed.iter().filter(|one| one.secret.value.is_none() && self.rule(&one.secret).is_none()) {
            let is_within = |target: &&Target| target.path == one.secret.path && target.value.is_some();
            let within: Vec<Target> = self.care.groups().iter().flatten().filter(is_within).cloned().collect();
            if within.is_empty() {
                continue;
            }
            let secret = sops_file(self.root, &one.secret.path)?;
            let places: Vec<_> = within.iter().map(place).collect();
            let (plain, ask, identities) = (one.plain.clone(), ask(hub), identities.clone());
            let found = aside(hub, move || {
                let of_sops = |error| SecretsError::sops(&secret.path, error);
                let change = secret.set(&plain, None, &identities, &ask, Timestamp::now()).map_err(of_sops)?;
                secret.differing(&change, &places, &identities).map_err(of_sops)
            });
            let found = within.into_iter().zip(found.await?);
            linked.extend(found.filter_map(|(secret, plain)| {
                Some(Renewed { secret, plain: plain?, how: one.how, allow_empty: true })
            }));
        }
        renewed.extend(linked);
        Ok(renewed)
    }

    /// Whether other secrets have the same value.
    pub(super) fn has_copies(&self, secret: &Target) -> bool {
        self.care.group(secret).len() > 1
    }

    /// All that has to change so that a secret of agenix without copies has a content of any length.
    pub(super) async fn long_changes(
        &self,
        hub: &Hub,
        secret: &Target,
        from: impl Read + Send + 'static,
        identities: &Arc<Identities>,
    ) -> Result<Vec<Change>> {
        let Some(((place, _), rule)) = self.agenix.zip(self.rule(secret)) else { return Ok(Vec::new()) };
        let (vault, rule, identities) = (place.vault.clone(), rule.clone(), identities.clone());
        let change = aside(hub, move || vault.seal_long(&rule, from, &identities)).await?;
        let new = Renewed { secret: secret.clone(), plain: Zeroizing::default(), how: "set", allow_empty: false };
        let record = self.record_change(&BTreeMap::from([(secret.clone(), 0)]), &[new])?;
        let list = ToRotate::changed(self.root, |list| list.remove(&secret.path)).map_err(told)?;
        Ok([change].into_iter().chain(record).chain(list).collect())
    }

    async fn agenix_changes(
        &self,
        hub: &Hub,
        writes: &BTreeMap<Target, usize>,
        renewed: &[Renewed],
        identities: &Arc<Identities>,
    ) -> Result<Vec<Change>> {
        let Some((place, _)) = self.agenix else { return Ok(Vec::new()) };
        let mut sealed = Vec::new();
        for (target, at) in writes {
            let Some(rule) = self.rule(target) else { continue };
            checked(rule, &renewed[*at].plain, renewed[*at].allow_empty)?;
            sealed.push((rule.clone(), renewed[*at].plain.clone()));
        }
        if sealed.is_empty() {
            return Ok(Vec::new());
        }
        let (vault, identities) = (place.vault.clone(), identities.clone());
        aside(hub, move || {
            let one = |(rule, plain): &(Rule, Zeroizing<Vec<u8>>)| {
                if vault.is_long(&rule.path)? {
                    return vault.seal_long(rule, plain.as_slice(), &identities);
                }
                let old = vault.bytes(&rule.path)?;
                vault.seal(rule, plain, old.as_deref(), &identities)
            };
            sealed.iter().map(one).collect()
        })
        .await
    }

    /// The changes of files of SOPS, each with the values that are others in it.
    async fn sops_changes(
        &self,
        hub: &Hub,
        writes: &BTreeMap<Target, usize>,
        renewed: &[Renewed],
        identities: &Arc<Identities>,
    ) -> Result<Vec<(Change, Vec<String>)>> {
        let mut drafts: BTreeMap<&Path, Draft> = BTreeMap::new();
        for (target, at) in writes.iter().filter(|(target, _)| self.rule(target).is_none()) {
            let plain = &renewed[*at].plain;
            if content::is_blank(plain) && !renewed[*at].allow_empty {
                return Err(told(SecretsError::Empty(target.path.clone())));
            }
            let draft = drafts.entry(&target.path).or_default();
            match &target.value {
                None => draft.whole = Some(plain.clone()),
                Some(_) => draft.values.push((place(target), plain.clone())),
            }
        }
        let mut files = Vec::new();
        for (path, draft) in drafts {
            files.push((sops_file(self.root, path)?, draft));
        }
        let (identities, ask) = (identities.clone(), ask(hub));
        aside(hub, move || {
            let now = Timestamp::now();
            let one = |(secret, draft): &(SopsSecret, Draft)| {
                let whole = draft.whole.as_ref().map(|plain| plain.as_slice());
                let of_sops = |error| SecretsError::sops(&secret.path, error);
                let change = secret.renewed(whole, &draft.values, &identities, &ask, now).map_err(of_sops)?;
                let replaced = secret.replaced_by(change.content.bytes().unwrap_or_default()).map_err(of_sops)?;
                Ok((change, replaced))
            };
            files.iter().map(one).collect()
        })
        .await
    }

    /// The record as it is to be.
    fn record_change(&self, writes: &BTreeMap<Target, usize>, renewed: &[Renewed]) -> Result<Option<Change>> {
        let now = Timestamp::now();
        let mut record = self.record()?;
        let kept: BTreeSet<_> = record.all().iter().map(|one| one.secret.clone()).collect();
        for (at, one) in renewed.iter().enumerate() {
            let secrets: Vec<_> = writes.iter().filter(|(_, of)| **of == at).map(|(target, _)| target).collect();
            // A list that says nothing of use to anybody is not begun.
            let is_of_use = |target: &&Target| {
                kept.contains(&target.to_string()) || self.policy(target) != Policy::default() || secrets.len() > 1
            };
            let by_generator = !["set", "edit", "create"].contains(&one.how);
            if by_generator || secrets.iter().any(is_of_use) {
                record.add(secrets, now, one.how, &new_id());
            }
        }
        changed(self.root, &self.record_file(), record != self.record()?, || record.render())
    }

    /// How it stands with the values of all secrets of which `hub.toml` or the record says something.
    /// `files` are all of SOPS.
    pub(super) async fn standing(&self, hub: &Hub, files: &[SopsSecret]) -> Result<Vec<Standing>> {
        let record = self.record()?;
        let recorded = record.last();
        let mut secrets: BTreeMap<Target, Option<String>> = BTreeMap::new();
        secrets.extend(self.known().into_iter().map(|(target, name)| (target, name.map(str::to_owned))));
        if self.care.has_globs() {
            secrets.extend(files.iter().map(|file| (Target::file(&file.path), None)));
        }
        let is_on_record = |target: &Target| recorded.contains_key(target.to_string().as_str());
        secrets.retain(|target, _| {
            is_on_record(target) || self.policy(target) != Policy::default() || self.care.group(target).len() > 1
        });
        let unknown = |target: &&Target| !is_on_record(target) && self.policy(target).max_age.is_some();
        let unknown: BTreeSet<_> = secrets.keys().filter(unknown).cloned().collect();
        let in_git = last_changes(self.root, &unknown, &hub.cancel).await;
        hub.not_stopped()?;
        let in_git = in_git
            .map_err(|failure| Error::message(Kind::Failed, format!("git's history cannot be read: {failure}")))?;
        let copies = self.care.groups().iter().flatten();
        let lengths = copies.filter_map(|target| Some((target.clone(), self.length(target)?))).collect();
        Ok(standing(&secrets, &self.care, &record, &in_git, &lengths, Timestamp::now()))
    }

    /// How long a value is, as far as that shows without a key.
    fn length(&self, target: &Target) -> Option<u64> {
        if let (Some(rule), Some((place, _))) = (self.rule(target), self.agenix) {
            return place.vault.header(rule).ok()?.map(|header| header.plaintext_len());
        }
        let secret = SopsSecret::at(self.root, &target.path).ok()??;
        let values = secret.file()?.sealed().ok()?;
        values.get(target.value.as_deref()?).and_then(|text| sealed_length(text))
    }
}

/// What is wrong with a value, in words.
pub(super) fn words(standing: &Standing) -> Vec<String> {
    let about = if standing.known_by == Some(Known::Git) { "up to " } else { "" };
    let due = standing.days.zip(standing.max_days).filter(|_| standing.due);
    let due = due.map(|(days, most)| format!("its value is {about}{days} days old, and may be {most}"));
    let copies: Vec<_> = standing.differs_from.iter().map(ToString::to_string).collect();
    let differs = (!copies.is_empty()).then(|| format!("it did not get its value together with {}", copies.join(", ")));
    due.into_iter().chain(differs).collect()
}

/// The secrets of agenix, of a secret that has read them already or read for it.
pub(super) enum Agenix<'a> {
    Of(&'a Place),
    Own(Box<Place>),
}

impl std::ops::Deref for Agenix<'_> {
    type Target = Place;

    fn deref(&self) -> &Place {
        match self {
            Self::Of(place) => place,
            Self::Own(place) => place,
        }
    }
}

/// What is to become of a file of SOPS.
#[derive(Default)]
struct Draft {
    whole: Option<Zeroizing<Vec<u8>>>,
    values: Vec<(Vec<Step>, Zeroizing<Vec<u8>>)>,
}

/// The secret that a word of `hub.toml` names, from the root.
fn resolve(root: &Path, rules: Option<&Rules>, word: &str) -> Option<Target> {
    let (file, value) = Target::split(word);
    if value.is_none()
        && let Some(rule) = rules.and_then(|rules| rules.get(file).ok())
    {
        return Some(Target::file(&rule.path));
    }
    let path = sops::below(root, &root.join(file))?;
    // One that is at fault is told when it is to be changed.
    let is_there = SopsSecret::at(root, &path).map_or(true, |secret| secret.is_some_and(|one| one.file().is_some()));
    is_there.then(|| Target { path, value: value.map(str::to_owned) })
}

fn sops_file(root: &Path, path: &Path) -> Result<SopsSecret> {
    let secret = SopsSecret::at(root, path).map_err(|error| told(SecretsError::sops(path, error)))?;
    secret.ok_or_else(|| told(SecretsError::Missing(path.to_path_buf())))
}

fn place(target: &Target) -> Vec<Step> {
    steps(target.value.as_deref().unwrap_or_default())
}

fn text_of(root: &Path, path: &Path) -> Result<Option<String>> {
    let read = read_file(&root.join(path));
    let read = read.map_err(|error| told(SecretsError::Unreadable { path: path.to_path_buf(), error }))?;
    Ok(read.map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The change of a file to `text`, if it is to change at all.
pub(super) fn changed(
    root: &Path,
    path: &Path,
    changes: bool,
    text: impl FnOnce() -> String,
) -> Result<Option<Change>> {
    if !changes {
        return Ok(None);
    }
    let read = read_file(&root.join(path));
    let read = read.map_err(|error| told(SecretsError::Unreadable { path: path.to_path_buf(), error }))?;
    let seen = read.map_or(Seen::Nothing, |(bytes, _)| Seen::of(&bytes));
    Ok(Some(Change { path: path.to_path_buf(), seen, content: text().into_bytes().into() }))
}

/// One word for all that change together.
fn new_id() -> String {
    format!("{:08x}", rand::rngs::OsRng.next_u32())
}
