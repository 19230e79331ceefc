//! `hubctl secrets edit`.

use std::sync::Arc;

use clap::Args;
use zeroize::Zeroizing;

use super::args::Keys;
use super::editor;
use super::place::{aside, store, told};
use super::secret::Secret;
use super::values::{Renewed, Values, agenix_of};
use crate::cli::confirm::confirm;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::secrets::{Scratch, ScratchError};

#[derive(Args, Debug)]
pub(super) struct EditArgs {
    /// The secret, as its rule names it, or the path of a SOPS file; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// Edits it in the directory for temporary files where nothing is in memory: what is written there may stay on the disk.
    #[arg(long)]
    pub(super) allow_disk_temp: bool,
    #[command(flatten)]
    pub(super) keys: Keys,
}

pub(super) async fn run(hub: &Hub, args: &EditArgs) -> Result<Exit> {
    let secret = Secret::named(hub, &args.name).await?;
    let editors = secret.editors();
    by_editor(hub, secret, args, editors).await
}

/// Has the editor that `variables` say change the content of a secret.
pub(super) async fn by_editor(hub: &Hub, secret: Secret, args: &EditArgs, variables: &[&str]) -> Result<Exit> {
    let secret = Arc::new(secret);
    let store = store(hub, &secret.root)?;
    let place = agenix_of(hub, &secret).await?;
    let values = Values::of(hub, &secret.root, place.as_deref().map(|place| (place, &place.rules)))?;
    let target = secret.target(None);
    let identities = values.identities(hub, &[&target], &args.keys).await?;
    let old = {
        let (secret, identities) = (secret.clone(), identities.clone());
        let open = move || if secret.is_there() { secret.open(None, &identities) } else { Ok(Zeroizing::default()) };
        aside(hub, open).await?
    };
    let Some(new) = edited(hub, &secret, &old, args, variables).await? else {
        hub.ui.status(&format!("{target} is unchanged"));
        return Ok(Exit::Success);
    };
    let new = Renewed { secret: target.clone(), plain: new, how: "edit", allow_empty: args.allow_empty };
    let mut changes = values.changes(hub, vec![new], &identities).await?;
    // Held against the file as it was opened, also when the editor was open for a day.
    if let Some(seen) = secret.seen() {
        changes.iter_mut().filter(|change| change.path == target.path).for_each(|change| change.seen = seen);
    }
    store.commit(&changes).map_err(told)?;
    hub.ui.status(&format!("{target} is changed{}", values.and_copies(&target)));
    Ok(Exit::Success)
}

/// What the user made of a content; nothing where they left it as it was.
async fn edited(
    hub: &Hub,
    secret: &Secret,
    old: &[u8],
    args: &EditArgs,
    variables: &[&str],
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    Scratch::sweep();
    if args.allow_disk_temp {
        hub.ui.warning("what is edited may be written to a disk, and stay there", None);
    }
    let scratch = Scratch::new(&secret.plain_name(), old, args.allow_disk_temp);
    let scratch = scratch.map_err(|error| match error {
        ScratchError::OnDisk => Error::new(Kind::Refused, error)
            .hint("mount a tmpfs at /dev/shm, use `hubctl secrets set`, or do it with --allow-disk-temp"),
        ScratchError::Io(error) => Error::new(Kind::Failed, error),
    })?;
    warn_of_swap(hub);
    loop {
        let editor = editor::command(scratch.file(), scratch.dir(), variables)?;
        editor.foreground().await.map_err(|failure| {
            Error::message(Kind::Failed, format!("the editor failed: {failure}")).hint("nothing was changed")
        })?;
        hub.not_stopped()?;
        let new = scratch.read().map_err(|error| Error::new(Kind::Failed, error))?;
        if *new == old {
            return Ok(None);
        }
        let Err(wrong) = secret.check(&new, args.allow_empty) else { return Ok(Some(new)) };
        if !hub.ui.is_interactive() {
            return Err(wrong);
        }
        hub.ui.error(&wrong);
        confirm(hub, "Edit it again?").await?;
    }
}

/// Memory that is swapped out is on a disk.
fn warn_of_swap(hub: &Hub) {
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let on_disk = swaps.lines().skip(1).any(|line| !line.starts_with("/dev/zram"));
    if on_disk {
        hub.ui.warning(
            "this machine swaps: what is edited may be written to its swap",
            Some("`swapoff --all` meanwhile, or encrypted swap"),
        );
    }
}
