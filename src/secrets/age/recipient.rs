//! Those who can open a file: a public key, and what it is called.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use age::ssh::ParseRecipientKeyError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::{Bech32, Hrp};
use sha2::{Digest as _, Sha256};

use super::error::AgeError;

/// A public key that files are encrypted to. Two are equal when their keys are; comments do not count.
#[derive(Clone)]
pub struct Recipient {
    kind: RecipientKind,
    /// The key without its comment.
    text: String,
    comment: Option<String>,
    pub(super) key: Key,
}

/// Of which kind a recipient is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecipientKind {
    /// `ssh-ed25519 …`
    SshEd25519,
    /// `ssh-rsa …`
    SshRsa,
    /// `age1…`
    X25519,
    /// `age1tag1…` or `age1tagpq1…`: a key of hardware, to which can be encrypted without a plugin.
    Tag,
    /// `age1NAME1…`: what a plugin of that name encrypts to.
    Plugin(String),
}

/// What encrypts.
#[derive(Clone)]
pub(super) enum Key {
    Native(Arc<dyn age::Recipient + Send + Sync>),
    Ssh(Arc<age::ssh::Recipient>),
    Plugin(age::plugin::Recipient),
}

impl Recipient {
    /// Its kind.
    pub fn kind(&self) -> &RecipientKind {
        &self.kind
    }

    /// What stands behind the key, most often who it is.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The tag of an ssh key's stanzas: the beginning of the key's hash. It is a hint, and no proof.
    pub fn tag(&self) -> Option<String> {
        let Key::Ssh(key) = &self.key else { return None };
        Some(BASE64_STANDARD_NO_PAD.encode(&Sha256::digest(wire(key))[..4]))
    }

    /// The recipient that an ssh-ed25519 key is when it is converted to one of age itself, as `ssh-to-age` does.
    pub fn to_age(&self) -> Option<Self> {
        let Key::Ssh(key) = &self.key else { return None };
        let age::ssh::Recipient::SshEd25519(_, point) = &**key else { return None };
        let text = bech32::encode::<Bech32>(Hrp::parse("age").ok()?, point.to_montgomery().as_bytes()).ok()?;
        let mut converted: Self = text.parse().ok()?;
        converted.comment.clone_from(&self.comment);
        Some(converted)
    }

    /// Whether somebody who has the private half of one has that of the other: they are equal, or one is the other converted.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self == other || self.to_age().as_ref() == Some(other) || other.to_age().as_ref() == Some(self)
    }

    /// The key cut to what tells it from others, with its comment: for people.
    pub fn short(&self) -> String {
        let key = self.text.split_whitespace().last().unwrap_or_default();
        let end = key.get(key.len().saturating_sub(8)..).unwrap_or(key);
        match (&self.comment, &self.kind) {
            (Some(comment), _) => format!("{comment} (…{end})"),
            (None, RecipientKind::SshEd25519) => format!("ssh-ed25519 …{end}"),
            (None, RecipientKind::SshRsa) => format!("ssh-rsa …{end}"),
            (None, _) => format!("{}…{end}", key.get(..8).unwrap_or_default()),
        }
    }

    pub(super) fn of_ssh(key: age::ssh::Recipient, comment: Option<String>) -> Self {
        let kind = match key {
            age::ssh::Recipient::SshRsa(..) => RecipientKind::SshRsa,
            age::ssh::Recipient::SshEd25519(..) => RecipientKind::SshEd25519,
        };
        Self { kind, text: key.to_string(), comment, key: Key::Ssh(Arc::new(key)) }
    }

    fn ssh(text: &str, words: &[&str]) -> Result<Self, AgeError> {
        let wrong = |why: &str| AgeError::Recipient { text: cut(text), why: why.to_owned() };
        let key: age::ssh::Recipient = text.parse().map_err(|error| match error {
            ParseRecipientKeyError::RsaModulusTooSmall => wrong("an RSA key of less than 2048 bits is too weak"),
            ParseRecipientKeyError::RsaModulusTooLarge => wrong("an RSA key of more than 4096 bits is not supported"),
            ParseRecipientKeyError::Unsupported(kind) => wrong(&format!("age has no {kind} keys")),
            _ => wrong("it is damaged"),
        })?;
        // What the parser did not reach is no part of the key.
        if words.get(1).map(|word| word.trim_end_matches('='))
            != key.to_string().split(' ').nth(1).map(|word| word.trim_end_matches('='))
        {
            return Err(wrong("it is damaged"));
        }
        Ok(Self::of_ssh(key, comment_of(&words[2..])))
    }

    fn age(words: &[&str]) -> Result<Self, AgeError> {
        let text = words[0];
        let comment = comment_of(&words[1..]);
        let native = |kind, key| Self { kind, text: text.to_owned(), comment: comment.clone(), key: Key::Native(key) };
        if let Ok(key) = text.parse::<age::x25519::Recipient>() {
            return Ok(native(RecipientKind::X25519, Arc::new(key)));
        }
        if let Ok(key) = text.parse::<age::tag::Recipient>() {
            return Ok(native(RecipientKind::Tag, Arc::new(key)));
        }
        if let Ok(key) = text.parse::<age::tagpq::Recipient>() {
            return Ok(native(RecipientKind::Tag, Arc::new(key)));
        }
        match text.parse::<age::plugin::Recipient>() {
            Ok(key) => {
                let kind = RecipientKind::Plugin(key.plugin().to_owned());
                Ok(Self { kind, text: text.to_owned(), comment, key: Key::Plugin(key) })
            }
            Err(_) => Err(AgeError::Recipient { text: cut(text), why: "it is damaged".to_owned() }),
        }
    }
}

impl FromStr for Recipient {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let text = text.trim();
        if text.contains("PRIVATE KEY") || text.to_ascii_uppercase().contains("AGE-SECRET-KEY-") {
            return Err(AgeError::PrivateRecipient);
        }
        let wrong = |why: &str| AgeError::Recipient { text: cut(text), why: why.to_owned() };
        if text.chars().any(char::is_control) {
            return Err(wrong("it has a control character, such as the end of a line"));
        }
        let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
        match words.first() {
            None => Err(wrong("it is empty")),
            Some(first) if first.starts_with("age1") => Self::age(&words),
            Some(_) if words.len() > 1 => Self::ssh(&words.join(" "), &words),
            Some(_) => Err(wrong("its kind is not known")),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Recipient {}

impl PartialOrd for Recipient {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Recipient {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Recipient {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

fn wire(key: &age::ssh::Recipient) -> &[u8] {
    match key {
        age::ssh::Recipient::SshRsa(wire, _) | age::ssh::Recipient::SshEd25519(wire, _) => wire,
    }
}

fn comment_of(words: &[&str]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(" "))
}

/// As much of a text that is wrong as a message needs.
fn cut(text: &str) -> String {
    let shown: String =
        text.chars().take(60).map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    if shown.len() < text.len() { format!("{shown}…") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

    fn wrong(text: &str) -> String {
        text.parse::<Recipient>().unwrap_err().to_string()
    }

    #[test]
    fn a_comment_is_kept_and_does_not_count() {
        let named: Recipient = format!("{ED25519} root@p620  2024").parse().unwrap();
        let bare: Recipient = ED25519.parse().unwrap();
        assert_eq!((named.comment(), bare.comment()), (Some("root@p620 2024"), None));
        assert_eq!((named.to_string(), &named), (ED25519.to_owned(), &bare));
        assert_eq!(named.kind(), &RecipientKind::SshEd25519);
        assert_eq!(
            (named.short(), bare.short()),
            ("root@p620 2024 (…HtZ6isGN)".to_owned(), "ssh-ed25519 …HtZ6isGN".to_owned())
        );
    }

    #[test]
    fn an_ed25519_key_has_a_tag_and_is_converted() {
        let key: Recipient = ED25519.parse().unwrap();
        let converted = key.to_age().unwrap();
        // As the tools that convert such keys give it.
        assert_eq!(key.tag().unwrap(), "PYX4ow");
        assert_eq!(converted.kind(), &RecipientKind::X25519);
        assert!(converted.tag().is_none() && converted.to_age().is_none());
    }

    #[test]
    fn the_kinds_of_age_are_told_apart() {
        let kind = |text: &str| text.parse::<Recipient>().unwrap().kind().clone();
        let plugin = bech32::encode::<Bech32>(Hrp::parse("age1yubikey").unwrap(), b"anything").unwrap();
        let x25519 = age::x25519::Identity::generate().to_public().to_string();
        assert_eq!(
            (kind(&x25519), kind(&plugin)),
            (RecipientKind::X25519, RecipientKind::Plugin("yubikey".to_owned()))
        );
        assert_eq!(kind(&format!("{x25519} somebody")), RecipientKind::X25519);
    }

    #[test]
    fn what_is_no_recipient_is_refused_and_a_private_key_not_repeated() {
        assert!(wrong("").contains("empty"));
        assert!(wrong("ssh-dss").contains("not known"));
        assert!(wrong("ssh-ed25519 AAAA").contains("damaged"));
        assert!(wrong(&format!("{ED25519}!")).contains("damaged"));
        assert!(wrong("age1qqqqqq").contains("damaged"));
        assert!(wrong(&format!("{ED25519} a\nb")).contains("control character"));
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHFliOyIZs1gxGF3fmDxFykQhE88wy6AKDGFBfn0R6ZuvRmENABZQa9+pj9hMki+LX0qDJbmHTiWDbYv/cmFt/Q=";
        assert!(wrong(ecdsa).contains("age has no ecdsa-sha2-nistp256 keys"));
        let secret = wrong("AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ");
        assert!(!secret.contains("QQQQ"), "{secret}");
    }
}
