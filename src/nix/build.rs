//! Building a derivation's outputs, here or by a command that another machine runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::log::{BuildState, LogLine};
use super::program::Nix;
use super::store_path::StorePath;
use crate::process::{Cancel, Cmd, End, Failure, shell_quote};

/// How long one host's build may take.
const DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a build is begun again that others got in the way of.
const COLLISIONS: usize = 20;

/// A build that failed.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct BuildError {
    /// The command and how it ended.
    pub failure: Failure,
    /// What Nix and the failed builders said.
    pub output: Vec<String>,
}

impl BuildError {
    /// Whether the user's wish to stop ended it.
    pub fn is_cancelled(&self) -> bool {
        self.failure.is_cancelled()
    }

    /// Whether there is no machine that may or can build it. Texts of Nix 2.8 to 2.34.
    pub fn wants_builder(&self) -> bool {
        let texts =
            ["unable to start any build", "failed to find a machine for remote build", "is required to build '"];
        self.output.iter().any(|line| texts.iter().any(|text| line.to_lowercase().contains(text)))
    }
}

/// A symbolic link that keeps a store path and its closure from being collected; removed when dropped.
#[derive(Debug)]
pub struct GcRoot(PathBuf);

impl GcRoot {
    /// A root at `path`, which Nix makes when it builds. Its directory must exist.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for GcRoot {
    fn drop(&mut self) {
        // A root that was never made, or that a collection cleaned up, is gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Builds the outputs of `drv` on this machine, rooted by `root`. `on_event` sees the state after each line, and what the
/// line says to a person. Gives whether there was anything to build.
pub async fn build(
    nix: &Nix,
    drv: &StorePath,
    root: &GcRoot,
    cancel: &Cancel,
    mut on_event: impl FnMut(&BuildState, Option<&LogLine>) + Send,
) -> Result<bool, BuildError> {
    for _ in 0..COLLISIONS {
        match build_once(nix, drv, root, cancel, &mut on_event).await {
            Err(error) if is_collision(&error) => {}
            ended => return ended,
        }
    }
    build_once(nix, drv, root, cancel, &mut on_event).await
}

/// Whether another build got in the way of this one, when both made Nix's cache know a substituter at the same time: Nix 2.8 gives
/// it another number then, and fails when it writes something down under the one before.
fn is_collision(error: &BuildError) -> bool {
    error.output.iter().any(|line| line.contains("constraint failed") && line.contains("binary-cache-v"))
}

async fn build_once(
    nix: &Nix,
    drv: &StorePath,
    root: &GcRoot,
    cancel: &Cancel,
    on_event: &mut (impl FnMut(&BuildState, Option<&LogLine>) + Send),
) -> Result<bool, BuildError> {
    let mut state = BuildState::default();
    let cmd = command(nix, drv, root);
    let ended = cmd
        .output_with(cancel, |line| {
            let said = state.apply(line);
            on_event(&state, said.as_ref());
        })
        .await;
    match ended {
        Ok(_) => Ok(state.has_built()),
        Err(failure) => Err(build_error(failure, &state)),
    }
}

fn command(nix: &Nix, drv: &StorePath, root: &GcRoot) -> Cmd {
    nix.build_cmd(&["build", "--log-format", "internal-json"])
        .args(nix.settings().builder_flags())
        .arg("--out-link")
        .arg(root.path())
        .arg(nix.version().outputs_of(drv))
        .deadline(DEADLINE)
}

/// The failure's own output is Nix's machine-readable log; what it says to a person stands in the state.
fn build_error(mut failure: Failure, state: &BuildState) -> BuildError {
    let said = state.failure();
    let output = if said.is_empty() { readable(&failure) } else { said };
    failure.stderr = output.last().cloned().into_iter().collect();
    BuildError { failure, output }
}

fn readable(failure: &Failure) -> Vec<String> {
    match failure.end {
        End::Cancelled => Vec::new(),
        _ => failure.stderr.iter().filter(|line| !line.starts_with("@nix ")).cloned().collect(),
    }
}

/// A shell command that builds the outputs of `drv`, which must be in that machine's store, roots them at `root` and prints
/// nothing on success. `nix-store --realise` reads the same in every version of Nix.
pub fn build_command(drv: &StorePath, root: &str) -> String {
    format!("nix-store --realise {drv} --add-root {} --indirect >/dev/null", shell_quote(root))
}
