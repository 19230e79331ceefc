//! Contents that are too long for the memory: encrypted and decrypted as they are read, and proved like all others.

use std::fs::Metadata;
use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use super::{Result, Vault, form, not_verified, prove};
use crate::secrets::age::{AgeError, Armor, Header, Identities, encrypt_stream};
use crate::secrets::error::SecretsError;
use crate::secrets::git::state_dir;
use crate::secrets::rules::Rule;
use crate::secrets::transaction::{Change, Content, Seen, Spool, seen};

/// How many bytes of a content are held in memory as a whole; one that has more goes through it piece by piece.
pub const WHOLE: usize = 1024 * 1024;

/// Whether the file of a secret is too long to be read as a whole.
pub(super) fn is_long(about: &Metadata) -> bool {
    about.len() > WHOLE as u64
}

impl Vault {
    /// As [`Vault::seal`], for a content of any length. Whoever calls this has the lock of the repository.
    pub fn seal_long(&self, rule: &Rule, from: impl Read, identities: &Identities) -> Result<Change> {
        let was_armored = match self.header(rule) {
            Ok(header) => header.is_some_and(|header| header.armor() == Armor::Ascii),
            // What is damaged is replaced.
            Err(SecretsError::Age { .. }) => false,
            Err(error) => return Err(error),
        };
        let seen = self.seen(rule)?;
        self.spooled(rule, from, seen, form(rule, was_armored), identities)
    }

    /// Writes the content of a secret to `to` as it is decrypted: it holds only when this succeeds.
    pub fn show_long(&self, rule: &Rule, identities: &Identities, to: impl Write) -> Result<()> {
        let (file, _) = self.file(&rule.path)?.ok_or_else(|| SecretsError::Missing(rule.path.clone()))?;
        identities.decrypt_stream(file, to).map(drop).map_err(|error| SecretsError::age(&rule.path, error))
    }

    pub(super) fn rekey_long(&self, rule: &Rule, identities: &Identities) -> Result<Change> {
        let of_age = |error| SecretsError::age(&rule.path, error);
        let missing = || SecretsError::Missing(rule.path.clone());
        let header = self.header(rule)?.ok_or_else(missing)?;
        let seen = self.seen(rule)?;
        let (file, _) = self.file(&rule.path)?.ok_or_else(missing)?;
        let plain = identities.open_stream(file).map_err(of_age)?;
        let was_armored = header.armor() == Armor::Ascii;
        self.spooled(rule, plain, seen, form(rule, was_armored), identities)
    }

    fn seen(&self, rule: &Rule) -> Result<Seen> {
        let unreadable = |error| SecretsError::Unreadable { path: rule.path.clone(), error };
        seen(&self.root.join(&rule.path)).map_err(unreadable)
    }

    fn spooled(
        &self,
        rule: &Rule,
        from: impl Read,
        seen: Seen,
        armor: Armor,
        identities: &Identities,
    ) -> Result<Change> {
        let of_age = |error: AgeError| SecretsError::age(&rule.path, error);
        let of_disk = |error: io::Error| of_age(error.into());
        let mut from = Hashing { from, hash: Sha256::new() };
        let mut spool = Spool::new(&state_dir(&self.root)).map_err(of_disk)?;
        let length = encrypt_stream(&mut from, &mut spool, &rule.recipients, armor, &self.ask).map_err(of_age)?;
        let spooled = spool.finish();
        let file = spooled.open().map_err(of_disk)?;
        let bytes = file.metadata().map_err(of_disk)?.len();
        let header = Header::of_file(&file, bytes).map_err(of_age)?;
        prove(rule, &header, length)?;
        if identities.open_unasked(&header) {
            let mut again = Summing(Sha256::new());
            identities.decrypt_stream(spooled.open().map_err(of_disk)?, &mut again).map_err(of_age)?;
            if again.0.finalize() != from.hash.finalize() {
                return Err(not_verified(rule, "its content differs"));
            }
        }
        Ok(Change { path: rule.path.clone(), seen, content: Content::Spooled(spooled) })
    }
}

/// What is read, and its hash.
struct Hashing<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}

/// The hash of what is written.
struct Summing(Sha256);

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
