//! A flake's work tree, looked at before Nix is asked for anything: git tells of it while Nix starts.

use super::evaluator::Uses;
use crate::nix::{FlakeRef, Unseen, fingerprint, unseen};
use crate::process::Cancel;

/// The state of a flake's work tree.
#[derive(Clone, Debug)]
pub struct WorkTree {
    pub(super) flake: FlakeRef,
    /// What tells this state from others, where that is known and wanted.
    pub(super) print: Option<String>,
    pub(super) unseen: Vec<Unseen>,
}

impl WorkTree {
    /// Looks at the work tree of a flake. Of a flake that has none, there is nothing to see.
    pub async fn look(flake: FlakeRef, uses: Uses, cancel: &Cancel) -> Self {
        let print = Box::pin(async {
            match uses {
                Uses::Everything => fingerprint(&flake, cancel).await,
                Uses::Nothing(_) => None,
            }
        });
        let (print, unseen) = tokio::join!(print, Box::pin(unseen(&flake, cancel)));
        Self { flake, print, unseen }
    }
}
