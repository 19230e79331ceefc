//! A cache of Nix's own for a single command, for versions whose fetchers know what they copied before.
//!
//! Newer versions of Nix do not open again what they copied to the store, and so an evaluation is not seen to read what another
//! one copied; and of a tree whose changes git does not tell, they take the copy for the tree. What was downloaded is shared:
//! only the record of what was copied is each command's own.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// How the names of the records begin.
const RECORDS: &str = "fetcher-cache";

/// Makes a cache below `directory` that has all of what the user's has, but for the record of what was copied.
pub(super) fn own_cache(directory: &Path) -> io::Result<PathBuf> {
    let own = tempfile::Builder::new().prefix("cache-").tempdir_in(directory)?.keep();
    if let Some(shared) = of_user() {
        share(&shared, &own)?;
    }
    Ok(own)
}

/// Where Nix keeps the user's cache. Source: the Nix manual, "Environment variables".
fn of_user() -> Option<PathBuf> {
    let below = |key: &str, path: &str| {
        std::env::var_os(key).filter(|value| !value.is_empty()).map(|value| Path::new(&value).join(path))
    };
    below("NIX_CACHE_HOME", "").or_else(|| below("XDG_CACHE_HOME", "nix")).or_else(|| below("HOME", ".cache/nix"))
}

fn share(shared: &Path, own: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(shared) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(RECORDS) {
            symlink(entry.path(), own.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_shared_but_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let (shared, own) = (dir.path().join("shared"), dir.path().join("own"));
        fs::create_dir(&own).unwrap();
        share(&shared, &own).unwrap();
        fs::create_dir_all(shared.join("tarball-cache")).unwrap();
        for file in ["binary-cache-v6.sqlite", "fetcher-cache-v4.sqlite", "fetcher-cache-v4.sqlite-wal"] {
            fs::write(shared.join(file), "").unwrap();
        }
        share(&shared, &own).unwrap();
        let mut names: Vec<_> = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["binary-cache-v6.sqlite", "tarball-cache"]);
        assert!(own.join("tarball-cache").is_dir());
    }
}
