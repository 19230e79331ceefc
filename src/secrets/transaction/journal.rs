//! What a transaction is about to do, for whoever comes after one that was killed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::change::Hash;

/// What a transaction is about to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Journal {
    /// Whether files may have got their new content already.
    pub(super) renaming: bool,
    pub(super) entries: Vec<Entry>,
}

/// What is about to become of one file. The hashes are in hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// The file, below the root.
    pub(super) path: PathBuf,
    /// The name beside it under which its new content is made, and its old one kept until all is done.
    pub(super) beside: PathBuf,
    /// The old content; nothing where there was no file, which has to be said: such a file is removed when it is taken back.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(super) old: Option<String>,
    /// The new content; nothing where the file is to go.
    pub(super) new: Option<String>,
}

impl Entry {
    /// An entry of a transaction that `id` tells from others.
    pub(super) fn new(path: &Path, old: Option<&Hash>, new: Option<&Hash>, id: &str) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = path.with_file_name(format!(".{name}.hubctl-{id}"));
        Self { path: path.to_path_buf(), beside, old: old.map(hex), new: new.map(hex) }
    }

    /// Whether both names are in one directory below the root, as they were written.
    pub(super) fn is_sane(&self) -> bool {
        let below = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let hidden = self
            .beside
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with('.') && name.contains(".hubctl-"));
        below(&self.path) && below(&self.beside) && self.path.parent() == self.beside.parent() && hidden
    }
}

/// A hash in hexadecimal digits.
pub(super) fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
