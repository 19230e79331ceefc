//! `hubctl check-syntax`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::config::Config;
use super::findings::{Form, aside, files_of, tell};
use super::hub::Hub;
use crate::error::{Exit, Result};
use crate::lint::check_syntax;

/// Checks every Nix file of the flake for what Nix would not read; evaluates nothing.
///
/// Beside the syntax, that is attributes that are defined twice, and names that nothing defines. What is checked is what Nix
/// sees: files that git knows, as they are in the work tree. Exits with 1 if a file is wrong.
#[derive(Args, Debug)]
pub(super) struct CheckSyntaxArgs {
    /// Only these files, and those below these directories.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Tells it to another program: annotations of GitHub's actions, SARIF, or a report of tests.
    #[arg(long, value_name = "FORM", conflicts_with = "json")]
    form: Option<Form>,
}

pub(super) async fn run(hub: &Hub, args: CheckSyntaxArgs) -> Result<Exit> {
    let begun = Instant::now();
    let config = Config::of(&hub.flake()?)?;
    let (root, files) = files_of(hub, &config, &args.paths).await?;
    let report = aside(hub, move || check_syntax(&root, &files)).await?;
    tell(hub, &report, args.form, begun)
}
