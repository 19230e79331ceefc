//! What can be wrong with secrets, as a file of the repository has it.

use std::path::{Path, PathBuf};

use super::age::AgeError;
use crate::error::Kind;

/// Why something cannot be done with secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file of age, or what would become one, is at fault.
    #[error("{}: {error}", path.display())]
    Age {
        /// The file, below the repository's root.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: AgeError,
    },
}

impl SecretsError {
    /// The same error of age, of a file.
    pub fn age(path: &Path, error: AgeError) -> Self {
        Self::Age { path: path.to_path_buf(), error }
    }

    /// What heading and exit code it has.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Age { .. } => Kind::Failed,
        }
    }

    /// What helps.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Age { error, .. } => error.hint().into_iter().collect(),
        }
    }
}
