//! `hubctl secrets set`.

use clap::Args;
use inquire::PasswordDisplayMode;
use zeroize::Zeroizing;

use super::args::Keys;
use super::content::{self, Given};
use super::place::{store, told};
use super::secret::Secret;
use super::values::{Renewed, Values, agenix_of};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};

#[derive(Args, Debug, Default)]
pub(super) struct SetArgs {
    /// The secret, as its rule names it; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Only this value of a SOPS file, such as `database/password`, which has to be there; all others keep their bytes.
    #[arg(long, value_name = "PATH")]
    pub(super) value: Option<String>,
    /// Leaves out a line break at the end, which `echo` makes and few programs want.
    #[arg(long)]
    pub(super) trim: bool,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    pub(super) allow_empty: bool,
}

pub(super) async fn run(hub: &Hub, args: &SetArgs) -> Result<Exit> {
    set(hub, Secret::named(hub, &args.name).await?, args).await
}

/// Gives a secret a new content.
pub(super) async fn set(hub: &Hub, secret: Secret, args: &SetArgs) -> Result<Exit> {
    let value = secret.steps(args.value.as_deref())?;
    let given = given(hub, &args.name, args.trim).await?;
    let place = agenix_of(hub, &secret).await?;
    let values = Values::of(hub, &secret.root, place.as_deref().map(|place| (place, &place.rules)))?;
    let target = secret.target(args.value.as_deref());
    let identities = values.identities(hub, &[&target], &Keys::default()).await?;
    let store = store(hub, &secret.root)?;
    let changes = match given {
        // What copies get has to be in memory.
        Given::Long(long) if secret.takes_anything() && !long.begins_blank() && !values.has_copies(&target) => {
            values.long_changes(hub, &target, long.reader(), &identities).await?
        }
        given => {
            let plain = given.whole()?;
            // One value may be anything; whether the whole is what its name says is found out when it is written.
            if value.is_none() || content::is_blank(&plain) {
                secret.check(&plain, args.allow_empty)?;
            }
            let new = Renewed { secret: target.clone(), plain, how: "set", allow_empty: args.allow_empty };
            values.changes(hub, vec![new], &identities).await?
        }
    };
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{target} is set{}", values.and_copies(&target)));
    Ok(Exit::Success)
}

/// The new content as [`given`], which is not a long one.
pub(super) async fn read(hub: &Hub, name: &str, trim: bool) -> Result<Zeroizing<Vec<u8>>> {
    given(hub, name, trim).await?.whole()
}

/// The new content: what is piped in, or what somebody types without seeing it. With `trim`, without a line break at its end.
async fn given(hub: &Hub, name: &str, trim: bool) -> Result<Given> {
    if hub.ui.is_interactive() {
        return typed(hub, name).await.map(Given::Whole);
    }
    let given = Given::read(std::io::stdin(), trim)?;
    if let Given::Whole(plain) = &given
        && plain.split_last().is_some_and(|(last, rest)| *last == b'\n' && !rest.contains(&b'\n'))
    {
        hub.ui.status("the content ends with a line break; --trim leaves it out");
    }
    Ok(given)
}

async fn typed(hub: &Hub, name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let question = format!("{name}:");
    let asking = tokio::task::spawn_blocking(move || {
        inquire::Password::new(&question).with_display_mode(PasswordDisplayMode::Hidden).prompt()
    });
    let typed =
        hub.unless_stopped(async { Ok(asking.await) }).await?.map_err(|error| Error::new(Kind::Failed, error))?;
    let typed = typed.map_err(|_| Error::message(Kind::Cancelled, "nothing was changed"))?;
    Ok(Zeroizing::new(typed.into_bytes()))
}
