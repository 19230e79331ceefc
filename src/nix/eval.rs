//! Evaluation: the hosts that a flake has, and what a host's toplevel would be.

use std::time::Duration;

use serde::Deserialize;

use super::program::Nix;
use super::source::Source;
use super::store_path::StorePath;
use crate::process::{Cancel, Cmd, Failure};

/// How long one evaluation may take. Import from derivation builds while evaluating, hence the length.
const DEADLINE: Duration = Duration::from_secs(2 * 60 * 60);

/// Where in a flake a system stands, such as `nixosConfigurations."p620"`.
#[derive(Clone, Copy, Debug)]
pub struct SystemAttr<'a> {
    /// The flake output.
    pub output: &'a str,
    /// The attribute in it.
    pub name: &'a str,
}

/// What a host's configuration evaluates to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// The toplevel's derivation.
    pub drv: StorePath,
    /// The toplevel's output path, whether it is built or not.
    pub out: StorePath,
    /// The Nix system that it is for, such as `x86_64-linux`.
    pub system: String,
    /// `networking.hostName`, where the configuration has one.
    pub host_name: Option<String>,
}

/// Why a host has no evaluation.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The flake has no such attribute, or the configuration is wrong.
    #[error("{0}")]
    Nix(Failure),
    /// The evaluation ended well with something else than a system.
    #[error("the result of `{command}` is not a system: {problem}")]
    Unexpected {
        /// The command, quoted for a shell.
        command: String,
        /// What is wrong with the result.
        problem: serde_json::Error,
    },
}

impl EvalError {
    /// The command that was run.
    pub fn command(&self) -> &str {
        match self {
            Self::Nix(failure) => &failure.command,
            Self::Unexpected { command, .. } => command,
        }
    }

    /// Whether the user's wish to stop ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Nix(failure) if failure.is_cancelled())
    }
}

/// The function that is applied to a configuration. Forcing the two paths evaluates all of the system, with its
/// assertions.
const SUMMARY: &str = "config: let toplevel = config.system.build.toplevel; in \
    { drv = toplevel.drvPath; out = toplevel.outPath; system = toplevel.system; \
    hostName = config.networking.hostName or null; }";

/// Evaluates one system. Each line that Nix prints (warnings, traces, the error) goes to `on_line`.
pub async fn evaluate(
    nix: &Nix,
    source: &Source,
    system: SystemAttr<'_>,
    cancel: &Cancel,
    on_line: impl FnMut(&str) + Send,
) -> Result<Evaluation, EvalError> {
    let attribute = format!("{}.\"{}\".config", system.output, system.name);
    let cmd = eval_command(nix, source, &attribute, SUMMARY);
    let output = cmd.output_with(cancel, on_line).await.map_err(EvalError::Nix)?;
    serde_json::from_slice(&output.stdout).map_err(|problem| EvalError::Unexpected { command: cmd.display(), problem })
}

/// The names under one output of the flake, such as `nixosConfigurations`; none when the flake has no such output. Evaluates
/// no system.
pub async fn host_names(nix: &Nix, source: &Source, output: &str, cancel: &Cancel) -> Result<Vec<String>, EvalError> {
    let cmd = eval_command(nix, source, output, "builtins.attrNames");
    match cmd.output(cancel).await {
        Ok(printed) => serde_json::from_slice(&printed.stdout)
            .map_err(|problem| EvalError::Unexpected { command: cmd.display(), problem }),
        Err(failure) if failure.mentions("does not provide attribute") => Ok(Vec::new()),
        Err(failure) => Err(EvalError::Nix(failure)),
    }
}

fn eval_command(nix: &Nix, source: &Source, attribute: &str, function: &str) -> Cmd {
    nix.flake_cmd(&["eval", "--json", "--option", "eval-cache", "false"])
        .arg(format!("{}#{attribute}", source.reference()))
        .args(["--apply", function])
        .deadline(DEADLINE)
}
