//! `hubctl secrets show`.

use clap::Args;

use super::args::Keys;
use super::content;
use super::place::aside;
use super::secret::Secret;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::Output;

#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    /// The secret, as its rule names it; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    name: String,
    /// Only this value of a SOPS file, such as `database/password`; elements of lists count from 0.
    #[arg(long, value_name = "PATH")]
    value: Option<String>,
    /// Shows it on a terminal too, where others may see it, and where it stays.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, args: &ShowArgs) -> Result<Exit> {
    let stdout = std::io::stdout();
    may_be_shown(hub, &stdout, args.reveal)?;
    let secret = Secret::named(hub, &args.name).await?;
    let value = secret.steps(args.value.as_deref())?;
    let identities = secret.identities(hub, &args.keys).await?;
    let plain = aside(hub, move || secret.open(value.as_deref(), &identities)).await?;
    content::write(&stdout, &plain).map_err(|error| Error::new(Kind::Failed, error))?;
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
