//! A flake of a git repository on this machine at another of its revisions, without checking that one out.

use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;

use super::flake::FlakeRef;
use super::git::git;
use crate::process::{Cancel, Cmd, Failure};

/// How long git may take to look a name up.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why there is no such revision.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// The flake has no history that could be asked.
    #[error("{0} is no flake in a git repository on this machine")]
    NoRepository(String),
    /// git does not know it.
    #[error("git knows no commit `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Whether the repository was cloned without its history.
        shallow: bool,
    },
    /// git failed.
    #[error(transparent)]
    Git(Failure),
}

impl RevisionError {
    /// What helps.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRepository(_) => Some("name a directory of a git repository with --flake"),
            Self::Unknown { shallow: true, .. } => Some(
                "this clone has no history: fetch it (`git fetch --unshallow`; `fetch-depth: 0` of actions/checkout)",
            ),
            Self::Unknown { .. } => Some("name a commit, a branch or a tag that `git log` finds, such as origin/main"),
            Self::Git(_) => None,
        }
    }
}

impl FlakeRef {
    /// The same flake as `name` has it, a revision of its repository.
    pub async fn at_revision(&self, name: &str, cancel: &Cancel) -> Result<Self, RevisionError> {
        let root = self.root().filter(|_| self.is_git());
        let root = root.ok_or_else(|| RevisionError::NoRepository(self.to_string()))?;
        let git = |words: &[&str]| Cmd::new("git").ends_by_itself().arg("-C").arg(root).args(words).deadline(DEADLINE);
        let asked = git(&["rev-parse", "--show-toplevel", "--is-shallow-repository"]).output(cancel).await;
        let text = asked.map_err(RevisionError::Git)?.text();
        let (repository, shallow) = text.rsplit_once('\n').unwrap_or((&text, "false"));
        let shallow = shallow == "true";
        let commit = format!("{name}^{{commit}}");
        let found = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).output(cancel).await;
        let rev = match found {
            Ok(found) => found.text(),
            Err(failure) if failure.is_not_started() || failure.is_cancelled() => {
                return Err(RevisionError::Git(failure));
            }
            Err(_) => return Err(RevisionError::Unknown { name: name.to_owned(), shallow }),
        };
        Ok(Self::in_repository(Path::new(repository), root, &rev, shallow))
    }

    /// Whether a revision came out of the one that the work tree is based on (greater), the other way round (less), or is that one; none
    /// where neither came out of the other, or nobody knows.
    pub async fn order_of(&self, rev: &str, cancel: &Cancel) -> Option<Ordering> {
        let root = self.root().filter(|_| self.is_git())?;
        let range = format!("HEAD...{rev}");
        let words = ["rev-list", "--count", "--left-right", "--end-of-options", &range];
        let counted = git(root, &words).output(cancel).await.ok()?.text();
        match counted.split_once('\t')? {
            ("0", "0") => Some(Ordering::Equal),
            ("0", _) => Some(Ordering::Greater),
            (_, "0") => Some(Ordering::Less),
            _ => None,
        }
    }

    fn in_repository(repository: &Path, root: &Path, rev: &str, shallow: bool) -> Self {
        let dir = root.strip_prefix(repository).unwrap_or(Path::new(""));
        let dir = if dir == Path::new("") { String::new() } else { format!("&dir={}", encoded(dir)) };
        // Without its history, a repository cannot tell how many commits there are.
        let shallow = if shallow { "&shallow=1" } else { "" };
        Self::of_reference(format!("git+file://{}?rev={rev}{dir}{shallow}", encoded(repository)))
    }
}

/// A path in a URL.
fn encoded(path: &Path) -> String {
    let parts: Vec<_> = path.to_string_lossy().split('/').map(super::source::percent_encode).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_one_of_the_repository_and_keeps_the_flakes_directory() {
        let shown = |root: &str, shallow: bool| {
            FlakeRef::in_repository(Path::new("/home/me/my hub"), Path::new(root), "abc", shallow).to_string()
        };
        assert_eq!(shown("/home/me/my hub", false), "git+file:///home/me/my%20hub?rev=abc");
        assert_eq!(
            shown("/home/me/my hub/nix/hub", true),
            "git+file:///home/me/my%20hub?rev=abc&dir=nix/hub&shallow=1"
        );
    }
}
