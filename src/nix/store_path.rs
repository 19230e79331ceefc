//! Store paths, as Nix writes them: `/nix/store/<32 characters of hash>-<name>`.
//!
//! Source: the Nix manual, "Store Path Specification". The hash is in Nix's own base 32, which leaves out `e o t u`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The store directory that hubctl works with. Other store directories need other hashes for everything and so
/// cannot share a closure with a NixOS host.
pub const STORE_DIR: &str = "/nix/store";

const HASH_LEN: usize = 32;
const HASH_ALPHABET: &str = "0123456789abcdfghijklmnpqrsvwxyz";

/// The path of one store object: a derivation, an output, a source.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePath(String);

/// Why a text is no store path.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a store path")]
pub struct StorePathError(String);

impl StorePath {
    /// The whole path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole path as a file system path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// The hash and the name, without the store directory.
    pub fn base_name(&self) -> &str {
        &self.0[STORE_DIR.len() + 1..]
    }

    /// The 32 characters of hash.
    pub fn hash(&self) -> &str {
        &self.base_name()[..HASH_LEN]
    }

    /// The first eight characters of the hash: enough for a person to tell two paths apart.
    pub fn short_hash(&self) -> &str {
        &self.hash()[..8]
    }

    /// The name behind the hash, such as `nixos-system-p620-25.11`.
    pub fn name(&self) -> &str {
        &self.base_name()[HASH_LEN + 1..]
    }

    /// Whether this is the path of a derivation rather than of an output or a source.
    pub fn is_derivation(&self) -> bool {
        Path::new(&self.0).extension().is_some_and(|ext| ext == "drv")
    }

    /// The store path that `path` is or lies in: `/nix/store/HASH-NAME/bin/x` gives `/nix/store/HASH-NAME`.
    pub fn containing(path: &str) -> Result<Self, StorePathError> {
        let inner = path.strip_prefix(STORE_DIR).and_then(|rest| rest.strip_prefix('/'));
        let base = inner.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        format!("{STORE_DIR}/{base}").parse().map_err(|_| StorePathError(path.to_owned()))
    }
}

impl FromStr for StorePath {
    type Err = StorePathError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
        let base = s.strip_prefix(STORE_DIR).and_then(|rest| rest.strip_prefix('/'));
        let valid = base.is_some_and(|base| {
            base.is_ascii()
                && base.len() > HASH_LEN + 1
                && base.len() <= HASH_LEN + 1 + 211
                && base[..HASH_LEN].chars().all(|c| HASH_ALPHABET.contains(c))
                && base.as_bytes()[HASH_LEN] == b'-'
                && base[HASH_LEN + 1..].chars().all(fits)
        });
        if valid { Ok(Self(s.to_owned())) } else { Err(StorePathError(s.to_owned())) }
    }
}

impl TryFrom<String> for StorePath {
    type Error = StorePathError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<StorePath> for String {
    fn from(path: StorePath) -> Self {
        path.0
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-nixos-system-p620-25.11";

    #[test]
    fn a_path_has_its_parts() {
        let path: StorePath = PATH.parse().unwrap();
        assert_eq!(path.hash(), "0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb");
        assert_eq!(path.name(), "nixos-system-p620-25.11");
        assert!(!path.is_derivation());
        assert_eq!(StorePath::containing(&format!("{PATH}/sw/bin")).unwrap(), path);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "/nix/store/",
            "/nix/store/short-x",
            "/tmp/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-x",
            "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-",
            "/nix/store/ei3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-x",
            "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-x/y",
            "/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-x;rm -rf",
        ] {
            assert!(bad.parse::<StorePath>().is_err(), "{bad}");
        }
    }
}
