//! `hubctl options`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::lint::{Found, Options};
use crate::report::{Cell, Output, Style, Table};

/// Options of NixOS, home-manager and nix-darwin, as hubctl knows them without evaluating.
#[derive(Args, Debug)]
pub(super) struct OptionsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Search(SearchArgs),
}

/// Finds the options whose names have all of these words in them.
///
/// `<name>` and `*` in a name stand for any. Exits with 1 if there is none.
#[derive(Args, Debug)]
struct SearchArgs {
    /// Words, or parts of such, in any order and case.
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
}

pub(super) fn run(hub: &Hub, args: OptionsArgs) -> Result<Exit> {
    let Action::Search(SearchArgs { words }) = args.action;
    let options = Options::read();
    let found = options.search(&words);
    let written = if hub.ui.output() == Output::Json {
        hub.ui.data_json(&found.iter().map(told).collect::<Vec<_>>())
    } else {
        hub.ui.table(&table(&found))
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    hub.ui.status(&format!("{} found among: {}", found.len(), options.source()));
    Ok(if found.is_empty() { Exit::Failed } else { Exit::Success })
}

fn told(found: &Found<'_>) -> serde_json::Value {
    let types: serde_json::Map<_, _> =
        found.types.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).into())).collect();
    json!({ "option": found.name, "types": types })
}

fn table(found: &[Found<'_>]) -> Table {
    let mut table = Table::with_header(["OPTION", "OF", "TYPE"]);
    for option in found {
        for (kind, name) in &option.types {
            table.row([Cell::styled(Style::Bold, option.name), (*kind).into(), (*name).into()]);
        }
    }
    table
}
