//! The flake, read again and again while the view is open.

use std::rc::Rc;

use super::update::FlakeNow;
use crate::cli::hub::{Fleet, Hub};
use crate::cli::looker::{Looker, Records, records};
use crate::cli::select::HostsOrAll;
use crate::error::Result;
use crate::evaluate::Evaluator;
use crate::fleet::Host;

/// The flake as it is by now, and what looks at hosts against it.
pub(super) struct Loaded {
    pub(super) fleet: Fleet,
    pub(super) hosts: Vec<Host>,
    pub(super) looker: Looker,
}

/// Reads the flake and the history again. What is known of the flake stays where it has not changed.
pub(super) async fn load(hub: Rc<Hub>, words: Rc<HostsOrAll>, before: std::sync::Arc<Looker>) -> Result<Loaded> {
    let records = records_of(&hub).await?;
    let Some(old) = before.evaluator() else {
        let fleet = hub.reachable(&words.hosts).await?;
        let hosts = words.select(&hub, &fleet.inventory)?;
        return Ok(Loaded { fleet, hosts, looker: before.with_records(records) });
    };
    let (fleet, evaluator) = hub.load().await?;
    let hosts = words.select(&hub, &fleet.inventory)?;
    let looker = if evaluator.source().path == old.source().path {
        before.with_records(records)
    } else {
        before.with_flake(evaluator, fleet.flake.clone(), records)
    };
    Ok(Loaded { fleet, hosts, looker })
}

/// Reads the history where that keeps nothing else waiting: it may be a long one.
async fn records_of(hub: &Hub) -> Result<Records> {
    let (state, _) = hub.state()?;
    let read = tokio::task::spawn_blocking(move || records(&state));
    Ok(read.await.unwrap_or_default())
}

/// The flake for a person: where it is, and what is checked out.
pub(super) fn title(fleet: &Fleet, evaluator: Option<&Evaluator>) -> String {
    let flake = fleet.flake.root().map_or_else(|| fleet.flake.to_string(), |root| root.display().to_string());
    let source = evaluator.map(Evaluator::source);
    match source.map(|source| (source.rev.as_ref(), source.dirty)) {
        Some((Some(rev), _)) => format!("{flake} at {}", rev.chars().take(8).collect::<String>()),
        Some((None, true)) => format!("{flake} with changes"),
        _ => flake,
    }
}

impl Loaded {
    /// The same as the view takes it in.
    pub(super) fn now(&self) -> FlakeNow {
        let title = title(&self.fleet, self.looker.evaluator().map(|evaluator| &**evaluator));
        FlakeNow { title, hosts: self.hosts.clone() }
    }
}
