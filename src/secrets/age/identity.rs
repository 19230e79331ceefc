//! The identities at hand, and decryption with the one that fits, in memory and in a stream.

use std::cell::RefCell;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;

use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use super::ask::Ask;
use super::crypt::{Armor, copy};
use super::error::{AgeError, Tried};
use super::header::{Header, begin, broken, rejoined, unarmored};
use super::key::{Attempt, Key};
use super::key_file;
use super::recipient::Recipient;

/// The private keys at hand. They may be used by many threads; a passphrase is asked for when a file needs it, and once.
pub struct Identities {
    keys: Vec<(String, Key)>,
    ask: Arc<dyn Ask>,
}

impl Identities {
    /// None yet. `ask` is whom passphrases are asked of.
    pub fn new(ask: Arc<dyn Ask>) -> Self {
        Self { keys: Vec::new(), ask }
    }

    /// Adds the keys of a file, which must be nobody else's to read, and not at or below `outside`.
    pub fn add_file(&mut self, path: &Path, outside: Option<&Path>) -> Result<(), AgeError> {
        let origin = path.display().to_string();
        self.keys.extend(key_file::load(path, outside)?.into_iter().map(|key| (origin.clone(), key)));
        Ok(())
    }

    /// Adds keys that came from elsewhere, such as a variable, which `origin` names.
    pub fn add_text(&mut self, origin: &str, text: &str) -> Result<(), AgeError> {
        self.keys.extend(key_file::read(text.as_bytes(), origin)?.into_iter().map(|key| (origin.to_owned(), key)));
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The public halves, as far as they are known without asking anybody.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.keys.iter().flat_map(|(_, key)| key.recipients()).collect()
    }

    /// Whether one of them may open the file, as far as its header tells. Asks nobody.
    pub fn may_open(&self, header: &Header) -> bool {
        let stanzas =
            || header.stanzas().iter().map(|stanza| (stanza.kind.as_str(), stanza.args.first().map(String::as_str)));
        self.keys.iter().any(|(_, key)| key.may_open(stanzas()))
    }

    /// Whether one of them may open the file without anybody being asked.
    pub fn open_unasked(&self, header: &Header) -> bool {
        let stanzas =
            || header.stanzas().iter().map(|stanza| (stanza.kind.as_str(), stanza.args.first().map(String::as_str)));
        self.keys.iter().any(|(_, key)| key.is_unlocked() && key.may_open(stanzas()))
    }

    /// Whether one of them is that of a plugin, which has to be asked one file at a time.
    pub fn has_plugins(&self) -> bool {
        self.keys.iter().any(|(_, key)| key.is_of_plugin())
    }

    /// Whether none of them is among `recipients`, as far as it is known whose they are. What an ssh key is in the form of age it opens
    /// nothing as.
    pub fn are_locked_out(&self, recipients: &[Recipient]) -> bool {
        let known = self.keys.iter().all(|(_, key)| !key.recipients().is_empty());
        known && !self.recipients().iter().any(|one| recipients.contains(one))
    }

    /// Decrypts a whole file.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, AgeError> {
        // What is decrypted is never longer, so that nothing of it stays behind in memory that grew.
        let mut plain = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
        self.decrypt_stream(ciphertext, &mut *plain)?;
        Ok(plain)
    }

    /// The same for what may be too large for the memory; gives the number of bytes that were decrypted. What was written holds
    /// only when this succeeds.
    pub fn decrypt_stream(&self, from: impl Read, mut to: impl Write) -> Result<u64, AgeError> {
        Ok(copy(&mut self.open_stream(from)?, &mut to)?)
    }

    /// The content of a file, to be read piece by piece. What was read holds only when its end is reached without an error.
    pub fn open_stream<'a, R: Read + 'a>(&self, from: R) -> Result<impl Read + use<'a, R>, AgeError> {
        let (armor, mut from) = unarmored(from)?;
        let (stanzas, header) = begin(&mut from)?;
        if stanzas.iter().any(|stanza| stanza.kind == "scrypt") {
            return Err(AgeError::Passphrase);
        }
        let choice = Choice { identities: self, tried: RefCell::default() };
        let opened = Decryptor::new_buffered(rejoined(header, from))
            .and_then(|decryptor| decryptor.decrypt(std::iter::once(&choice as &dyn age::Identity)));
        let plain = opened.map_err(|error| failed(armor, error, choice.tried.into_inner()))?;
        Ok(Plain { armor, plain })
    }
}

/// A content as it is decrypted, whose errors are those of age.
struct Plain<R> {
    armor: Armor,
    plain: R,
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.plain.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => io::Error::other(broken(self.armor, error)),
        })
    }
}

/// All identities as one, which opens a file by the cheapest of them that fits.
struct Choice<'a> {
    identities: &'a Identities,
    tried: RefCell<Vec<Tried>>,
}

impl age::Identity for Choice<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let words = || stanzas.iter().map(|stanza| (stanza.tag.as_str(), stanza.args.first().map(String::as_str)));
        let mut keys: Vec<_> = self.identities.keys.iter().collect();
        keys.sort_by_key(|(_, key)| key.cost());
        for (origin, key) in keys {
            let why = if key.may_open(words()) {
                match key.open(stanzas, origin, &self.identities.ask) {
                    Attempt::Opened(file_key) => return Some(Ok(file_key)),
                    Attempt::Not(why) => why,
                }
            } else {
                "it is none of the recipients".to_owned()
            };
            self.tried.borrow_mut().push(Tried { origin: origin.clone(), why });
        }
        None
    }
}

fn failed(armor: Armor, error: DecryptError, tried: Vec<Tried>) -> AgeError {
    match error {
        DecryptError::NoMatchingKeys => AgeError::NoIdentity(tried),
        DecryptError::InvalidMac => AgeError::HeaderMac,
        DecryptError::Io(error) => broken(armor, error),
        _ => AgeError::Payload,
    }
}

/// Decrypts a whole file with one identity.
pub(super) fn decrypt_with(bytes: &[u8], identity: &dyn age::Identity) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let reader: &mut dyn BufRead = &mut age::armor::ArmoredReader::new(bytes);
    let mut opened = Decryptor::new_buffered(reader)?.decrypt(std::iter::once(identity))?;
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    copy(&mut opened, &mut *plain).map_err(|error: io::Error| DecryptError::Io(error))?;
    Ok(plain)
}
