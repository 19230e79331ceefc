//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::place::Place;
use super::{check, create, edit, exec, grant, history, hosts, import, keys, rekey, revoke, rotate, set, show, status};
use crate::cli::hub::Hub;
use crate::error::{Exit, Result};

/// Keeps the secrets of the repository: who can read which, and what is in them.
///
/// Secrets are files of age, in the way of agenix: secrets.nix says who can read which; or files of SOPS with keys of age: .sops.yaml
/// says it. All files that a command changes, of both kinds, get their new content at once, or none of them does.
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
    /// Makes a new secret: the content is read from standard input. A secret of agenix gets its rule; a file of SOPS has to have one.
    Create(create::CreateArgs),
    /// Opens the content of a secret in your editor, in memory alone, and encrypts what comes of it.
    Edit(edit::EditArgs),
    /// Runs a program with secrets in its environment, or in files that are in memory for as long as it runs.
    ///
    /// Nothing of them is printed. Signals reach the program, and its exit code is that of this command.
    Exec(exec::ExecArgs),
    /// Encrypts secrets to those whom their rules name by now: those that drifted, all at once or none.
    Rekey(rekey::RekeyArgs),
    /// Gives secrets new values, made as hub.toml or --generate says, or read from standard input; copies of them get the same.
    ///
    /// Everything that changes along changes at once: copies in both formats, the file of a public key, the secret that keeps the
    /// password of a hash, the record of when it was done, and the list of values that have to be replaced.
    Rotate(rotate::RotateArgs),
    /// Tells when secrets got new values and how, as far as that is on record; no value is.
    History(history::HistoryArgs),
    /// Lets somebody read secrets: changes their rules in secrets.nix and .sops.yaml, and encrypts them anew.
    Grant(grant::GrantArgs),
    /// Takes secrets away from somebody: changes their rules, encrypts them anew, and lists the values that have to be replaced.
    ///
    /// What somebody could read once they may have kept, and git has the old files. So every value that the key could ever read is listed
    /// in secrets.to-rotate beside secrets.nix, or at the root where there is none, until it is set anew.
    Revoke(revoke::RevokeArgs),
    /// Converts secrets of agenix to files of SOPS, or the other way round, for the same readers.
    ///
    /// Where a rule is for a new file already, its readers are those of the rule. The old files stay, unless --remove.
    Import(import::ImportArgs),
    /// Looks for secrets that are in git as they are: plaintext beside a secret or in its place, and private keys; and for hosts that
    /// can read more or less than they need.
    Check(check::CheckArgs),
    /// Holds the keys that the rules have for hosts against those that the hosts have, and adds hosts.
    Hosts(hosts::HostsArgs),
    /// Lists the keys of the rules: their tags in files, what they are in the form of age, and how many secrets each can read.
    Keys(keys::KeysArgs),
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
    match args.command {
        SecretsCommand::Status(args) => status::run(hub, &args).await,
        SecretsCommand::Show(args) => show::run(hub, &args).await,
        SecretsCommand::Set(args) => set::run(hub, &args).await,
        SecretsCommand::Create(args) => create::run(hub, &args).await,
        SecretsCommand::Edit(args) => edit::run(hub, &args).await,
        SecretsCommand::Exec(args) => exec::run(hub, &args).await,
        SecretsCommand::Grant(args) => grant::run(hub, &args).await,
        SecretsCommand::Revoke(args) => revoke::run(hub, &args).await,
        SecretsCommand::Rekey(args) => rekey::run(hub, &args).await,
        SecretsCommand::Hosts(args) => hosts::run(hub, args).await,
        SecretsCommand::Rotate(args) => rotate::run(hub, &args).await,
        SecretsCommand::History(args) => history::run(hub, &args).await,
        SecretsCommand::Import(args) => import::run(hub, &args).await,
        SecretsCommand::Check(args) => check::run(hub, &args).await,
        // This is about the rules of secrets.nix alone.
        SecretsCommand::Keys(args) => keys::run(hub, &Place::of(hub).await?, &args),
    }
}
