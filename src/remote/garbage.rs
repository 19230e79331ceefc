//! Making room on a target: generations that go, what the boot loader has of them, and what nothing needs any more.

use std::time::Duration;

use serde::Serialize;

use super::script::{Remote, RunError};
use crate::process::shell_quote;

/// How long looking through a store may take.
const LOOK: Duration = Duration::from_secs(15 * 60);

/// How long collecting or optimising a store may take.
const WORK: Duration = Duration::from_secs(6 * 60 * 60);

/// How long it may take to remove generations and to write the boot loader's entries.
const GENERATIONS: Duration = Duration::from_secs(10 * 60);

/// What a collection frees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Garbage {
    /// How many store paths.
    pub paths: u64,
    /// How many bytes these take, without what several of them share.
    pub bytes: u64,
}

/// Why room was not made.
#[derive(Debug, thiserror::Error)]
pub enum GarbageError {
    /// The host did not answer.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A command failed there.
    #[error("{what} failed: {said}")]
    Failed {
        /// What was done.
        what: &'static str,
        /// What it said last.
        said: String,
    },
}

/// What a collection would free once these generations of the system profile were gone. Changes nothing.
pub async fn garbage(remote: &Remote, gone: &[u64]) -> Result<Garbage, GarbageError> {
    let profile = remote.platform().profile();
    let links: Vec<_> = gone.iter().map(|number| format!("{profile}-{number}-link")).collect();
    let text = format!(include_str!("garbage.sh"), gone = shell_quote(&links.join(" ")));
    let (ran, printed) = remote.run(&remote.script(&text).as_root().deadline(LOOK)).await?;
    parse(&printed).ok_or_else(|| failed("looking through the store", &ran.stderr, &printed))
}

fn parse(printed: &str) -> Option<Garbage> {
    let answer = printed.lines().find_map(|line| line.strip_prefix("hubctl-garbage:"))?;
    let (paths, bytes) = answer.split_once(' ')?;
    Some(Garbage { paths: paths.parse().ok()?, bytes: bytes.parse().ok()? })
}

/// Removes generations of the system profile, and has the boot loader forget them: what it would boot of them is collected next.
/// The boot default stays as it is.
pub async fn remove_generations(remote: &Remote, numbers: &[u64]) -> Result<(), GarbageError> {
    let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
    // What is printed goes through a variable, so that a connection that breaks stops nothing.
    let text = format!(
        "said=$(nix-env --profile \"$profile\" --delete-generations {} 2>&1) || {{ echo \"$said\" >&2; exit 1; }}\n\
         default=$(real \"$profile\")\n\
         [ -x \"$default/bin/switch-to-configuration\" ] || exit 0\n\
         said=$(\"$default/bin/switch-to-configuration\" boot 2>&1) || {{ echo \"$said\" >&2; exit 1; }}",
        numbers.join(" ")
    );
    work(remote, "removing generations", text, GENERATIONS).await.map(drop)
}

/// Collects what nothing needs, and gives what Nix said of it.
pub async fn collect(remote: &Remote) -> Result<String, GarbageError> {
    work(remote, "collecting garbage", nix_store("--gc"), WORK).await
}

/// Has files of the store that are the same share their place, and gives what Nix said of it.
pub async fn optimise(remote: &Remote) -> Result<String, GarbageError> {
    work(remote, "optimising the store", nix_store("--optimise"), WORK).await
}

fn nix_store(option: &str) -> String {
    format!("said=$(nix-store {option} 2>&1)\ncode=$?\nprintf '%s\\n' \"$said\" | tail -n 1\nexit $code")
}

async fn work(remote: &Remote, what: &'static str, text: String, limit: Duration) -> Result<String, GarbageError> {
    let (ran, printed) = remote.run(&remote.script(&text).as_root().deadline(limit)).await?;
    if ran.code == 0 { Ok(printed) } else { Err(failed(what, &ran.stderr, &printed)) }
}

fn failed(what: &'static str, stderr: &str, printed: &str) -> GarbageError {
    let said = stderr.lines().chain(printed.lines()).rfind(|line| !line.trim().is_empty());
    GarbageError::Failed { what, said: said.unwrap_or("it says nothing").trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_paths_and_bytes() {
        assert_eq!(parse("x\nhubctl-garbage:3 4096"), Some(Garbage { paths: 3, bytes: 4096 }));
        assert_eq!(parse("nothing"), None);
    }
}
