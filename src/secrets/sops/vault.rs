//! The SOPS files of a repository, each with the rule that is for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::cipher::DataKey;
use super::error::SopsError;
use super::file::{SopsFile, Variables, create};
use super::format::Format;
use super::rules::{SopsRule, SopsRules};
use super::tree::Step;
use super::value::Plain;
use crate::secrets::age::{Ask, Identities};
use crate::secrets::transaction::{Change, Seen, read_file};

/// A file that is one of SOPS, or is to become one.
#[derive(Clone, Debug)]
pub struct SopsSecret {
    /// The file, below the root.
    pub path: PathBuf,
    seen: Seen,
    format: Format,
    file: Option<SopsFile>,
    rule: Option<SopsRule>,
    /// The `.sops.yaml` that is for it, below the root.
    rules: Option<PathBuf>,
}

/// What a look at a secret shows, without any key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Drift {
    /// Those who can read it are those whom its rule names.
    None,
    /// They are others.
    Recipients {
        /// Those whom the rule names and who cannot read it yet.
        missing: Vec<String>,
        /// Those who can read it and whom the rule does not name.
        stale: Vec<String>,
    },
    /// No rule is for it.
    NoRule,
}

impl SopsSecret {
    /// The secret in the file `path` below `root`; nothing where that is none of SOPS and no rule of SOPS would make it one.
    pub fn at(root: &Path, path: &Path) -> Result<Option<Self>, SopsError> {
        if path.extension().is_some_and(|extension| extension == "age") {
            return Ok(None);
        }
        let format = Format::of(path);
        let bytes = read_file(&root.join(path))?.map(|(bytes, _)| bytes);
        let file = match bytes.as_deref().map(|bytes| SopsFile::parse(format, bytes)) {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(error)) if may_be_sops(bytes.as_deref().unwrap_or_default()) => return Err(error),
            // Any other file of the repository.
            Some(Err(_)) => return Ok(None),
        };
        let (rules, rule) = rule(root, path)?;
        if file.is_none() && rule.is_none() {
            return Ok(None);
        }
        let seen = bytes.map_or(Seen::Nothing, |bytes| Seen::of(&bytes));
        Ok(Some(Self { path: path.to_path_buf(), seen, format, file, rule, rules }))
    }

    /// A file that is not there yet, under rules that are not either: those that `file` is to have.
    pub fn to_be(path: &Path, file: &Path, rules: &SopsRules) -> Self {
        let (path, file) = (path.to_path_buf(), file.to_path_buf());
        let format = Format::of(&path);
        let secret = Self { path, seen: Seen::Nothing, format, file: None, rule: None, rules: Some(file) };
        secret.ruled_by(rules)
    }

    /// The file, once there is one.
    pub fn file(&self) -> Option<&SopsFile> {
        self.file.as_ref()
    }

    /// What was seen of its file.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// The rule that is for it.
    pub fn rule(&self) -> Option<&SopsRule> {
        self.rule.as_ref()
    }

    /// The `.sops.yaml` that is for it, below the root.
    pub fn rules(&self) -> Option<&Path> {
        self.rules.as_deref()
    }

    /// Its path as its rules see it.
    pub fn below_rules(&self) -> &Path {
        let dir = self.rules.as_deref().and_then(Path::parent);
        dir.and_then(|dir| self.path.strip_prefix(dir).ok()).unwrap_or(&self.path)
    }

    /// The same secret, as its rules are to be.
    #[must_use]
    pub fn ruled_by(&self, rules: &SopsRules) -> Self {
        Self { rule: rules.rule_for(self.below_rules()).cloned(), ..self.clone() }
    }

    /// Whether a new content is one for a file of its format.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn check(&self, plaintext: &[u8]) -> Result<(), SopsError> {
        self.format.check(plaintext)
    }

    /// The addresses of the values that are others in `content`, which [`SopsSecret::set`] gave.
    ///
    /// # Errors
    ///
    /// When one of both is no file of SOPS.
    pub fn replaced_by(&self, content: &[u8]) -> Result<Vec<String>, SopsError> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        file.replaced_by(&SopsFile::parse(self.format, content)?)
    }

    /// The addresses of its encrypted values; that of a file that is encrypted as a whole is `data`.
    ///
    /// # Errors
    ///
    /// When its rule for what is encrypted cannot be followed.
    pub fn values(&self) -> Result<Vec<String>, SopsError> {
        self.file.as_ref().map_or_else(|| Ok(Vec::new()), sealed_values)
    }

    /// The same of `content`, which [`SopsSecret::set`] gave.
    ///
    /// # Errors
    ///
    /// When that is no file of SOPS.
    pub fn values_of(&self, content: &[u8]) -> Result<Vec<String>, SopsError> {
        sealed_values(&SopsFile::parse(self.format, content)?)
    }

    /// Its content, or one value of it.
    pub fn open(&self, value: Option<&[Step]>, identities: &Identities) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        let file = self.file.as_ref().ok_or(SopsError::Missing)?;
        let key = file.data_key(identities)?;
        match value {
            Some(steps) => file.value(&key, steps).map(|value| value.bytes()),
            None => file.decrypt(&key),
        }
    }

    /// Its values as variables of an environment.
    pub fn variables(&self, identities: &Identities) -> Result<Variables, SopsError> {
        let file = self.file.as_ref().ok_or(SopsError::Missing)?;
        file.variables(&file.data_key(identities)?)
    }

    /// Whether its values have names.
    pub fn has_names(&self) -> bool {
        self.format != Format::Binary
    }

    /// The file with another content, or with another text in the place of one value.
    pub fn set(
        &self,
        plain: &[u8],
        value: Option<&[Step]>,
        identities: &Identities,
        ask: &Arc<dyn Ask>,
        now: Timestamp,
    ) -> Result<Change, SopsError> {
        let text = match (&self.file, value) {
            (None, Some(_)) => return Err(SopsError::Missing),
            (None, None) => {
                let rule = self.native_rule()?;
                create(self.format, plain, &rule.settings, &rule.recipients, ask, now)?
            }
            (Some(file), None) => file.edited(&file.data_key(identities)?, plain, now)?,
            (Some(file), Some(steps)) => {
                let value = Plain::Text(Zeroizing::new(plain.to_vec()));
                file.set(&file.data_key(identities)?, steps, value, now)?
            }
        };
        Ok(self.change(text))
    }

    /// The file with another content, where there is one, and then with other texts in the places of some values.
    pub fn renewed(
        &self,
        whole: Option<&[u8]>,
        values: &[(Vec<Step>, Zeroizing<Vec<u8>>)],
        identities: &Identities,
        ask: &Arc<dyn Ask>,
        now: Timestamp,
    ) -> Result<Change, SopsError> {
        let mut change = match (whole, &self.file) {
            (Some(plain), _) => self.set(plain, None, identities, ask, now)?,
            (None, Some(file)) => self.change(file.text().to_owned()),
            (None, None) => return Err(SopsError::Missing),
        };
        for (place, plain) in values {
            let file = SopsFile::parse(self.format, change.content.bytes().unwrap_or_default())?;
            let text = file.set(&file.data_key(identities)?, place, Plain::Text(plain.clone()), now)?;
            change.content = text.into_bytes().into();
        }
        Ok(change)
    }

    /// The values in these places that are others, or new, in a change of the file.
    pub fn differing(
        &self,
        change: &Change,
        places: &[Vec<Step>],
        identities: &Identities,
    ) -> Result<Vec<Option<Zeroizing<Vec<u8>>>>, SopsError> {
        let new = SopsFile::parse(self.format, change.content.bytes().unwrap_or_default())?;
        let (old_key, key) = (self.file.as_ref().map(|file| file.data_key(identities)), new.data_key(identities)?);
        let old_key = old_key.transpose()?;
        let value = |file: &SopsFile, key: &DataKey, place: &[Step]| match file.value(key, place) {
            Ok(value) => Ok(Some(value.bytes())),
            Err(SopsError::NoSuchKey(_)) => Ok(None),
            Err(error) => Err(error),
        };
        let differing = |place: &Vec<Step>| {
            let old = self.file.as_ref().zip(old_key.as_ref());
            let old = old.map(|(file, key)| value(file, key, place)).transpose()?.flatten();
            Ok(value(&new, &key, place)?.filter(|new| old.as_ref() != Some(new)))
        };
        places.iter().map(differing).collect()
    }

    /// Whether it is encrypted to those whom its rule names.
    pub fn drift(&self) -> Result<Drift, SopsError> {
        let (Some(file), Some(rule)) = (&self.file, &self.rule) else { return Ok(Drift::NoRule) };
        if rule.shamir {
            return Err(SopsError::Shamir);
        }
        let wanted: Vec<_> = rule.recipients.iter().map(ToString::to_string).collect();
        let there: Vec<_> = file.recipients().map(str::to_owned).collect();
        let without = |one: &[String], other: &[String]| -> Vec<String> {
            one.iter().filter(|name| !other.contains(name)).cloned().collect()
        };
        let (missing, stale) = (without(&wanted, &there), without(&there, &wanted));
        let same = missing.is_empty() && stale.is_empty();
        Ok(if same { Drift::None } else { Drift::Recipients { missing, stale } })
    }

    /// The file for those whom its rule names, under a new data key where somebody is not to read it any more. With `anew` it gets a
    /// new data key in any case.
    pub fn rekey(
        &self,
        anew: bool,
        forced: bool,
        identities: &Identities,
        ask: &Arc<dyn Ask>,
        now: Timestamp,
    ) -> Result<Change, SopsError> {
        let rule = self.native_rule()?;
        let file = self.file.as_ref().ok_or(SopsError::Missing)?;
        if !forced && identities.are_locked_out(&rule.recipients) {
            return Err(SopsError::LocksOut);
        }
        let key = file.data_key(identities)?;
        let revokes = matches!(self.drift()?, Drift::Recipients { stale, .. } if !stale.is_empty());
        let text = if anew || revokes {
            file.rotated(&key, &rule.recipients, ask, now)?.0
        } else {
            file.for_recipients(&key, &rule.recipients, ask)?
        };
        Ok(self.change(text))
    }

    fn native_rule(&self) -> Result<&SopsRule, SopsError> {
        let rule = self.rule.as_ref().ok_or(SopsError::NoRule)?;
        match rule {
            rule if rule.shamir => Err(SopsError::Shamir),
            rule if !rule.foreign.is_empty() => Err(SopsError::Foreign(rule.foreign.join(", "))),
            rule => Ok(rule),
        }
    }

    fn change(&self, text: String) -> Change {
        Change { path: self.path.clone(), seen: self.seen, content: text.into_bytes().into() }
    }
}

fn sealed_values(file: &SopsFile) -> Result<Vec<String>, SopsError> {
    Ok(file.addresses()?.into_iter().filter(|(_, encrypted)| *encrypted).map(|(address, _)| address).collect())
}

/// Whether a file that cannot be read as one of SOPS was meant to be one.
pub(super) fn may_be_sops(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    has(b"ENC[AES256_GCM,data:") && has(b"sops")
}

/// The rules that are for a file, below the root, and the one among them that is for it.
fn rule(root: &Path, path: &Path) -> Result<(Option<PathBuf>, Option<SopsRule>), SopsError> {
    let file = root.join(path);
    let Some(rules) = SopsRules::find(root, &file) else { return Ok((None, None)) };
    let below = rules.parent().and_then(|dir| file.strip_prefix(dir).ok()).unwrap_or(path);
    // What is wrong with the rules is not wrong with the file.
    let read = SopsRules::read(&rules).map_err(|error| SopsError::Rules(format!(".sops.yaml: {error}")))?;
    let rule = read.and_then(|rules| rules.rule_for(below).cloned());
    Ok((rules.strip_prefix(root).ok().map(Path::to_path_buf), rule))
}
