//! `hubctl secrets show`.

use std::io::ErrorKind;

use clap::Args;

use super::args::Keys;
use super::content;
use super::place::aside;
use super::secret::Secret;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;
use crate::secrets::SecretsError;
use crate::secrets::age::AgeError;

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// The secret, as its rule names it; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Only this value of a SOPS file, such as `database/password`; elements of lists count from 0.
    #[arg(long, value_name = "PATH")]
    pub(super) value: Option<String>,
    /// Shows it on a terminal too, where others may see it, and where it stays.
    #[arg(long)]
    pub(super) reveal: bool,
    #[command(flatten)]
    pub(super) keys: Keys,
}

pub(super) async fn run(hub: &Hub, args: &ShowArgs) -> Result<Exit> {
    may_be_shown(hub, &std::io::stdout(), args.reveal)?;
    show(hub, Secret::named(hub, &args.name).await?, args).await
}

/// Prints the content of a secret.
pub(super) async fn show(hub: &Hub, secret: Secret, args: &ShowArgs) -> Result<Exit> {
    let value = secret.steps(args.value.as_deref())?;
    let identities = secret.identities(hub, &args.keys).await?;
    aside(hub, move || match secret.show(value.as_deref(), &identities, content::Out(std::io::stdout())) {
        // Whoever reads it went away, and wants no more.
        Err(SecretsError::Age { error: AgeError::Io(error), .. }) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    })
    .await?;
    Ok(Exit::Success)
}

/// Makes sure that a content goes where it may.
pub(super) fn may_be_shown(hub: &Hub, stdout: &std::io::Stdout, reveal: bool) -> Result<()> {
    if hub.ui.output() == Output::Json {
        return Err(Error::message(Kind::Usage, "the content of a secret is not told as JSON").hint("leave --json out"));
    }
    if !reveal && rustix::termios::isatty(stdout) {
        return Err(Error::message(Kind::Refused, "a secret would stay on this terminal")
            .hint("--reveal shows it there; a pipe or a file takes it without"));
    }
    Ok(())
}
