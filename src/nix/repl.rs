//! Nix's interactive evaluator.

use std::path::Path;

use super::program::Nix;
use crate::process::Failure;

/// Opens the evaluator in the foreground, with what `file` evaluates to in scope.
pub async fn repl(nix: &Nix, file: &Path) -> Result<(), Failure> {
    nix.cmd(&["repl"]).args(nix.version().repl_file()).arg(file).foreground().await
}
