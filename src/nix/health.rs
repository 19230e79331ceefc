//! What a system's own modules say of it, and which outputs a flake has.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::eval::EvalError;
use super::program::Nix;
use super::source::Source;
use crate::process::Cancel;

/// What a system's modules say of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Health {
    /// Assertions that do not hold: such a system cannot be built.
    pub assertions: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// How long it may take to look at a flake's outputs, of which none is evaluated whole.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// Systems that the module system did not make have neither.
pub(super) const FUNCTION: &str = "system: let config = system.config or { }; in { \
    assertions = map (one: one.message) (builtins.filter (one: !one.assertion) (config.assertions or [ ])); \
    warnings = config.warnings or [ ]; }";

/// The names of the outputs, and of those that are a set for each kind of system the names in it. What cannot be evaluated by itself
/// has no names.
const OUTPUTS: &str = "names: flake: builtins.mapAttrs (name: value: \
    let tried = builtins.tryEval (if builtins.isAttrs value then builtins.attrNames value else [ ]); in \
    if builtins.elem name names && tried.success then tried.value else [ ]) flake";

/// The outputs that have a set for each kind of system.
pub const BY_SYSTEM: &[&str] = &["apps", "checks", "devShells", "formatter", "legacyPackages", "packages"];

/// How long a flake's own checks may take to be built.
const CHECK_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// Evaluates what a flake has, and builds its checks: `nix flake check`. Each line that Nix prints goes to `on_line`.
pub async fn flake_check(
    nix: &Nix,
    source: &Source,
    cancel: &Cancel,
    on_line: impl FnMut(&str) + Send,
) -> Result<(), EvalError> {
    let options = nix.build_options().iter().flat_map(|(name, value)| ["--option", name, value]);
    let cmd = nix.flake_cmd(&["flake", "check", "--no-write-lock-file"]).args(options).arg(source.reference());
    let cmd = nix.with_own_cache(cmd.deadline(CHECK_DEADLINE)).map_err(EvalError::Nix)?;
    cmd.output_with(cancel, on_line).await.map(drop).map_err(EvalError::Nix)
}

/// The outputs of a flake by their names; each of [`BY_SYSTEM`] with the kinds of systems that it has.
pub async fn outputs(nix: &Nix, source: &Source, cancel: &Cancel) -> Result<BTreeMap<String, Vec<String>>, EvalError> {
    let names: Vec<_> = BY_SYSTEM.iter().map(|name| format!("\"{name}\"")).collect();
    let reference = serde_json::Value::from(source.reference()).to_string().replace('$', "\\$");
    // An attribute path that is empty is the default package: the flake itself is asked for by its reference.
    let expression = format!("({OUTPUTS}) [ {} ] (builtins.getFlake {reference}).outputs", names.join(" "));
    let cmd = nix.flake_cmd(&["eval", "--json", "--no-write-lock-file"]).deadline(DEADLINE);
    // A reference that does not say what it is locked to is one to a work tree.
    let cmd = if source.may_move() { cmd.arg("--impure") } else { cmd };
    let cmd = nix.with_own_cache(cmd.arg("--expr").arg(expression)).map_err(EvalError::Nix)?;
    let answer = cmd.output(cancel).await.map_err(EvalError::Nix)?.text();
    serde_json::from_str(&answer).map_err(|problem| EvalError::Unexpected { command: cmd.display(), problem })
}
