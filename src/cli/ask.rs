//! Showing what a deployment would change before it is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change_list::text;
use super::compare::{AskUnits, Compared, Comparer, Side};
use super::confirm::confirm_or;
use super::diff::tell_unknown;
use super::hub::{Fleet, Hub};
use super::passwords;
use crate::error::{Error, Kind, Result};
use crate::evaluate::Evaluator;
use crate::fleet::Host;
use crate::plan::Rule;
use crate::report::Output;

/// What helps where nobody can be asked.
const HINT: &str = "leave out --ask where nobody answers; `hubctl diff` shows the changes alone";

/// Shows what deploying would change on `hosts`, and goes on only where somebody says yes. Under a rule that leaves alone what is as
/// wanted, nobody is asked for nothing.
pub(super) async fn ask_first(
    hub: &Hub,
    fleet: &Fleet,
    evaluator: &Arc<Evaluator>,
    hosts: &[Host],
    rule: Rule,
) -> Result<()> {
    if hub.ui.output() == Output::Json {
        return Err(Error::message(Kind::Usage, "--ask shows the changes to a person, and --json has none").hint(HINT));
    }
    if !hub.ui.is_interactive() {
        return Err(Error::message(Kind::Refused, "--ask: nobody can be asked here").hint(HINT));
    }
    let compared = show_changes(hub, fleet, evaluator, hosts, AskUnits::Copied).await?;
    let open: Vec<_> = compared.iter().filter(|one| one.error.is_some() || one.differs()).collect();
    if open.is_empty() && rule == Rule::IfChanged {
        return Ok(());
    }
    let names: Vec<_> = match rule {
        Rule::IfChanged => open.iter().map(|one| one.host.as_str()).collect(),
        Rule::Always => compared.iter().map(|one| one.host.as_str()).collect(),
    };
    confirm_or(hub, &format!("Deploy {}?", names.join(", ")), HINT).await
}

/// Shows what deploying would change on `hosts`.
pub(super) async fn show_changes(
    hub: &Hub,
    fleet: &Fleet,
    evaluator: &Arc<Evaluator>,
    hosts: &[Host],
    ask_units: AskUnits,
) -> Result<Vec<Compared>> {
    let elevations = match ask_units {
        AskUnits::Copied => {
            let connect = hub.connector(&fleet.config)?;
            hub.unless_stopped(passwords::elevations(hub, connect.as_ref(), hosts)).await?
        }
        AskUnits::IfThere => BTreeMap::new(),
    };
    let comparer = Arc::new(Comparer::new(hub, fleet, ask_units, elevations)?);
    let found = comparer.all(hosts.to_vec(), &Side::Running, &Side::Flake(evaluator.clone())).await;
    hub.not_stopped()?;
    hub.ui.status(&text(&found, hub.ui.err(), hub.ui.err_width()));
    tell_unknown(hub, &found);
    Ok(found)
}
