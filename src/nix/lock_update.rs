//! Updating a flake's inputs in a copy of its source: the work tree stays as it is, whatever happens.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::flake::FlakeRef;
use super::git::git;
use super::lock_file::opened;
use super::program::Nix;
use super::source::Source;
use crate::process::{Cancel, Cmd, Failure};

/// How long all inputs may take to be fetched.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// How long a source may take to be copied.
const COPY_DEADLINE: Duration = Duration::from_secs(10 * 60);

/// A flake whose inputs were updated.
#[derive(Debug)]
pub struct Updated {
    /// The copy, as a flake.
    pub flake: FlakeRef,
    /// The text of its `flake.lock`.
    pub lock: String,
}

/// Why inputs were not updated.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The source could not be copied, or the copy not be worked with.
    #[error("the copy of the flake in {path}")]
    Copy {
        /// The copy.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The flake stands below the root of its tree, which this version of Nix finds in no copy.
    #[error("the flake is not at the root of its tree, and this version of Nix evaluates no copy of such a flake")]
    BelowRoot,
}

/// Copies the source to `directory`, which must not exist yet, and has Nix lock `inputs` anew there, or all of them when there are
/// none. The rest stays locked as it is.
pub async fn update_copy(
    nix: &Nix,
    source: &Source,
    inputs: &[String],
    directory: &Path,
    cancel: &Cancel,
) -> Result<Updated, UpdateError> {
    let below = source.flake_file().parent().map(Path::to_path_buf).unwrap_or_default();
    if !below.as_os_str().is_empty() && !nix.version().paths_take_directories() {
        return Err(UpdateError::BelowRoot);
    }
    let copied = Cmd::new("cp").args(["-RP", "--"]).arg(source.path.as_str()).arg(directory).deadline(COPY_DEADLINE);
    copied.output(cancel).await?;
    // What is in the store is written by nobody.
    let writable = Cmd::new("chmod").args(["-R", "u+w", "--"]).arg(directory).deadline(COPY_DEADLINE);
    writable.output(cancel).await?;

    let lock_file = directory.join(&below).join("flake.lock");
    let failed = |source| UpdateError::Copy { path: directory.to_path_buf(), source };
    open_inputs(&lock_file, source.locks(), inputs).map_err(failed)?;
    let reference = match below.to_str() {
        None | Some("") => format!("path:{}", directory.display()),
        Some(below) => format!("path:{}?dir={below}", directory.display()),
    };
    // What was looked up within the last hour would otherwise count as new.
    let lock = nix.cmd(&["flake", "lock", "--option", "tarball-ttl", "0"]).arg(&reference).deadline(DEADLINE);
    nix.with_own_cache(lock)?.output(cancel).await?;
    let lock = fs::read_to_string(&lock_file).map_err(failed)?;
    Ok(Updated { flake: FlakeRef::of_reference(reference), lock })
}

/// Takes inputs out of the lock file; without names, all of them.
fn open_inputs(lock_file: &Path, locks: &str, inputs: &[String]) -> io::Result<()> {
    if inputs.is_empty() {
        return match fs::remove_file(lock_file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
    }
    let lock: Value = serde_json::from_str(locks)?;
    fs::write(lock_file, opened(lock, inputs).to_string())
}

/// Why a lock file was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Somebody else wrote it meanwhile.
    #[error("{0} was changed meanwhile")]
    Changed(PathBuf),
    /// It cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The text of the lock file of the flake in `root`; none where it has none.
pub fn lock_text(root: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(root.join("flake.lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    }
}

/// Makes `text` the lock file of the flake in `root`, in one step and only if that is as it was: `before`.
pub fn keep_lock(root: &Path, before: Option<&str>, text: &str) -> Result<(), KeepError> {
    let path = root.join("flake.lock");
    // One that is a link stays one.
    let path = path.canonicalize().unwrap_or(path);
    let failed = |source| KeepError::Write { path: path.clone(), source };
    if lock_text(root).map_err(failed)?.as_deref() != before {
        return Err(KeepError::Changed(path));
    }
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(root))?;
        let permissions = match fs::metadata(&path) {
            Ok(known) => known.permissions(),
            Err(_) => fs::Permissions::from_mode(0o644),
        };
        file.as_file().set_permissions(permissions)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    };
    write().map_err(failed)
}

/// Commits the lock file of the flake in `root`, and nothing else that is staged.
pub async fn commit_lock(root: &Path, message: &str, cancel: &Cancel) -> Result<(), Failure> {
    // One that git does not know yet is no path that it would commit.
    git(root, &["add", "--intent-to-add", "--", "flake.lock"]).output(cancel).await?;
    let words = ["commit", "--quiet", "--only", "--message", message, "--", "flake.lock"];
    git(root, &words).output(cancel).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_kept_only_where_nobody_wrote_it_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        keep_lock(dir.path(), None, "one").unwrap();
        assert_eq!(lock_text(dir.path()).unwrap().as_deref(), Some("one"));
        assert!(matches!(keep_lock(dir.path(), None, "two"), Err(KeepError::Changed(_))));
        assert!(matches!(keep_lock(dir.path(), Some("zero"), "two"), Err(KeepError::Changed(_))));
        fs::set_permissions(dir.path().join("flake.lock"), fs::Permissions::from_mode(0o640)).unwrap();
        keep_lock(dir.path(), Some("one"), "two").unwrap();
        let mode = fs::metadata(dir.path().join("flake.lock")).unwrap().permissions().mode();
        assert_eq!((lock_text(dir.path()).unwrap().as_deref(), mode & 0o777), (Some("two"), 0o640));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_lock_file_that_is_a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "one").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("flake.lock")).unwrap();
        keep_lock(dir.path(), Some("one"), "two").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("real")).unwrap(), "two");
        assert!(dir.path().join("flake.lock").is_symlink());
    }
}
