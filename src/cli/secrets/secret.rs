//! One secret of either format, as a command names it: what it holds, and what it may hold.

use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::args::Keys;
use super::place::{Place, repository, told};
use super::{content, sops};
use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::secrets::age::{Header, Identities};
use crate::secrets::rotation::Target;
use crate::secrets::sops::{SopsSecret, Step, steps};
use crate::secrets::transaction::Seen;
use crate::secrets::{Format, Rule, SecretsError};

/// A secret, as its file was when the command began.
pub(super) struct Secret {
    pub(super) root: PathBuf,
    kind: Of,
}

/// Of which format it is.
enum Of {
    Agenix { place: Box<Place>, rule: Rule, file: Sealed },
    Sops { secret: Box<SopsSecret> },
}

/// The file of a secret of agenix.
enum Sealed {
    Nothing,
    Bytes(Vec<u8>),
    /// More than is held in memory.
    Long,
}

impl Secret {
    /// The file of SOPS with this path, or else what the rules of agenix call so.
    pub(super) async fn named(hub: &Hub, name: &str) -> Result<Self> {
        let root = repository(hub)?;
        if let Some(secret) = sops::named(&root, name)? {
            return Ok(Self::of_sops(root, secret));
        }
        let place = Place::of(hub).await?;
        let rule = place.rules.get(name).map_err(told)?.clone();
        Self::of_agenix(place, rule)
    }

    /// The secret of a rule of agenix.
    pub(super) fn of_agenix(place: Place, rule: Rule) -> Result<Self> {
        let file = if place.vault.is_long(&rule.path).map_err(told)? {
            Sealed::Long
        } else {
            place.vault.bytes(&rule.path).map_err(told)?.map_or(Sealed::Nothing, Sealed::Bytes)
        };
        Ok(Self { root: place.root.clone(), kind: Of::Agenix { place: Box::new(place), rule, file } })
    }

    /// A file of SOPS below `root`.
    pub(super) fn of_sops(root: PathBuf, secret: SopsSecret) -> Self {
        Self { root, kind: Of::Sops { secret: Box::new(secret) } }
    }

    /// Its file, below the root.
    pub(super) fn path(&self) -> &Path {
        match &self.kind {
            Of::Agenix { rule, .. } => &rule.path,
            Of::Sops { secret } => &secret.path,
        }
    }

    /// Whether it has a file.
    pub(super) fn is_there(&self) -> bool {
        match &self.kind {
            Of::Agenix { file, .. } => !matches!(file, Sealed::Nothing),
            Of::Sops { secret } => secret.file().is_some(),
        }
    }

    /// What its content is called where it lies in the clear.
    pub(super) fn plain_name(&self) -> String {
        let name = self.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match &self.kind {
            Of::Agenix { .. } => name.strip_suffix(".age").unwrap_or(&name).to_owned(),
            Of::Sops { .. } => name,
        }
    }

    /// The variables that may name an editor for it, the first that is set counts.
    pub(super) fn editors(&self) -> &'static [&'static str] {
        match &self.kind {
            Of::Agenix { .. } => &["VISUAL", "EDITOR"],
            Of::Sops { .. } => &["SOPS_EDITOR", "VISUAL", "EDITOR"],
        }
    }

    /// The way to a value of it, as the command line names one. Only files of SOPS have values of their own.
    pub(super) fn steps(&self, value: Option<&str>) -> Result<Option<Vec<Step>>> {
        match (&self.kind, value) {
            (Of::Agenix { rule, .. }, Some(_)) => Err(Error::message(
                Kind::Usage,
                format!("{} is no file of SOPS, and has no values of its own", rule.name),
            )
            .hint("leave --value out")),
            (_, value) => Ok(value.map(steps)),
        }
    }

    /// The private keys to use for it.
    pub(super) async fn identities(&self, hub: &Hub, keys: &Keys) -> Result<Identities> {
        match &self.kind {
            Of::Agenix { place, .. } => place.identities(hub, keys),
            Of::Sops { secret } => sops::identities(hub, &self.root, keys, Some(secret)).await,
        }
    }

    /// Its content, or one value of it.
    pub(super) fn open(
        &self,
        value: Option<&[Step]>,
        identities: &Identities,
    ) -> std::result::Result<Zeroizing<Vec<u8>>, SecretsError> {
        match &self.kind {
            Of::Agenix { place, rule, file } => {
                let long = match file {
                    Sealed::Long => place.vault.bytes(&rule.path)?,
                    _ => None,
                };
                let bytes = if let Sealed::Bytes(bytes) = file { Some(bytes) } else { long.as_ref() };
                let bytes = bytes.ok_or_else(|| SecretsError::Missing(rule.path.clone()))?;
                let of_age = |error| SecretsError::age(&rule.path, error);
                Header::of(bytes).map_err(of_age)?;
                identities.decrypt(bytes).map_err(of_age)
            }
            Of::Sops { secret } => {
                secret.open(value, identities).map_err(|error| SecretsError::sops(&secret.path, error))
            }
        }
    }

    /// Writes its content, or one value of it, to `to`. What is written of one that is long holds only when this succeeds.
    pub(super) fn show(
        &self,
        value: Option<&[Step]>,
        identities: &Identities,
        mut to: impl Write,
    ) -> std::result::Result<(), SecretsError> {
        if let Of::Agenix { place, rule, file: Sealed::Long } = &self.kind {
            return place.vault.show_long(rule, identities, to);
        }
        let plain = self.open(value, identities)?;
        to.write_all(&plain).map_err(|error| SecretsError::age(self.path(), error.into()))
    }

    /// Whether any content may be one, so that nobody has to look at it.
    pub(super) fn takes_anything(&self) -> bool {
        matches!(&self.kind, Of::Agenix { rule, .. } if Format::of_name(&rule.name).is_none())
    }

    /// Whether a new content may be one.
    pub(super) fn check(&self, new: &[u8], allow_empty: bool) -> Result<()> {
        match &self.kind {
            Of::Agenix { rule, .. } => checked(rule, new, allow_empty),
            Of::Sops { secret } => checked_sops(secret, new, allow_empty),
        }
    }

    /// What was seen of its file; nothing where it is too long to be looked at.
    pub(super) fn seen(&self) -> Option<Seen> {
        match &self.kind {
            Of::Agenix { file: Sealed::Nothing, .. } => Some(Seen::Nothing),
            Of::Agenix { file: Sealed::Bytes(bytes), .. } => Some(Seen::of(bytes)),
            Of::Agenix { file: Sealed::Long, .. } => None,
            Of::Sops { secret } => Some(secret.seen()),
        }
    }

    /// It, or one value of it, as what gets a new value.
    pub(super) fn target(&self, value: Option<&str>) -> Target {
        Target { path: self.path().to_path_buf(), value: value.map(str::to_owned) }
    }

    /// The secrets of agenix of its repository, where it is one of them.
    pub(super) fn place(&self) -> Option<&Place> {
        match &self.kind {
            Of::Agenix { place, .. } => Some(place),
            Of::Sops { .. } => None,
        }
    }
}

/// Whether a new content of a secret of agenix may be one.
pub(super) fn checked(rule: &Rule, new: &[u8], allow_empty: bool) -> Result<()> {
    let wrong = Format::of_name(&rule.name).and_then(|format| format.check(new).err());
    checked_as(&rule.path, new, allow_empty, wrong.map(|wrong| wrong.to_string()))
}

/// Whether a new content of a file of SOPS may be one.
pub(super) fn checked_sops(secret: &SopsSecret, new: &[u8], allow_empty: bool) -> Result<()> {
    let wrong = secret.check(new).err().map(|wrong| wrong.to_string());
    checked_as(&secret.path, new, allow_empty, wrong)
}

fn checked_as(path: &Path, new: &[u8], allow_empty: bool, wrong: Option<String>) -> Result<()> {
    if content::is_blank(new) {
        return if allow_empty { Ok(()) } else { Err(told(SecretsError::Empty(path.to_path_buf()))) };
    }
    wrong.map_or(Ok(()), |wrong| {
        Err(Error::message(Kind::Refused, format!("{}: {wrong}", path.display()))
            .hint("the end of its name says what it is; nothing was changed"))
    })
}
