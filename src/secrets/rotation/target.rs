//! A secret's file, or one value of it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// What has a value of its own: a secret of agenix, a file of SOPS, or one value in such a file, as in `web.yaml#database/password`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Target {
    /// The file, below the root.
    pub path: PathBuf,
    /// Where in it the value stands.
    pub value: Option<String>,
}

impl Target {
    /// A whole file.
    pub fn file(path: &Path) -> Self {
        Self { path: path.to_path_buf(), value: None }
    }

    /// What a word names: a file, and behind a `#` a value in it. Secrets of agenix have no values of their own.
    pub fn split(word: &str) -> (&str, Option<&str>) {
        let is_agenix = Path::new(word).extension().is_some_and(|ending| ending == "age");
        match word.split_once('#') {
            Some((file, value)) if !value.is_empty() && !is_agenix => (file, Some(value)),
            _ => (word, None),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "#{value}"))
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
