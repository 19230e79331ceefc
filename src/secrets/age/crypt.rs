//! Encryption, in memory and in a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::Arc;

use age::armor::{ArmoredWriter, Format};
use age::plugin::RecipientPluginV1;
use age::{EncryptError, Encryptor};
use zeroize::Zeroizing;

use super::ask::{Ask, Callbacks};
use super::error::AgeError;
use super::recipient::{Key, Recipient};

/// How much of a stream is held at once.
const CHUNK: usize = 64 * 1024;

/// The form of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Armor {
    /// Bytes.
    Binary,
    /// Lines of text.
    Ascii,
}

/// Encrypts to recipients, of whom each may be named more than once. Plugins may ask.
pub fn encrypt(plain: &[u8], recipients: &[Recipient], armor: Armor, ask: &Arc<dyn Ask>) -> Result<Vec<u8>, AgeError> {
    let mut ciphertext = Vec::with_capacity(plain.len() + 256 + 256 * recipients.len());
    encrypt_stream(plain, &mut ciphertext, recipients, armor, ask)?;
    Ok(ciphertext)
}

/// The same for what may be too large for the memory; gives the number of bytes that were encrypted.
pub fn encrypt_stream(
    mut from: impl Read,
    to: impl Write,
    recipients: &[Recipient],
    armor: Armor,
    ask: &Arc<dyn Ask>,
) -> Result<u64, AgeError> {
    let keys = keys(recipients, ask)?;
    let encryptor = Encryptor::with_recipients(keys.iter().map(|key| &**key)).map_err(not_encrypted)?;
    let format = if armor == Armor::Ascii { Format::AsciiArmor } else { Format::Binary };
    let mut output = encryptor.wrap_output(ArmoredWriter::wrap_output(to, format)?)?;
    let copied = copy(&mut from, &mut output)?;
    output.finish()?.finish()?.flush()?;
    Ok(copied)
}

/// Copies by way of memory that is wiped.
pub(super) fn copy(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<u64> {
    let mut buffer = Zeroizing::new(vec![0; CHUNK]);
    let mut copied = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..read])?;
        copied += read as u64;
    }
}

/// What wraps the key of a file: one for each recipient, but one for all of a plugin, so that it is started once.
fn keys(recipients: &[Recipient], ask: &Arc<dyn Ask>) -> Result<Vec<Box<dyn age::Recipient>>, AgeError> {
    let recipients: BTreeSet<_> = recipients.iter().collect();
    if recipients.is_empty() {
        return Err(AgeError::NoRecipients);
    }
    let mut keys: Vec<Box<dyn age::Recipient>> = Vec::new();
    let mut plugins: BTreeMap<&str, Vec<age::plugin::Recipient>> = BTreeMap::new();
    for recipient in recipients {
        match &recipient.key {
            Key::Native(key) => keys.push(Box::new(Shared(key.clone()))),
            Key::Ssh(key) => keys.push(Box::new(Shared(key.clone()))),
            Key::Plugin(key) => plugins.entry(key.plugin()).or_default().push(key.clone()),
        }
    }
    for (name, recipients) in plugins {
        let plugin = RecipientPluginV1::new(name, &recipients, &[], Callbacks(ask.clone()))
            .map_err(|error| AgeError::Encrypt(error.to_string()))?;
        keys.push(Box::new(plugin));
    }
    Ok(keys)
}

/// A key that others hold too.
struct Shared<T: ?Sized>(Arc<T>);

impl<T: age::Recipient + ?Sized> age::Recipient for Shared<T> {
    fn wrap_file_key(
        &self,
        file_key: &age_core::format::FileKey,
    ) -> Result<(Vec<age_core::format::Stanza>, std::collections::HashSet<String>), EncryptError> {
        self.0.wrap_file_key(file_key)
    }
}

fn not_encrypted(error: EncryptError) -> AgeError {
    match error {
        EncryptError::Io(error) => AgeError::Io(error),
        EncryptError::MissingRecipients => AgeError::NoRecipients,
        other => AgeError::Encrypt(other.to_string()),
    }
}
