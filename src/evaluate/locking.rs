//! Locking a flake, unless the source is known that its work tree gave when it was as it is now.

use jiff::Timestamp;

use crate::nix::{FlakeRef, Nix, Source, fingerprint, lock, moment};
use crate::process::{Cancel, Failure};
use crate::state::{State, StateError};

/// What locking a flake needs.
pub(super) struct Locking<'a> {
    pub(super) nix: &'a Nix,
    pub(super) flake: &'a FlakeRef,
    pub(super) state: &'a State,
    pub(super) settings: &'a str,
}

impl Locking<'_> {
    /// The source of the work tree, whose state is told by the fingerprint `print`, where that is known.
    pub(super) async fn source(&self, print: Option<String>, cancel: &Cancel) -> Result<Source, Failure> {
        let Some(print) = print else { return lock(self.nix, self.flake, cancel).await };
        let known = told(self.state.source_of(&self.key(&print))).flatten();
        if let Some(source) = known.filter(|source| source.path.as_path().exists()) {
            return Ok(source);
        }
        // A tree that is touched while it is locked may give a source of any state that it was in meanwhile. So its state is
        // told again meanwhile, and nothing may move from before that until after it.
        let before = moment(self.flake, cancel).await;
        let locking = Box::pin(lock(self.nix, self.flake, cancel));
        let (print, source) = tokio::join!(fingerprint(self.flake, cancel), locking);
        let source = source?;
        let after = moment(self.flake, cancel).await;
        if let Some(print) = print
            && before.is_some()
            && before == after
            && source.is_locked_by_tree()
        {
            told(self.state.remember_source(&self.key(&print), &source, Timestamp::now()));
        }
        Ok(source)
    }

    /// The state of a work tree, and all else that its source depends on.
    fn key(&self, print: &str) -> String {
        format!("{print} {}", self.settings)
    }
}

/// A state database that fails costs warmth, never an answer.
pub(super) fn told<T>(result: Result<T, StateError>) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(%error, "the state database failed")).ok()
}
