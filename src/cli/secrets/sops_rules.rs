//! Changes of `.sops.yaml`: what they come to for the files that it is for, as part of the same transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::both::Both;
use super::place::told;
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::secrets::age::Recipient;
use crate::secrets::edit_rules::{Who, names_of_key};
use crate::secrets::sops::{RULES_FILE, SopsError, SopsRules, SopsSecret};
use crate::secrets::transaction::{Change, Seen};
use crate::secrets::{SecretsError, is_of_host};

/// What new rules come to.
#[derive(Default)]
pub(super) struct NewRules {
    /// Those of `.sops.yaml` themselves.
    pub(super) changes: Vec<Change>,
    /// The secrets whose readers are others, with their new rules.
    pub(super) secrets: Vec<SopsSecret>,
}

impl NewRules {
    fn add(&mut self, both: &Both, file: &Path, old: &SopsRules, new: &SopsRules) {
        if new.text() == old.text() {
            return;
        }
        let seen = Seen::of(old.text().as_bytes());
        self.changes.push(Change { path: file.to_path_buf(), seen, content: new.text().as_bytes().to_vec().into() });
        let of_file = both.sops.secrets.iter().filter(|secret| secret.rules() == Some(file));
        let changed = of_file.filter_map(|secret| {
            let after = secret.ruled_by(new);
            (readers(&after) != readers(secret)).then_some(after)
        });
        self.secrets.extend(changed);
    }

    /// Makes sure that no other secrets than these get other readers.
    fn only(self, chosen: &[SopsSecret]) -> Result<Self> {
        let others = self.secrets.iter().filter(|secret| chosen.iter().all(|one| one.path != secret.path));
        let others: Vec<_> = others.map(|secret| secret.path.display().to_string()).collect();
        if others.is_empty() {
            return Ok(self);
        }
        Err(Error::message(Kind::Refused, format!("the same rule of .sops.yaml is for {} as well", others.join(", ")))
            .hint("name them too, or write a rule of its own in front of that one"))
    }
}

fn readers(secret: &SopsSecret) -> Vec<Recipient> {
    let mut readers = secret.rule().map(|rule| rule.recipients.clone()).unwrap_or_default();
    readers.sort();
    readers
}

/// The rules with a reader more for each of these secrets.
pub(super) fn granted(both: &Both, chosen: &[SopsSecret], key: &Recipient) -> Result<NewRules> {
    by_rule(both, chosen, |rules, below| rules.granted(below, key))?.only(chosen)
}

/// The rules without these keys for any of these secrets.
pub(super) fn revoked(both: &Both, chosen: &[SopsSecret], keys: &[Recipient]) -> Result<NewRules> {
    let without = |rules: &SopsRules, below: &Path| {
        let mut rules = SopsRules::parse(rules.text())?;
        for key in keys {
            rules = SopsRules::parse(&rules.revoked(below, key)?)?;
        }
        Ok(rules.text().to_owned())
    };
    by_rule(both, chosen, without)?.only(chosen)
}

/// The rules without these keys at all. Secrets that were still encrypted to one of them are among those that are to change.
pub(super) fn revoked_everywhere(both: &Both, keys: &[Recipient]) -> Result<NewRules> {
    let mut found = NewRules::default();
    for file in &both.sops.rules {
        let wrong = |error: SopsError| by_hand(file, &error);
        let old = both.sops_rules(file)?;
        let new = old.revoked_everywhere(keys).and_then(|text| SopsRules::parse(&text)).map_err(wrong)?;
        found.add(both, file, &old, &new);
    }
    for secret in &both.sops.secrets {
        let is_known = found.secrets.iter().any(|one| one.path == secret.path);
        if !is_known && recipients(secret).any(|one| keys.contains(&one)) {
            found.secrets.push(secret.clone());
        }
    }
    Ok(found)
}

/// The rules with this key under a host's name, where they name keys, and as a reader of these secrets; and all secrets that it can read
/// then, by their paths.
pub(super) fn with_host(
    both: &Both,
    name: &str,
    key: &Recipient,
    needed: &[SopsSecret],
) -> Result<(NewRules, Vec<PathBuf>)> {
    let (mut found, mut readable) = (NewRules::default(), Vec::new());
    for file in &both.sops.rules {
        let wrong = |error: SopsError| by_hand(file, &error);
        let old = both.sops_rules(file)?;
        let mut new = old.bound(name, key).and_then(|text| SopsRules::parse(&text)).map_err(wrong)?;
        for secret in needed.iter().filter(|secret| secret.rules() == Some(file)) {
            let granted = new.granted(secret.below_rules(), key);
            new = granted.and_then(|text| SopsRules::parse(&text)).map_err(wrong)?;
        }
        let of_file = both.sops.secrets.iter().filter(|secret| secret.rules() == Some(file));
        let reads = |secret: &&SopsSecret| readers(&secret.ruled_by(&new)).contains(key);
        readable.extend(of_file.filter(reads).map(|secret| secret.path.clone()));
        found.add(both, file, &old, &new);
    }
    Ok((found, readable))
}

/// Rules of `.sops.yaml` for files that are to be.
#[derive(Default)]
pub(super) struct MoreRules(BTreeMap<PathBuf, (Seen, SopsRules)>);

impl MoreRules {
    /// What `path` is to become: for those whom a rule that is there names, or else for `readers`, whom a rule of its own names then.
    pub(super) fn secret(
        &mut self,
        hub: &Hub,
        both: &Both,
        path: &Path,
        readers: impl FnOnce() -> Vec<Recipient>,
    ) -> Result<SopsSecret> {
        let found = SopsRules::find(&both.root, &both.root.join(path));
        let file = found.and_then(|file| file.strip_prefix(&both.root).ok().map(Path::to_path_buf));
        let file = file.unwrap_or_else(|| RULES_FILE.into());
        let wrong = |error: SopsError| by_hand(&file, &error);
        let (seen, rules) = match self.0.remove(&file) {
            Some(known) => known,
            None => match SopsRules::read(&both.root.join(&file)).map_err(wrong)? {
                Some(rules) => (Seen::of(rules.text().as_bytes()), rules),
                None => (Seen::Nothing, SopsRules::parse("").map_err(wrong)?),
            },
        };
        let mut secret = SopsSecret::to_be(path, &file, &rules);
        let rules = if secret.rule().is_some() {
            hub.ui.status(&format!(
                "{} has a rule for {} already, which says who can read it",
                file.display(),
                path.display()
            ));
            rules
        } else {
            let text = rules.added(secret.below_rules(), &readers()).map_err(wrong)?;
            let rules = SopsRules::parse(&text).map_err(wrong)?;
            secret = secret.ruled_by(&rules);
            rules
        };
        self.0.insert(file, (seen, rules));
        Ok(secret)
    }

    /// The changes of the files that have them.
    pub(super) fn changes(self) -> Vec<Change> {
        let change = |(path, (seen, rules)): (PathBuf, (Seen, SopsRules))| {
            let content = rules.text().as_bytes().to_vec().into();
            Change { path, seen, content }
        };
        self.0.into_iter().map(change).filter(Change::changes).collect()
    }
}

/// A key as a file of SOPS is to name it: sops-nix opens files with what it makes of a host's ssh key, not with that key itself. Hosts are
/// told by the comment of their key, or by the name that `text`, the rules of agenix, binds it to; `known` are their names.
pub(super) fn for_sops(hub: &Hub, known: &BTreeSet<String>, text: &str, key: &Recipient) -> Recipient {
    let is_known = |name: &String| known.contains(name);
    let is_bound = || {
        let names = names_of_key(text, &key.to_string());
        names.iter().any(|who| matches!(who, Who::One(name) if is_known(name)))
    };
    let comment = key.comment().unwrap_or_default();
    let is_host = comment.starts_with("root@") || known.iter().any(|host| is_of_host(key, host)) || is_bound();
    match key.to_age().filter(|_| is_host) {
        Some(age) => {
            hub.ui.status(&format!(
                "{} is named in the form of age, which is what sops-nix opens files with",
                key.short()
            ));
            age
        }
        None => key.clone(),
    }
}

/// The recipients that a file has now.
pub(super) fn recipients(secret: &SopsSecret) -> impl Iterator<Item = Recipient> {
    secret.file().into_iter().flat_map(|file| file.recipients().filter_map(|one| one.parse().ok()))
}

fn by_rule(
    both: &Both,
    chosen: &[SopsSecret],
    edit: impl Fn(&SopsRules, &Path) -> std::result::Result<String, SopsError>,
) -> Result<NewRules> {
    let mut files: BTreeMap<PathBuf, Vec<&SopsSecret>> = BTreeMap::new();
    for secret in chosen {
        let no_rule = || told(SecretsError::sops(&secret.path, SopsError::NoRule));
        files.entry(secret.rules().ok_or_else(no_rule)?.to_path_buf()).or_default().push(secret);
    }
    let mut found = NewRules::default();
    for (file, secrets) in files {
        let old = both.sops_rules(&file)?;
        let mut new = both.sops_rules(&file)?;
        for secret in secrets {
            let text = edit(&new, secret.below_rules()).map_err(|error| match error {
                error @ (SopsError::NoRule | SopsError::Shamir) => told(SecretsError::sops(&secret.path, error)),
                error => by_hand(&file, &error),
            })?;
            new = SopsRules::parse(&text).map_err(|error| by_hand(&file, &error))?;
        }
        found.add(both, &file, &old, &new);
    }
    Ok(found)
}

/// What is told of rules that only their author can change.
fn by_hand(file: &Path, error: &SopsError) -> Error {
    Error::message(Kind::Refused, format!("{} is not changed by itself: {error}", file.display()))
        .hint("change it by hand, and run `hubctl secrets rekey`")
}
