//! The secrets of a repository, of both formats, as commands for several of them see them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::args::Keys;
use super::place::{Place, aside, ask, repository, told};
use super::rules;
use super::sops::{self, SopsFiles};
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result, nearest};
use crate::secrets::age::{Identities, Recipient};
use crate::secrets::edit_rules::{self, Who};
use crate::secrets::sops::{SopsRules, SopsSecret};
use crate::secrets::transaction::Change;
use crate::secrets::{Rule, Rules, SecretsError};

/// The secrets of a repository.
pub(super) struct Both {
    pub(super) root: PathBuf,
    /// Those of agenix, where it has rules.
    pub(super) agenix: Option<Place>,
    pub(super) sops: SopsFiles,
}

/// Some of them.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) rules: Vec<Rule>,
    pub(super) sops: Vec<SopsSecret>,
}

impl Both {
    /// Finds them.
    pub(super) async fn of(hub: &Hub) -> Result<Self> {
        let root = repository(hub)?;
        let sops = sops::all(hub, &root).await?;
        let is_sops_alone = matches!(Rules::find(&root), Err(SecretsError::NoRules(_)))
            && !(sops.secrets.is_empty() && sops.broken.is_empty() && sops.rules.is_empty());
        let agenix = if is_sops_alone { None } else { Some(Place::of(hub).await?) };
        Ok(Self { root, agenix, sops })
    }

    /// The secrets that `words` name, each a name, a path or a glob; all of them where there is no word.
    pub(super) fn select(&mut self, words: &[String]) -> Result<Chosen> {
        if words.is_empty() {
            if let Some(error) = self.sops.broken.pop() {
                return Err(told(error));
            }
            let rules = self.agenix.iter().flat_map(|place| place.rules.list.clone()).collect();
            return Ok(Chosen { rules, sops: self.sops.secrets.clone() });
        }
        let mut chosen = Chosen::default();
        for word in words {
            let (found, is_path) = self.sops_named(word)?;
            // What is a file's own path is no short name of another.
            let others = self.agenix.as_ref().filter(|_| !is_path);
            match others.map(|place| place.rules.select(std::slice::from_ref(word))) {
                Some(Ok(rules)) => chosen.rules.extend(rules.into_iter().cloned()),
                Some(Err(error)) if found.is_empty() => return Err(told(error)),
                None if found.is_empty() => return Err(self.nothing(word)),
                _ => {}
            }
            chosen.sops.extend(found);
        }
        chosen.rules.sort_by(|one, other| one.name.cmp(&other.name));
        chosen.rules.dedup_by(|one, other| one.name == other.name);
        chosen.sops.sort_by(|one, other| one.path.cmp(&other.path));
        chosen.sops.dedup_by(|one, other| one.path == other.path);
        Ok(chosen)
    }

    /// The files of SOPS that a word means, and whether it is the path of one.
    fn sops_named(&self, word: &str) -> Result<(Vec<SopsSecret>, bool)> {
        if word.contains(['*', '?', '[', '{']) {
            let Ok(glob) = globset::Glob::new(word) else { return Ok((Vec::new(), false)) };
            let glob = glob.compile_matcher();
            let found = self.sops.secrets.iter().filter(|secret| glob.is_match(&secret.path));
            return Ok((found.cloned().collect(), false));
        }
        let found = sops::named(&self.root, word)?.filter(|secret| secret.file().is_some());
        let is_path = found.is_some();
        Ok((found.into_iter().collect(), is_path))
    }

    fn nothing(&self, word: &str) -> Error {
        let paths: Vec<_> = self.sops.secrets.iter().map(|secret| secret.path.display().to_string()).collect();
        let hint = nearest(word, paths.iter().map(String::as_str))
            .map_or_else(|| "`hubctl secrets status` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
        Error::message(Kind::Usage, format!("no secret is named `{word}`")).hint(hint)
    }

    /// The private keys to use for secrets of which `sops` are some.
    pub(super) async fn identities(&self, hub: &Hub, keys: &Keys, sops: &[SopsSecret]) -> Result<Identities> {
        match &self.agenix {
            Some(place) if sops.is_empty() => place.identities(hub, keys),
            // They are the same and more, so that nobody is asked twice.
            _ => sops::identities(hub, &self.root, keys, sops.first()).await,
        }
    }

    /// The rules of SOPS in a file below the root.
    pub(super) fn sops_rules(&self, file: &Path) -> Result<SopsRules> {
        let read = SopsRules::read(&self.root.join(file)).map_err(|error| told(SecretsError::sops(file, error)))?;
        read.ok_or_else(|| Error::message(Kind::Failed, format!("{} is not there any more", file.display())))
    }

    /// The keys that a word means: a key itself, or those that the rules of the two formats call so.
    pub(super) fn keys_called(&self, word: &str) -> Result<Vec<Recipient>> {
        if is_key(word) {
            return Ok(vec![word.parse().map_err(|error| Error::new(Kind::Usage, error))?]);
        }
        let mut keys: Vec<Recipient> = Vec::new();
        let mut names = BTreeSet::new();
        for file in &self.sops.rules {
            let rules = self.sops_rules(file)?;
            keys.extend(rules.named(word));
            names.extend(rules.names());
        }
        if let Some(place) = &self.agenix {
            let text = rules::text(place)?;
            match rules::who(&text, &[word.to_owned()]).map(|mut who| who.remove(0)) {
                Ok(Who::One(name)) => {
                    let key = edit_rules::key_of(&text, &name).and_then(|key| key.parse().ok());
                    keys.extend(key);
                }
                Ok(_) if keys.is_empty() => {
                    return Err(Error::message(Kind::Usage, format!("`{word}` is not one key"))
                        .hint("name one of its keys; keys are given and taken away one by one"));
                }
                Err(error) if keys.is_empty() && names.is_empty() => return Err(error),
                _ => {}
            }
            names.extend(edit_rules::names(&text).into_iter().filter_map(|who| match who {
                Who::One(name) => Some(name),
                Who::Group(_) | Who::Key(_) => None,
            }));
        }
        keys.dedup();
        if keys.is_empty() {
            let hint = match nearest(word, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "the rules give no names to keys; give the key itself".to_owned(),
                None => {
                    format!("they name {}; a key itself will do too", names.into_iter().collect::<Vec<_>>().join(", "))
                }
            };
            return Err(Error::message(Kind::Usage, format!("the rules name no key `{word}`")).hint(hint));
        }
        Ok(keys)
    }
}

/// Whether a word is a key, and not the name of one.
pub(super) fn is_key(word: &str) -> bool {
    word.contains(' ') || word.starts_with("age1")
}

/// What is to be encrypted anew.
pub(super) struct Anew {
    pub(super) chosen: Chosen,
    /// Whether those get new data keys as well to whom nobody more has a key.
    pub(super) all: bool,
    /// Whether it is done also where none of the identities could read a secret any more.
    pub(super) forced: bool,
}

/// The new files of secrets, each for those whom its rule names by now. Those of agenix that have no file yet are left out.
pub(super) async fn anew(hub: &Hub, both: &Both, anew: Anew, keys: &Keys) -> Result<Vec<Change>> {
    let Anew { chosen, all, forced } = anew;
    if chosen.rules.is_empty() && chosen.sops.is_empty() {
        return Ok(Vec::new());
    }
    let identities = Arc::new(both.identities(hub, keys, &chosen.sops).await?);
    let (vault, ask) = (both.agenix.as_ref().map(|place| place.vault.clone()), ask(hub));
    aside(hub, move || {
        let mut changes = Vec::new();
        if let Some(vault) = vault {
            let mut there = Vec::new();
            for rule in &chosen.rules {
                if vault.is_there(&rule.path)? {
                    there.push(rule);
                }
            }
            changes = vault.rekey(&there, &identities, forced)?;
        }
        let now = Timestamp::now();
        for secret in &chosen.sops {
            let change = secret.rekey(all, forced, &identities, &ask, now);
            changes.push(change.map_err(|error| SecretsError::sops(&secret.path, error))?);
        }
        changes.retain(Change::changes);
        Ok(changes)
    })
    .await
}
