//! `hubctl secrets set`.

use std::path::Path;

use clap::Args;
use inquire::PasswordDisplayMode;
use zeroize::Zeroizing;

use super::args::Keys;
use super::content;
use super::edit::checked;
use super::place::{Place, aside, told};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::secrets::SecretsError;
use crate::secrets::transaction::Seen;

#[derive(Args, Debug)]
pub(super) struct SetArgs {
    /// The secret, as its rule names it; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Only this value of a SOPS file, such as `database/password`, which has to be there; all others keep their bytes.
    #[arg(long, value_name = "PATH")]
    pub(super) value: Option<String>,
    /// Leaves out a line break at the end, which `echo` makes and few programs want.
    #[arg(long)]
    trim: bool,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    allow_empty: bool,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &SetArgs) -> Result<Exit> {
    let rule = place.rules.get(&args.name).map_err(told)?.clone();
    let plain = read(hub, &rule.name, args.trim).await?;
    checked(&rule, &plain, args.allow_empty)?;
    let (vault, identities) = (place.vault.clone(), place.identities(hub, &Keys::default())?);
    let path = rule.path.clone();
    let store = place.store(hub)?;
    let list = place.vault.list(&place.rules, |list| list.remove(&path)).map_err(told)?;
    let change = aside(hub, move || {
        let seen = vault.bytes(&rule.path)?.map_or(Seen::Nothing, |bytes| Seen::of(&bytes));
        vault.seal(&rule, &plain, seen, &identities)
    })
    .await?;
    store.commit(&[change].into_iter().chain(list).collect::<Vec<_>>()).map_err(told)?;
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

/// The new content of the secret in `path`, as the command line wants it.
pub(super) async fn content_for(hub: &Hub, args: &SetArgs, path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let plain = read(hub, &args.name, args.trim).await?;
    if content::is_blank(&plain) && !args.allow_empty {
        return Err(told(SecretsError::Empty(path.to_path_buf())));
    }
    Ok(plain)
}
