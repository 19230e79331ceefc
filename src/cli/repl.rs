//! `hubctl repl`.

use std::io::Write as _;

use clap::Args;

use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::nix::repl;

/// Opens Nix's interactive evaluator on the flake: its outputs, and each host by its name.
///
/// `p620.config.networking.hostName` is a value of p620's configuration, and `:q` leaves.
#[derive(Args, Debug)]
pub(super) struct ReplArgs {}

pub(super) async fn run(hub: &Hub) -> Result<Exit> {
    let (fleet, evaluator) = hub.load().await?;
    let failed = |error: std::io::Error| Error::new(Kind::Failed, error);
    let mut file = tempfile::Builder::new().prefix("hubctl-").suffix(".nix").tempfile().map_err(failed)?;
    file.write_all(scope(evaluator.source().reference()).as_bytes()).map_err(failed)?;
    let ended = repl(&fleet.nix, file.path()).await;
    ended.map_err(|failure| Error::message(Kind::Failed, failure))?;
    Ok(Exit::Success)
}

/// What is in scope: hosts, and over them the outputs of the flake, so that none of these is hidden.
fn scope(reference: &str) -> String {
    let reference = reference.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!(
        "let flake = builtins.getFlake \"{reference}\"; in\n\
         (flake.darwinConfigurations or {{ }}) // (flake.nixosConfigurations or {{ }}) // flake.outputs // {{ inherit flake; }}\n"
    )
}
