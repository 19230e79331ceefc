//! What can be wrong with an age file, a recipient or an identity.

use std::fmt;
use std::io;

/// Why something of age cannot be used. The file that it is about is told by whoever knows it.
#[derive(Debug, thiserror::Error)]
pub enum AgeError {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It is something else.
    #[error("it is not an age file")]
    NotAge,
    /// It is of another version of the format.
    #[error("it is an age file of version `{0}`, and only v1 is known")]
    Version(String),
    /// Its header breaks the rules of the format.
    #[error("its header is damaged in line {line}: {what}")]
    Header {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// Its header is too large to be honest.
    #[error("its header is larger than {} KiB", super::HEADER_LIMIT / 1024)]
    HeaderTooLarge,
    /// Its armor breaks the rules of the format.
    #[error("its armor is damaged: {0}")]
    Armor(String),
    /// The encrypted part is too short, too long, or altered.
    #[error("its content is cut off or was altered")]
    Payload,
    /// It is encrypted to a passphrase.
    #[error("it is encrypted to a passphrase, which no host has")]
    Passphrase,
    /// What the header says of its recipients is not what its maker wrote.
    #[error("its header was altered")]
    HeaderMac,
    /// None of the identities opens it.
    #[error("no identity at hand opens it{}", Tried::list(.0))]
    NoIdentity(Vec<Tried>),
    /// A recipient that cannot be used.
    #[error("`{text}` is no recipient of age: {why}")]
    Recipient {
        /// As it was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A private key stands where a public one belongs.
    #[error("a private key stands where a recipient is expected")]
    PrivateRecipient,
    /// There is nobody to encrypt to.
    #[error("it would have no recipient")]
    NoRecipients,
    /// These recipients do not go together, or a plugin failed.
    #[error("it cannot be encrypted: {0}")]
    Encrypt(String),
    /// An identity that cannot be used.
    #[error("the identity {origin} cannot be used: {why}")]
    Identity {
        /// Its file, or where else it came from.
        origin: String,
        /// What is wrong with it.
        why: String,
        /// What helps.
        hint: Option<String>,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for AgeError {
    fn from(error: io::Error) -> Self {
        // One of age's own that went through a reader is the same again.
        error.downcast().unwrap_or_else(Self::Io)
    }
}

/// An identity that was tried in vain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tried {
    /// Its file, or where else it came from.
    pub origin: String,
    /// Why it did not open the file.
    pub why: String,
}

impl Tried {
    fn list(tried: &[Self]) -> String {
        let each = tried.iter().map(|one| format!("\n  {one}"));
        each.collect()
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.why)
    }
}

impl AgeError {
    /// What helps, where something does.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Empty | Self::Payload | Self::HeaderMac | Self::Header { .. } | Self::Armor(_) | Self::NotAge => {
                "`git log` shows who changed it last, and `git checkout` brings an older one back"
            }
            Self::Passphrase => "encrypt it to keys: decrypt it with `age -d`, and create the secret anew from that",
            Self::NoIdentity(tried) if tried.is_empty() => {
                "name your private key with --identity; ~/.ssh/id_ed25519 and ~/.ssh/id_rsa are tried without it"
            }
            Self::NoIdentity(_) => "somebody who can read it has to add your key and rekey it",
            Self::PrivateRecipient => {
                "replace it by its public key, and change that private key: git may have it already"
            }
            Self::Recipient { .. } => {
                "recipients are `ssh-ed25519 …`, `ssh-rsa …`, `age1…` and those of plugins, `age1NAME1…`"
            }
            Self::Identity { hint, .. } => return hint.clone(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
