//! What `--dry-run` shows: wave by wave and host by host, the very plan that the run would carry out.

use std::io;

use serde_json::{Map, Value, json};

use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::fleet::OnFailure;
use crate::plan::Waves;
use crate::report::units::duration;
use crate::report::{Cell, Outcome, Output, Style, Table, exit_of};
use crate::run::Planned;

/// Shows what would be done. A host for which that cannot be said decides the exit code as its failure would.
pub(super) fn show(hub: &Hub, waves: &Waves, planned: &[Planned]) -> Result<Exit> {
    let written = if hub.ui.output() == Output::Json {
        let lines: Vec<_> = planned.iter().map(|one| as_json(waves, one)).collect();
        hub.ui.data_json(&lines)
    } else {
        show_waves(hub, waves, planned)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    let stopped = planned.iter().filter_map(|one| one.decision.as_ref().err()).map(|stop| stop.outcome);
    Ok(exit_of(stopped.chain([Outcome::Unchanged])))
}

fn show_waves(hub: &Hub, waves: &Waves, planned: &[Planned]) -> io::Result<()> {
    if waves.is_single() {
        return hub.ui.table(&table(planned));
    }
    for (number, wave) in waves.waves.iter().enumerate() {
        let blank = if number == 0 { "" } else { "\n" };
        hub.ui.data(&format!("{blank}wave {} of {}: {}\n", number + 1, waves.waves.len(), wave.reason))?;
        let of_wave: Vec<_> = planned.iter().filter(|one| one.wave == number).cloned().collect();
        hub.ui.table(&table(&of_wave))?;
    }
    hub.ui.data(&format!("\n{}\n", rules(waves)))
}

/// What holds for the run as a whole.
fn rules(waves: &Waves) -> String {
    let policy = &waves.policy;
    let failures = match policy.max_failures {
        0 => "when a host fails".to_owned(),
        1 => "when more than one host fails".to_owned(),
        most => format!("when more than {most} hosts fail"),
    };
    let then = match policy.on_failure {
        OnFailure::Keep => "those that are done keep their new systems",
        OnFailure::RollBack => "those that are done go back to their old systems",
    };
    let soak = if policy.soak.is_zero() {
        String::new()
    } else {
        format!("between waves, hosts are left to themselves for {} and looked at again\n", duration(policy.soak))
    };
    format!("{soak}{failures}, no further wave begins, and {then}")
}

fn table(planned: &[Planned]) -> Table {
    let mut table = Table::with_header(["HOST", "STEPS", "WHY"]);
    for one in planned {
        let name = Cell::styled(Style::Host, one.host.to_string());
        match &one.decision {
            Ok((decision, steps)) => {
                let names: Vec<_> = steps.iter().map(|step| step.as_str()).collect();
                let steps = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                table.row([name, steps.into(), decision.reason.to_string().into()]);
            }
            Err(stop) => {
                let why = stop.failed.as_ref().map(|failed| failed.message.clone()).unwrap_or_default();
                table.row([name, Cell::styled(Style::of(stop.outcome), stop.outcome.as_str()), why.into()]);
            }
        }
    }
    table
}

fn as_json(waves: &Waves, one: &Planned) -> Value {
    let mut fields = Map::new();
    let mut add = |key: &str, value: Value| drop(fields.insert(key.to_owned(), value));
    add("host", json!(one.host));
    add("wave", json!(one.wave + 1));
    add("waves", json!(waves.waves.len()));
    add("wave-reason", json!(waves.waves.get(one.wave).map(|wave| wave.reason.to_string())));
    match &one.decision {
        Ok((decision, steps)) => {
            add("steps", json!(steps));
            add("reason", json!(decision.reason.to_string()));
        }
        Err(stop) => {
            add("outcome", json!(stop.outcome));
            add("error", json!(stop.failed));
        }
    }
    add("old", json!(one.old));
    add("wanted", json!(one.wanted));
    Value::Object(fields)
}
