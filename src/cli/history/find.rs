//! One deployment by its id, and those that belong to it.

use crate::cli::hub::Hub;
use crate::error::{Error, Kind, Result};
use crate::state::{Deployment, Filter, RunState, State};

/// How many deployments are looked at for those that belong together.
const LOOKED_AT: u32 = 1000;

/// The deployment with this id, or the only one whose id begins so.
pub(super) fn find(state: &State, id: &str) -> Result<Deployment> {
    let filter = Filter { id: Some(id.to_owned()), ..Filter::default() };
    let mut found = state.deployments(&filter).map_err(|error| Error::new(Kind::Failed, error))?;
    let exact = found.iter().position(|one| one.id == id);
    match (exact, found.len()) {
        (Some(at), _) => Ok(found.swap_remove(at)),
        (None, 1) => Ok(found.swap_remove(0)),
        (None, 0) => {
            Err(Error::message(Kind::Usage, format!("there is no deployment `{id}`"))
                .hint("`hubctl history` lists them"))
        }
        (None, many) => Err(Error::message(Kind::Usage, format!("{many} deployments begin with `{id}`"))
            .hint("give more of the id; `hubctl history` lists them")),
    }
}

/// The deployment that began last.
pub(super) fn last(state: &State) -> Result<Deployment> {
    let filter = Filter { limit: Some(1), ..Filter::default() };
    let found = state.deployments(&filter).map_err(|error| Error::new(Kind::Failed, error))?;
    found.into_iter().next().ok_or_else(|| Error::message(Kind::Usage, "nothing has been deployed from here yet"))
}

/// The deployment with this id, of the flake at hand. An error while it goes on: what becomes of its hosts is not known then.
pub(in crate::cli) fn find_ended(hub: &Hub, id: &str) -> Result<Deployment> {
    let (state, _) = hub.state()?;
    let one = find(&state, id)?;
    if one.flake != hub.flake()?.to_string() {
        let message = format!("the deployment {} is of another flake, {}", one.id, one.flake);
        return Err(Error::message(Kind::Usage, message).hint("name that with --flake"));
    }
    check_ended(hub, &one)?;
    Ok(one)
}

/// An error while a deployment goes on.
pub(in crate::cli) fn check_ended(hub: &Hub, one: &Deployment) -> Result<()> {
    let (_, dirs) = hub.state()?;
    if dirs.runs().state(&one.id) != RunState::Live {
        return Ok(());
    }
    Err(Error::message(Kind::Refused, format!("the deployment {} still goes on", one.id))
        .hint("wait for its end, or stop it with Ctrl-C where it runs"))
}

/// The deployments of the flake at hand, newest first.
pub(in crate::cli) fn of_flake(hub: &Hub) -> Result<Vec<Deployment>> {
    let (state, _) = hub.state()?;
    let filter = Filter { limit: Some(LOOKED_AT), ..Filter::default() };
    let mut all = state.deployments(&filter).map_err(|error| Error::new(Kind::Failed, error))?;
    let flake = hub.flake()?.to_string();
    all.retain(|one| one.flake == flake);
    Ok(all)
}
