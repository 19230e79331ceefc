//! Private keys: what they can open, what it costs to try, and how one that is locked is unlocked, once.

use std::sync::{Arc, OnceLock};

use age::plugin::IdentityPluginV1;
use age::secrecy::SecretString;
use age::{DecryptError, Identity as _};
use age_core::format::{FileKey, Stanza};

use super::ask::{Ask, Callbacks};
use super::key_file;
use super::recipient::{Recipient, RecipientKind};

/// How often a passphrase may be mistyped.
const TRIES: usize = 3;

/// What a passphrase of an identity file may cost to check, as the power of two that scrypt is given.
const MAX_WORK: u8 = 20;

/// A private key, or several of which nobody knows before they are unlocked. None of it has a `Debug`.
pub(super) enum Key {
    Ssh {
        recipient: Recipient,
        key: Box<age::ssh::Identity>,
    },
    LockedSsh {
        recipient: Recipient,
        key: Box<age::ssh::EncryptedKey>,
        open: OnceLock<Result<Box<age::ssh::Identity>, String>>,
    },
    X25519(Box<age::x25519::Identity>),
    Plugin(age::plugin::Identity),
    /// A file that is encrypted to a passphrase.
    LockedFile {
        bytes: Vec<u8>,
        open: OnceLock<Result<Vec<Key>, String>>,
    },
}

/// What became of a try.
pub(super) enum Attempt {
    Opened(FileKey),
    /// It may have been worth a try, and did not open it.
    Not(String),
}

impl Key {
    /// What it costs to try, from the cheapest on. One that asks somebody comes late, one of RSA after its like.
    pub(super) fn cost(&self) -> u8 {
        match self {
            Self::Ssh { recipient, .. } if recipient.kind() == &RecipientKind::SshRsa => 2,
            Self::Ssh { .. } => 0,
            Self::X25519(_) => 1,
            Self::LockedSsh { open, recipient, .. } => {
                let rsa = u8::from(recipient.kind() == &RecipientKind::SshRsa);
                if open.get().is_some() { rsa * 2 } else { 3 + rsa }
            }
            Self::Plugin(_) => 5,
            Self::LockedFile { open, .. } => {
                if open.get().is_some() {
                    1
                } else {
                    6
                }
            }
        }
    }

    /// Whether it may open one of these stanzas, of which each is given as its type and its first word.
    pub(super) fn may_open<'a>(&self, mut stanzas: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> bool {
        match self {
            Self::Ssh { recipient, .. } | Self::LockedSsh { recipient, .. } => {
                let tag = recipient.tag();
                let kind = if recipient.kind() == &RecipientKind::SshRsa { "ssh-rsa" } else { "ssh-ed25519" };
                stanzas.any(|(of, first)| of == kind && first == tag.as_deref())
            }
            Self::X25519(_) => stanzas.any(|(kind, _)| kind == "X25519"),
            Self::Plugin(_) => stanzas.any(|(kind, _)| !is_native(kind) && !kind.ends_with("-grease")),
            Self::LockedFile { .. } => stanzas
                .any(|(kind, _)| !["ssh-ed25519", "ssh-rsa", "scrypt"].contains(&kind) && !kind.ends_with("-grease")),
        }
    }

    /// Whether nobody has to be asked before it opens something.
    pub(super) fn is_unlocked(&self) -> bool {
        match self {
            Self::Ssh { .. } | Self::X25519(_) => true,
            Self::LockedSsh { open, .. } => open.get().is_some_and(Result::is_ok),
            Self::LockedFile { open, .. } => {
                open.get().is_some_and(|open| open.as_ref().is_ok_and(|keys| keys.iter().all(Self::is_unlocked)))
            }
            Self::Plugin(_) => false,
        }
    }

    /// Whether a plugin is asked.
    pub(super) fn is_of_plugin(&self) -> bool {
        matches!(self, Self::Plugin(_) | Self::LockedFile { .. })
    }

    /// Its public half, where that is known without unlocking it.
    pub(super) fn recipients(&self) -> Vec<Recipient> {
        match self {
            Self::Ssh { recipient, .. } | Self::LockedSsh { recipient, .. } => vec![recipient.clone()],
            Self::X25519(key) => key.to_public().to_string().parse().into_iter().collect(),
            Self::Plugin(_) => Vec::new(),
            Self::LockedFile { open, .. } => match open.get() {
                Some(Ok(keys)) => keys.iter().flat_map(Self::recipients).collect(),
                _ => Vec::new(),
            },
        }
    }

    /// Tries to open stanzas. One that is locked is unlocked first; `origin` says to whoever is asked which it is.
    pub(super) fn open(&self, stanzas: &[Stanza], origin: &str, ask: &Arc<dyn Ask>) -> Attempt {
        match self {
            Self::Ssh { key, .. } => attempt(key.unwrap_stanzas(stanzas)),
            Self::LockedSsh { key, open, .. } => {
                match open.get_or_init(|| unlock(origin, ask, |word| unlock_ssh(key, word))) {
                    Ok(key) => attempt(key.unwrap_stanzas(stanzas)),
                    Err(why) => Attempt::Not(why.clone()),
                }
            }
            Self::X25519(key) => attempt(key.unwrap_stanzas(stanzas)),
            Self::Plugin(identity) => {
                match IdentityPluginV1::new(identity.plugin(), std::slice::from_ref(identity), Callbacks(ask.clone())) {
                    Ok(plugin) => attempt(age::Identity::unwrap_stanzas(&plugin, stanzas)),
                    Err(error) => Attempt::Not(error.to_string()),
                }
            }
            Self::LockedFile { bytes, open } => {
                match open.get_or_init(|| unlock(origin, ask, |word| unlock_file(bytes, word, origin))) {
                    Ok(keys) => open_with_any(keys, stanzas, origin, ask),
                    Err(why) => Attempt::Not(why.clone()),
                }
            }
        }
    }
}

/// Whether the program knows this type of stanza by itself.
fn is_native(kind: &str) -> bool {
    ["X25519", "ssh-ed25519", "ssh-rsa", "scrypt"].contains(&kind)
}

fn open_with_any(keys: &[Key], stanzas: &[Stanza], origin: &str, ask: &Arc<dyn Ask>) -> Attempt {
    let mut last = "none of its keys is a recipient".to_owned();
    for key in keys {
        match key.open(stanzas, origin, ask) {
            Attempt::Not(why) => last = why,
            opened @ Attempt::Opened(_) => return opened,
        }
    }
    Attempt::Not(last)
}

fn attempt(unwrapped: Option<Result<FileKey, DecryptError>>) -> Attempt {
    match unwrapped {
        Some(Ok(key)) => Attempt::Opened(key),
        Some(Err(DecryptError::DecryptionFailed)) => {
            Attempt::Not("a stanza bears its tag, and it does not open it".to_owned())
        }
        Some(Err(error)) => Attempt::Not(error.to_string()),
        None => Attempt::Not("it is none of the recipients".to_owned()),
    }
}

/// Asks for a passphrase until it is right. `Ok(None)` of `try_it` means that it is wrong.
fn unlock<T>(
    origin: &str,
    ask: &Arc<dyn Ask>,
    try_it: impl Fn(SecretString) -> Result<Option<T>, String>,
) -> Result<T, String> {
    for _ in 0..TRIES {
        let Some(passphrase) = ask.passphrase(origin) else {
            return Err("it is locked by a passphrase, which nobody gave".to_owned());
        };
        if let Some(opened) = try_it(passphrase)? {
            return Ok(opened);
        }
        ask.tell(&format!("this is not the passphrase of {origin}"));
    }
    Err("the passphrase was wrong".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that `unlock` takes")]
fn unlock_ssh(
    key: &age::ssh::EncryptedKey,
    passphrase: SecretString,
) -> Result<Option<Box<age::ssh::Identity>>, String> {
    Ok(key.decrypt(passphrase).ok().map(|key| Box::new(age::ssh::Identity::from(key))))
}

fn unlock_file(bytes: &[u8], passphrase: SecretString, origin: &str) -> Result<Option<Vec<Key>>, String> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(MAX_WORK);
    match super::identity::decrypt_with(bytes, &identity) {
        Ok(text) => key_file::read(&text, origin).map(Some).map_err(|error| error.to_string()),
        Err(DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys) => {
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}
