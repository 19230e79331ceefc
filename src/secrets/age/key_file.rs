//! Files of private keys: who may read them, and what is in them.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::OnceLock;

use age::ssh::UnsupportedKey;
use zeroize::Zeroizing;

use super::error::AgeError;
use super::key::Key;
use super::recipient::Recipient;

/// How large an identity file may be, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How large an ssh key may be, in bytes.
const MAX_SSH: usize = 16 * 1024;

/// Reads a file of private keys, after looking at who else may read it. One that is at or below `outside` is refused, since
/// what is in a repository is in everybody's.
pub(super) fn load(path: &Path, outside: Option<&Path>) -> Result<Vec<Key>, AgeError> {
    let origin = path.display().to_string();
    let wrong = |why: String, hint: Option<String>| AgeError::Identity { origin: origin.clone(), why, hint };
    let unreadable = |error: std::io::Error| wrong(error.to_string(), None);
    let real = path.canonicalize().map_err(unreadable)?;
    if real.starts_with("/nix/store") {
        let hint = "everybody on this machine can read the store: make a new key outside of it, and take this one away";
        return Err(wrong("it is in the Nix store".to_owned(), Some(hint.to_owned())));
    }
    if outside.is_some_and(|outside| real.starts_with(outside)) {
        let hint = "move it out, for example to ~/.ssh; if it was ever committed, make a new one";
        return Err(wrong("it is in the repository".to_owned(), Some(hint.to_owned())));
    }
    let file = File::open(&real).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(wrong("it is no file".to_owned(), None));
    }
    let me = rustix::process::geteuid().as_raw();
    if about.uid() != me && about.uid() != 0 {
        return Err(wrong(
            "it is owned by somebody else".to_owned(),
            Some(format!("chown it to yourself: `chown $USER {origin}`")),
        ));
    }
    if about.mode() & 0o077 != 0 {
        let why = format!("others may read it (mode {:04o})", about.mode() & 0o7777);
        return Err(wrong(why, Some(format!("take that away: `chmod 600 {origin}`"))));
    }
    if about.len() > MAX_FILE {
        return Err(wrong("it is larger than 16 MiB".to_owned(), None));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default() + 1));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(unreadable)?;
    read(&bytes, &origin)
}

/// Reads private keys: an ssh key, the lines of an identity file, or such a file encrypted to a passphrase.
pub(super) fn read(bytes: &[u8], origin: &str) -> Result<Vec<Key>, AgeError> {
    let wrong = |why: &str| AgeError::Identity { origin: origin.to_owned(), why: why.to_owned(), hint: None };
    let begin = bytes.trim_ascii_start();
    if begin.starts_with(b"age-encryption.org/") || begin.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Ok(vec![Key::LockedFile { bytes: bytes.to_vec(), open: OnceLock::new() }]);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is no text"))?;
    let keys =
        if begin.starts_with(b"-----BEGIN") { vec![ssh(text.trim_start(), origin)?] } else { lines(text, origin)? };
    if keys.is_empty() { Err(wrong("there is no key in it")) } else { Ok(keys) }
}

fn ssh(text: &str, origin: &str) -> Result<Key, AgeError> {
    let wrong = |why: &str, hint: Option<&str>| AgeError::Identity {
        origin: origin.to_owned(),
        why: why.to_owned(),
        hint: hint.map(str::to_owned),
    };
    if text.len() > MAX_SSH {
        return Err(wrong("it is too large for an ssh key", None));
    }
    let newer = Some("bring it into the newer form: `ssh-keygen -p -f FILE`");
    let key = age::ssh::Identity::from_buffer(text.as_bytes(), None).map_err(|_| {
        if text.starts_with("-----BEGIN OPENSSH") || text.starts_with("-----BEGIN RSA") {
            wrong("it is a damaged ssh key", None)
        } else {
            wrong("it is of a form that age does not know", newer)
        }
    })?;
    let recipient = age::ssh::Recipient::try_from(key.clone());
    match (key, recipient) {
        (age::ssh::Identity::Unsupported(UnsupportedKey::EncryptedPem), _) => {
            Err(wrong("it is encrypted in a way that does not protect it", newer))
        }
        (age::ssh::Identity::Unsupported(UnsupportedKey::Hardware(_)), _) => Err(wrong(
            "it is on a hardware key, which age uses by plugins alone",
            Some("see age-plugin-yubikey and its like"),
        )),
        (age::ssh::Identity::Unsupported(_), _) | (_, Err(_)) => Err(wrong(
            "it is of a kind that age does not know",
            Some("age takes ssh keys of the kinds ed25519 and rsa"),
        )),
        (age::ssh::Identity::Encrypted(key), Ok(recipient)) => {
            let recipient = Recipient::of_ssh(recipient, None);
            Ok(Key::LockedSsh { recipient, key: Box::new(key), open: OnceLock::new() })
        }
        (key, Ok(recipient)) => Ok(Key::Ssh { recipient: Recipient::of_ssh(recipient, None), key: Box::new(key) }),
    }
}

/// The lines of an identity file. A line that is wrong is told by its number, for it may be a secret.
fn lines(text: &str, origin: &str) -> Result<Vec<Key>, AgeError> {
    let mut keys = Vec::new();
    for (at, line) in text.lines().map(str::trim_end).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Ok(key) = line.parse::<age::x25519::Identity>() {
            keys.push(Key::X25519(Box::new(key)));
        } else if let Ok(key) = line.parse::<age::plugin::Identity>() {
            keys.push(Key::Plugin(key));
        } else {
            let why = format!("line {} is no identity", at + 1);
            return Err(AgeError::Identity { origin: origin.to_owned(), why, hint: None });
        }
    }
    Ok(keys)
}
