//! Secrets as their rules want them: read, sealed and sealed anew.

mod long;

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use zeroize::Zeroizing;

pub use self::long::WHOLE;
use self::long::is_long;
use super::age::{Armor, Ask, Compared, Header, Identities, RecipientKind, encrypt};
use super::error::SecretsError;
use super::rules::Rule;
use super::transaction::{Change, Seen, open_file, read_file};

type Result<T, E = SecretsError> = std::result::Result<T, E>;

/// The file of a secret, as it was read.
pub struct Sealed {
    /// What it consists of.
    pub bytes: Vec<u8>,
    /// Who can read it, and how long its content is.
    pub header: Header,
}

/// Where secrets are.
#[derive(Clone)]
pub struct Vault {
    root: PathBuf,
    ask: Arc<dyn Ask>,
}

/// What a rekey is about to do.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// Secrets that are encrypted anew, with what is wrong with them.
    pub rekey: Vec<(&'a Rule, Compared)>,
    /// Secrets that have no file yet.
    pub missing: Vec<&'a Rule>,
    /// How many are as they should be.
    pub same: usize,
    /// Secrets of which nobody can tell without a key whether they are as they should be.
    pub unsure: Vec<&'a Rule>,
}

impl Vault {
    /// The secrets below `root`. `ask` is whom plugins ask.
    pub fn new(root: &Path, ask: Arc<dyn Ask>) -> Self {
        Self { root: root.to_path_buf(), ask }
    }

    /// The file of a secret; nothing where there is none.
    pub fn sealed(&self, rule: &Rule) -> Result<Option<Sealed>> {
        let Some(bytes) = self.bytes(&rule.path)? else { return Ok(None) };
        let header = Header::of(&bytes).map_err(|error| SecretsError::age(&rule.path, error))?;
        Ok(Some(Sealed { bytes, header }))
    }

    /// The header of a secret's file, of which no more is read than it takes; nothing where there is none.
    pub fn header(&self, rule: &Rule) -> Result<Option<Header>> {
        let Some((file, about)) = self.file(&rule.path)? else { return Ok(None) };
        Header::of_file(&file, about.len()).map(Some).map_err(|error| SecretsError::age(&rule.path, error))
    }

    /// Whether a secret has a file.
    pub fn is_there(&self, path: &Path) -> Result<bool> {
        self.file(path).map(|file| file.is_some())
    }

    /// Whether the file of a secret is too long to be held in memory.
    pub fn is_long(&self, path: &Path) -> Result<bool> {
        Ok(self.file(path)?.is_some_and(|(_, about)| is_long(&about)))
    }

    fn file(&self, path: &Path) -> Result<Option<(File, Metadata)>> {
        let unreadable = |error| SecretsError::Unreadable { path: path.to_path_buf(), error };
        open_file(&self.root.join(path)).map_err(unreadable)
    }

    /// The bytes of a secret's file, whatever they are; nothing where there is none.
    pub fn bytes(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match read_file(&self.root.join(path)) {
            Ok(found) => Ok(found.map(|(bytes, _)| bytes)),
            Err(error) => Err(SecretsError::Unreadable { path: path.to_path_buf(), error }),
        }
    }

    /// The content of a secret.
    pub fn open(&self, rule: &Rule, identities: &Identities) -> Result<(Sealed, Zeroizing<Vec<u8>>)> {
        let sealed = self.sealed(rule)?.ok_or_else(|| SecretsError::Missing(rule.path.clone()))?;
        let plain = identities.decrypt(&sealed.bytes).map_err(|error| SecretsError::age(&rule.path, error))?;
        Ok((sealed, plain))
    }

    /// Encrypts a content to those whom the rule names, and proves that it is what it should be before anybody sees it. `old` is the
    /// file as it was read, where there is one: a file that is armored stays so.
    pub fn seal(&self, rule: &Rule, plain: &[u8], old: Option<&[u8]>, identities: &Identities) -> Result<Change> {
        let of_age = |error| SecretsError::age(&rule.path, error);
        let was_armored = old.and_then(|old| Header::of(old).ok()).is_some_and(|header| header.armor() == Armor::Ascii);
        let armor = form(rule, was_armored);
        let seen = old.map_or(Seen::Nothing, Seen::of);
        let content = encrypt(plain, &rule.recipients, armor, &self.ask).map_err(of_age)?;
        let header = Header::of(&content).map_err(of_age)?;
        prove(rule, &header, plain.len() as u64)?;
        if identities.open_unasked(&header) && **identities.decrypt(&content).map_err(of_age)? != *plain {
            return Err(not_verified(rule, "its content differs"));
        }
        Ok(Change { path: rule.path.clone(), seen, content: content.into() })
    }

    /// What has to be encrypted anew so that the rules hold: what drifted, or with `all` everything.
    pub fn plan<'a>(&self, rules: &[&'a Rule], all: bool) -> Result<Plan<'a>> {
        let mut plan = Plan::default();
        for rule in rules {
            let Some(header) = self.header(rule)? else {
                plan.missing.push(rule);
                continue;
            };
            let compared = header.compare(&rule.recipients);
            let armor_differs = rule.armor && header.armor() == Armor::Binary;
            if all || armor_differs || !compared.is_same() {
                plan.rekey.push((rule, compared));
            } else if compared.certain {
                plan.same += 1;
            } else {
                plan.unsure.push(rule);
            }
        }
        Ok(plan)
    }

    /// Makes up the new files of secrets, all in memory and several at once. One that none of the identities could read any more is
    /// an error unless `forced`.
    pub fn rekey(&self, rules: &[&Rule], identities: &Identities, forced: bool) -> Result<Vec<Change>> {
        let has_plugin =
            |rule: &&Rule| rule.recipients.iter().any(|one| matches!(one.kind(), RecipientKind::Plugin(_)));
        // Plugins ask for a touch or a PIN, one at a time.
        let alone = identities.has_plugins() || rules.iter().any(has_plugin);
        let threads = if alone { 1 } else { available_parallelism().map_or(1, usize::from) };
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(rules.len())));
        std::thread::scope(|scope| {
            for _ in 0..threads.min(rules.len()) {
                scope.spawn(|| {
                    while let Some(rule) = rules.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let change = self.rekey_one(rule, identities, forced);
                        if change.is_err() {
                            next.store(rules.len(), Ordering::SeqCst);
                        }
                        done.lock().unwrap_or_else(PoisonError::into_inner).push(change);
                    }
                });
            }
        });
        let mut changes: Vec<_> =
            done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect::<Result<_>>()?;
        changes.sort_by(|one: &Change, other| one.path.cmp(&other.path));
        Ok(changes)
    }

    fn rekey_one(&self, rule: &Rule, identities: &Identities, forced: bool) -> Result<Change> {
        // Whoever cannot read it now is told that, rather than what they could not read later.
        let locks_out = !forced && identities.are_locked_out(&rule.recipients);
        if !locks_out && self.is_long(&rule.path)? {
            return self.rekey_long(rule, identities);
        }
        let (sealed, plain) = self.open(rule, identities)?;
        if locks_out {
            return Err(SecretsError::LocksOut(rule.path.clone()));
        }
        self.seal(rule, &plain, Some(&sealed.bytes), identities)
    }
}

/// The form that a file is to have: one that is armored stays so.
fn form(rule: &Rule, was_armored: bool) -> Armor {
    if rule.armor || was_armored { Armor::Ascii } else { Armor::Binary }
}

/// Whether a header is that of a content of this length, and of those whom the rule names.
fn prove(rule: &Rule, header: &Header, length: u64) -> Result<()> {
    if header.plaintext_len() != length {
        return Err(not_verified(rule, "its length differs"));
    }
    if !header.compare(&rule.recipients).is_same() {
        return Err(not_verified(rule, "its recipients differ"));
    }
    Ok(())
}

fn not_verified(rule: &Rule, what: &'static str) -> SecretsError {
    SecretsError::NotVerified { path: rule.path.clone(), what }
}
