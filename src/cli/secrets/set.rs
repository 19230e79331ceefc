//! `hubctl secrets set`.

use clap::Args;
use inquire::PasswordDisplayMode;
use zeroize::Zeroizing;

use super::args::Keys;
use super::content;
use super::place::{aside, store, told};
use super::secret::Secret;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};

#[derive(Args, Debug)]
pub(super) struct SetArgs {
    /// The secret, as its rule names it; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    name: String,
    /// Only this value of a SOPS file, such as `database/password`, which has to be there; all others keep their bytes.
    #[arg(long, value_name = "PATH")]
    value: Option<String>,
    /// Leaves out a line break at the end, which `echo` makes and few programs want.
    #[arg(long)]
    trim: bool,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    allow_empty: bool,
}

pub(super) async fn run(hub: &Hub, args: &SetArgs) -> Result<Exit> {
    let secret = Secret::named(hub, &args.name).await?;
    let value = secret.steps(args.value.as_deref())?;
    let plain = read(hub, &args.name, args.trim).await?;
    // One value may be anything; whether the whole is what its name says is found out when it is written.
    if value.is_none() || content::is_blank(&plain) {
        secret.check(&plain, args.allow_empty)?;
    }
    let identities = secret.identities(hub, &Keys::default()).await?;
    let (store, path) = (store(hub, &secret.root)?, secret.path().to_path_buf());
    let changes = aside(hub, move || secret.set(&plain, value.as_deref(), &identities)).await?;
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{} is set", path.display()));
    Ok(Exit::Success)
}

/// The new content: what is piped in, or what somebody types without seeing it. With `trim`, without a line break at its end.
pub(super) async fn read(hub: &Hub, name: &str, trim: bool) -> Result<Zeroizing<Vec<u8>>> {
    let mut plain = given(hub, name).await?;
    if trim && plain.last() == Some(&b'\n') {
        plain.pop();
    }
    let is_one_line = plain.split_last().is_some_and(|(last, rest)| *last == b'\n' && !rest.contains(&b'\n'));
    if is_one_line {
        hub.ui.status("the content ends with a line break; --trim leaves it out");
    }
    Ok(plain)
}

async fn given(hub: &Hub, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    if !hub.ui.is_interactive() {
        return content::read(std::io::stdin().lock());
    }
    let question = format!("{name}:");
    let asking = tokio::task::spawn_blocking(move || {
        inquire::Password::new(&question).with_display_mode(PasswordDisplayMode::Hidden).prompt()
    });
    let typed =
        hub.unless_stopped(async { Ok(asking.await) }).await?.map_err(|error| Error::new(Kind::Failed, error))?;
    let typed = typed.map_err(|_| Error::message(Kind::Cancelled, "nothing was changed"))?;
    Ok(Zeroizing::new(typed.into_bytes()))
}
