//! `hubctl secrets history`.

use std::collections::BTreeSet;

use clap::Args;

use super::place::repository;
use super::values::{Values, agenix};
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::{Cell, Output, Style, Table};

#[derive(Args, Debug)]
pub(super) struct HistoryArgs {
    /// Secrets, by name or glob; all of them without one.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(super) async fn run(hub: &Hub, args: &HistoryArgs) -> Result<Exit> {
    let root = repository(hub)?;
    let place = agenix(hub, &root).await?;
    let values = Values::of(hub, &root, place.as_ref().map(|place| (place, &place.rules)))?;
    let record = values.record()?;
    // A secret that is no more still has its history.
    let on_record = |word: &String| record.all().iter().any(|one| one.secret == *word);
    let (gone, there): (Vec<_>, Vec<_>) = args.names.iter().cloned().partition(on_record);
    let mut meant: BTreeSet<_> = values.select(&there, None)?.iter().map(ToString::to_string).collect();
    meant.extend(gone);
    let mut all: Vec<_> =
        record.all().iter().filter(|one| args.names.is_empty() || meant.contains(&one.secret)).collect();
    all.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.cmp(other)));
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&all)
    } else {
        let mut table = Table::with_header(["WHEN", "SECRET", "HOW"]);
        for one in &all {
            let name = Cell::styled(Style::Bold, one.secret.clone());
            table.row([one.at.to_string().into(), name, one.how.clone().into()]);
        }
        hub.ui.table(&table)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    if all.is_empty() {
        hub.ui.status("no new values are on record");
    }
    Ok(Exit::Success)
}
