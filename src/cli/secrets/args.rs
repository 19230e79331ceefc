//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::place::Place;
use super::{rekey, set, show, sops, status};
use crate::cli::hub::Hub;
use crate::error::{Exit, Result};

/// Keeps the secrets of the repository: who can read which, and what is in them.
///
/// Secrets are files of age, in the way of agenix: secrets.nix says who can read which; or files of SOPS with keys of age: .sops.yaml
/// says it. All files that a command changes get their new content at once, or none of them does.
#[derive(Args, Debug)]
pub(in crate::cli) struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum SecretsCommand {
    /// Tells how it stands with all secrets, without any private key: missing ones, and those encrypted to others than their rules name.
    Status(status::StatusArgs),
    /// Prints the content of a secret.
    Show(show::ShowArgs),
    /// Gives a secret a new content, which is read from standard input; the old one need not be readable.
    Set(set::SetArgs),
    /// Encrypts secrets to those whom their rules name by now: those that drifted, all at once or none.
    Rekey(rekey::RekeyArgs),
}

/// Which private keys are used.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Keys {
    /// Uses this private key alone: an ssh key, or an identity file of age. Without it, `~/.ssh/id_ed25519` and
    /// `~/.ssh/id_rsa` are used.
    #[arg(long = "identity", short, value_name = "FILE")]
    pub(super) identities: Vec<PathBuf>,
}

pub(in crate::cli) async fn run(hub: &Hub, args: SecretsArgs) -> Result<Exit> {
    if let Some(exit) = sops::run(hub, &args.command).await? {
        return Ok(exit);
    }
    let place = Place::of(hub).await?;
    match args.command {
        SecretsCommand::Status(args) => status::run(hub, &place, &args).await,
        SecretsCommand::Show(args) => show::run(hub, &place, &args).await,
        SecretsCommand::Set(args) => set::run(hub, &place, &args).await,
        SecretsCommand::Rekey(args) => rekey::run(hub, &place, &args).await,
    }
}
