//! Which system runs when a host is to run a specialisation.

use std::borrow::Cow;

use super::host::HostPart;
use super::prepare::{Prepared, Specialisation};
use super::stop::Stop;
use crate::remote::specialisations;
use crate::report::{Outcome, StepName};

/// `prepared` with what is to run there, which the host tells once it has the system.
pub(super) async fn specialised<'a>(part: &HostPart, prepared: &'a Prepared) -> Result<Cow<'a, Prepared>, Stop> {
    let Some(Specialisation { name, .. }) = &prepared.wanted.specialisation else { return Ok(Cow::Borrowed(prepared)) };
    let found = specialisations(&prepared.access.remote, &prepared.wanted.toplevel).await;
    let mut found = found.map_err(|error| Stop::script(Outcome::Unreachable, StepName::Activate, &error))?;
    let Some(system) = found.remove(name) else {
        let names: Vec<_> = found.keys().map(|name| format!("`{name}`")).collect();
        let hint = if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
        let message = format!("the system of {} has no specialisation `{name}`", part.host.name);
        return Err(Stop::failed(Outcome::Refused, StepName::Activate, message).hint(Some(hint)));
    };
    let mut prepared = prepared.clone();
    prepared.wanted.specialisation = Some(Specialisation { name: name.clone(), system: Some(system) });
    Ok(Cow::Owned(prepared))
}
