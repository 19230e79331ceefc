//! Passwords for becoming root on hosts: asked once, before anything is shown, checked before anything is built.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inquire::{InquireError, PasswordDisplayMode};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::hub::{Hub, this_machine};
use crate::error::{Error, Kind, Result};
use crate::fleet::{Host, HostName};
use crate::process::{Cancel, Level};
use crate::remote::{Connect, Elevate, Elevation, Password, Remote, Script};
use crate::report::Ui;
use crate::run::target_of;

/// How often a password may be mistyped.
const TRIES: usize = 3;

/// How to become root on each of `hosts`, with a password where one is needed. A host that cannot be reached, or that refuses,
/// is left to its own part of the run to tell.
pub(super) async fn elevations(
    hub: &Hub,
    connect: &dyn Connect,
    hosts: &[Host],
) -> Result<BTreeMap<HostName, Elevation>> {
    let sudo = |host: &&Host| host.elevate == Elevate::Sudo;
    let hosts: Vec<_> = hosts.iter().filter(sudo).collect();
    if hosts.is_empty() {
        return Ok(BTreeMap::new());
    }
    if let Some(file) = &hub.global.sudo_password_file {
        let password = read_password(file)?;
        return Ok(hosts.into_iter().map(|host| (host.name.clone(), with(&password))).collect());
    }
    if !hub.ui.is_interactive() {
        return Ok(BTreeMap::new());
    }
    // Nobody is asked twice in one run.
    let mut known = hub.elevations.borrow().clone();
    known.retain(|name, _| hosts.iter().any(|host| host.name == *name));
    let mut asking = Vec::new();
    for host in hosts.into_iter().filter(|host| !known.contains_key(&host.name)) {
        if let Some(remote) = wants_password(connect, host, &hub.cancel).await {
            asking.push((host.name.clone(), remote));
        }
    }
    known.extend(ask_until_right(&hub.ui, asking, &hub.cancel).await?);
    hub.elevations.borrow_mut().extend(known.clone());
    Ok(known)
}

/// A connection to the host, when its sudo wants a password.
async fn wants_password(connect: &dyn Connect, host: &Host, cancel: &Cancel) -> Option<Remote> {
    let target = target_of(host, this_machine().as_deref());
    let connection = connect.connect(&target, cancel).await.ok()?;
    let remote = Remote::new(connection, Elevation { how: Elevate::Sudo, password: None });
    becomes_root(&remote).await.is_err().then_some(remote)
}

async fn becomes_root(remote: &Remote) -> std::result::Result<(), crate::remote::RunError> {
    remote.run(&Script::new(":").as_root().deadline(Duration::from_secs(20))).await.map(drop)
}

/// Asks for one password, gives it to every host that takes it, and asks again for the others.
async fn ask_until_right(
    ui: &Ui,
    mut asking: Vec<(HostName, Remote)>,
    cancel: &Cancel,
) -> Result<BTreeMap<HostName, Elevation>> {
    let mut known = BTreeMap::new();
    for _ in 0..TRIES {
        let names: Vec<_> = asking.iter().map(|(name, _)| name.to_string()).collect();
        if names.is_empty() {
            return Ok(known);
        }
        let password = prompt(names.join(", "), cancel).await?;
        let mut refused = Vec::new();
        for (name, remote) in asking {
            let elevation = with(&password);
            if becomes_root(&remote.elevated_by(elevation.clone())).await.is_ok() {
                known.insert(name, elevation);
            } else {
                ui.warning(&format!("{name} does not take this password"), None);
                refused.push((name, remote));
            }
        }
        asking = refused;
    }
    let names: Vec<_> = asking.iter().map(|(name, _)| name.to_string()).collect();
    if names.is_empty() {
        return Ok(known);
    }
    Err(Error::message(Kind::Refused, format!("no sudo password was accepted by {}", names.join(", "))))
}

/// Asks on a thread of its own, so that signals are heard meanwhile.
async fn prompt(hosts: String, cancel: &Cancel) -> Result<Password> {
    let modes = tcgetattr(std::io::stdin());
    let asking = tokio::task::spawn_blocking(move || {
        inquire::Password::new(&format!("sudo password on {hosts}:"))
            .with_display_mode(PasswordDisplayMode::Hidden)
            .without_confirmation()
            .prompt()
    });
    let Some(answered) = cancel.unless(Level::Soft, asking).await else {
        if let Ok(modes) = modes {
            // A prompt that is left in its middle leaves the terminal without echo. One that is gone needs no modes.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &modes);
        }
        return Err(Error::message(Kind::Cancelled, "no password was given"));
    };
    match answered.map_err(|error| Error::new(Kind::Failed, error))? {
        Ok(password) => Ok(Arc::new(SecretString::from(password))),
        Err(InquireError::OperationCanceled | InquireError::OperationInterrupted) => {
            Err(Error::message(Kind::Cancelled, "no password was given"))
        }
        Err(error) => Err(Error::new(Kind::Failed, error)),
    }
}

fn read_password(file: &Path) -> Result<Password> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
        Error::message(Kind::Usage, format!("the password file {} cannot be read: {error}", file.display()))
    })?;
    Ok(Arc::new(SecretString::from(text.lines().next().unwrap_or_default())))
}

fn with(password: &Password) -> Elevation {
    Elevation { how: Elevate::Sudo, password: Some(password.clone()) }
}
