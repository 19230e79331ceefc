//! What is to become of a file.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::spool::Spooled;

/// The hash of a file's content.
pub(super) type Hash = [u8; 32];

/// What was seen of a file when its change was made up: what it is then held against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// There was none.
    Nothing,
    /// There was one with this content, by its hash.
    Content(Hash),
}

impl Seen {
    /// What is seen of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Content(hash(bytes))
    }
}

/// A file that is to get another content, or to go.
#[derive(Debug)]
pub struct Change {
    /// The file, below the root.
    pub path: PathBuf,
    /// What it was when this was made up.
    pub seen: Seen,
    /// What it is to be.
    pub content: Content,
}

impl Change {
    /// A file that is to go.
    pub fn gone(path: PathBuf, seen: Seen) -> Self {
        Self { path, seen, content: Content::Nothing }
    }

    /// Whether the file would not be what it is already.
    pub fn changes(&self) -> bool {
        self.seen != self.content.hash().map_or(Seen::Nothing, Seen::Content)
    }
}

/// What a file is to consist of. Nothing of this is secret.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is too long for the memory, and lies in a file already.
    Spooled(Spooled),
    /// There is to be none.
    Nothing,
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl Content {
    /// All of it, where it is in memory.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Spooled(_) | Self::Nothing => None,
        }
    }

    /// Its hash; nothing where there is to be no file.
    pub(super) fn hash(&self) -> Option<Hash> {
        match self {
            Self::Bytes(bytes) => Some(hash(bytes)),
            Self::Spooled(spooled) => Some(spooled.hash()),
            Self::Nothing => None,
        }
    }
}

fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}
