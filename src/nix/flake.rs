//! Which flake: the reference that the user names it by.

use std::fmt;
use std::path::{Path, PathBuf};

/// A flake reference as given to Nix, without `#` and attribute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlakeRef {
    reference: String,
    root: Option<PathBuf>,
}

/// Why there is no flake to work with.
#[derive(Debug, thiserror::Error)]
pub enum FlakeRefError {
    /// The reference names an output as well.
    #[error("`{0}` names an output; hubctl wants the flake alone")]
    HasAttribute(String),
    /// There is no flake at or above a directory.
    #[error("there is no flake.nix in {0} or a directory above it")]
    NoFlake(PathBuf),
    /// The path does not exist or cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl FlakeRefError {
    /// What helps.
    pub fn hint(&self) -> String {
        match self {
            Self::HasAttribute(given) => format!("use `--flake {}`", given.split('#').next().unwrap_or(".")),
            Self::NoFlake(_) => "run hubctl in your flake's directory, or name it: `--flake DIR`".to_owned(),
            Self::Unreadable { .. } => {
                "name an existing directory, or a flake reference such as `github:o/r`".to_owned()
            }
        }
    }
}

impl FlakeRef {
    /// The flake that `given` names, looked up from the directory `cwd`: a directory (or one below a flake), or any other
    /// reference that Nix understands. Reads the file system to find the flake's root.
    pub fn resolve(given: &str, cwd: &Path) -> Result<Self, FlakeRefError> {
        if given.contains('#') {
            return Err(FlakeRefError::HasAttribute(given.to_owned()));
        }
        if !is_path(given, cwd) {
            return Ok(Self { reference: given.to_owned(), root: None });
        }
        let path = cwd.join(given.strip_prefix("path:").unwrap_or(given));
        let start = path.canonicalize().map_err(|source| FlakeRefError::Unreadable { path: path.clone(), source })?;
        let root = start.ancestors().find(|dir| dir.join("flake.nix").is_file());
        let root = root.ok_or_else(|| FlakeRefError::NoFlake(start.clone()))?.to_path_buf();
        let scheme = if given.starts_with("path:") { "path:" } else { "" };
        Ok(Self { reference: format!("{scheme}{}", root.display()), root: Some(root) })
    }

    /// A reference that is none to a directory.
    pub(super) fn of_reference(reference: String) -> Self {
        Self { reference, root: None }
    }

    /// Whether Nix takes the flake from git: its directory is in a work tree, and the reference does not say otherwise.
    pub fn is_git(&self) -> bool {
        let in_work_tree = |root: &Path| root.ancestors().any(|dir| dir.join(".git").exists());
        !self.reference.starts_with("path:") && self.root.as_deref().is_some_and(in_work_tree)
    }

    /// The flake's directory, when it is a local one.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }
}

impl fmt::Display for FlakeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.reference)
    }
}

/// Whether Nix would take `given` for a path: it looks like one, or there is such a directory and no such scheme.
fn is_path(given: &str, cwd: &Path) -> bool {
    let explicit = given.starts_with(['.', '/']) || given.starts_with("path:");
    let scheme = given.split_once(':').is_some_and(|(scheme, _)| !scheme.contains('/'));
    explicit || (!scheme && cwd.join(given).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_below_the_flake_finds_its_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::write(root.join("flake.nix"), "{}").unwrap();
        std::fs::create_dir_all(root.join("hosts/p620")).unwrap();
        let flake = FlakeRef::resolve(".", &root.join("hosts/p620")).unwrap();
        assert_eq!(flake.root(), Some(root.as_path()));
        assert_eq!(FlakeRef::resolve("hosts", &root).unwrap(), flake);
        assert_eq!(FlakeRef::resolve("path:.", &root).unwrap().to_string(), format!("path:{}", root.display()));
    }

    #[test]
    fn other_references_are_left_to_nix() {
        let dir = tempfile::tempdir().unwrap();
        for given in ["github:owner/repo", "git+ssh://host/x?ref=main", "myhub"] {
            assert_eq!(FlakeRef::resolve(given, dir.path()).unwrap().to_string(), given);
        }
        assert!(FlakeRef::resolve(".#p620", dir.path()).is_err());
        assert!(matches!(FlakeRef::resolve(".", dir.path()), Err(FlakeRefError::NoFlake(_))));
    }
}
