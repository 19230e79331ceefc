//! `hubctl secrets edit`.

use clap::Args;
use zeroize::Zeroizing;

use super::args::Keys;
use super::place::{Place, aside, told};
use super::{content, editor};
use crate::cli::confirm::confirm;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::secrets::transaction::Seen;
use crate::secrets::{Format, Rule, Scratch, ScratchError, SecretsError};

#[derive(Args, Debug)]
pub(super) struct EditArgs {
    /// The secret, as its rule names it; the end of its path without `.age` will do.
    #[arg(value_name = "NAME")]
    name: String,
    /// Takes a content that is nothing but white space.
    #[arg(long)]
    allow_empty: bool,
    /// Edits it in the directory for temporary files where nothing is in memory: what is written there may stay on the disk.
    #[arg(long)]
    allow_disk_temp: bool,
    #[command(flatten)]
    keys: Keys,
}

pub(super) async fn run(hub: &Hub, place: &Place, args: &EditArgs) -> Result<Exit> {
    let rule = place.rules.get(&args.name).map_err(told)?.clone();
    let (store, identities) = (place.store(hub)?, place.identities(hub, &args.keys)?);
    let (vault, of) = (place.vault.clone(), rule.clone());
    let (identities, seen, old) = aside(hub, move || {
        if vault.bytes(&of.path)?.is_none() {
            return Ok((identities, Seen::Nothing, Zeroizing::default()));
        }
        let (sealed, plain) = vault.open(&of, &identities)?;
        Ok((identities, Seen::of(&sealed.bytes), plain))
    })
    .await?;
    let Some(new) = edited(hub, &rule, &old, args).await? else {
        hub.ui.status(&format!("{} is unchanged", rule.path.display()));
        return Ok(Exit::Success);
    };
    let (vault, path) = (place.vault.clone(), rule.path.clone());
    let list = place.vault.list(&place.rules, |list| list.remove(&path)).map_err(told)?;
    let change = aside(hub, move || vault.seal(&rule, &new, seen, &identities)).await?;
    store.commit(&[change].into_iter().chain(list).collect::<Vec<_>>()).map_err(told)?;
    hub.ui.status(&format!("{} is changed", path.display()));
    Ok(Exit::Success)
}

/// What the user made of a content; nothing where they left it as it was.
async fn edited(hub: &Hub, rule: &Rule, old: &[u8], args: &EditArgs) -> Result<Option<Zeroizing<Vec<u8>>>> {
    Scratch::sweep();
    if args.allow_disk_temp {
        hub.ui.warning("what is edited may be written to a disk, and stay there", None);
    }
    let name = rule.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let scratch = Scratch::new(name.strip_suffix(".age").unwrap_or(&name), old, args.allow_disk_temp);
    let scratch = scratch.map_err(|error| match error {
        ScratchError::OnDisk => Error::new(Kind::Refused, error)
            .hint("mount a tmpfs at /dev/shm, use `hubctl secrets set`, or do it with --allow-disk-temp"),
        ScratchError::Io(error) => Error::new(Kind::Failed, error),
    })?;
    warn_of_swap(hub);
    loop {
        editor::command(scratch.file(), scratch.dir())?.foreground().await.map_err(|failure| {
            Error::message(Kind::Failed, format!("the editor failed: {failure}")).hint("nothing was changed")
        })?;
        hub.not_stopped()?;
        let new = scratch.read().map_err(|error| Error::new(Kind::Failed, error))?;
        if *new == old {
            return Ok(None);
        }
        let Err(wrong) = checked(rule, &new, args.allow_empty) else { return Ok(Some(new)) };
        if !hub.ui.is_interactive() {
            return Err(wrong);
        }
        hub.ui.error(&wrong);
        confirm(hub, "Edit it again?").await?;
    }
}

/// Whether a new content may be one.
pub(super) fn checked(rule: &Rule, new: &[u8], allow_empty: bool) -> Result<()> {
    if content::is_blank(new) {
        return if allow_empty { Ok(()) } else { Err(told(SecretsError::Empty(rule.path.clone()))) };
    }
    let wrong = Format::of_name(&rule.name).and_then(|format| format.check(new).err());
    wrong.map_or(Ok(()), |wrong| {
        Err(Error::message(Kind::Refused, format!("{}: {wrong}", rule.path.display()))
            .hint("the end of its name says what it is; nothing was changed"))
    })
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
