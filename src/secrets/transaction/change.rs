//! What is to become of a file.

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

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

/// A file that is to get another content.
#[derive(Clone, Debug)]
pub struct Change {
    /// The file, below the root.
    pub path: PathBuf,
    /// What it was when this was made up.
    pub seen: Seen,
    /// What it is to be. Nothing of this is secret.
    pub content: Vec<u8>,
}

pub(super) fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}
