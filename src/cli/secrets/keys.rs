//! `hubctl secrets keys`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::place::Place;
use crate::cli::hub::Hub;
use crate::error::{Error, Exit, Kind, Result};
use crate::report::{Cell, Output, Style, Table};
use crate::secrets::age::Recipient;

#[derive(Args, Debug)]
pub(super) struct KeysArgs {}

pub(super) fn run(hub: &Hub, place: &Place, _args: &KeysArgs) -> Result<Exit> {
    let mut keys: BTreeMap<&Recipient, usize> = BTreeMap::new();
    for key in place.rules.list.iter().flat_map(|rule| &rule.recipients) {
        *keys.entry(key).or_default() += 1;
    }
    let age = |key: &Recipient| key.to_age().map(|key| key.to_string());
    let written = if hub.ui.output() == Output::Json {
        let one = |(key, count): (&&Recipient, &usize)| {
            json!({
                "key": key.to_string(), "comment": key.comment(), "tag": key.tag(), "age": age(key), "secrets": count,
            })
        };
        hub.ui.data_json(&keys.iter().map(one).collect::<Vec<_>>())
    } else {
        let mut table = Table::with_header(["KEY", "TAG", "SECRETS", "AS A KEY OF AGE"]).right(2);
        for (key, count) in &keys {
            let (tag, age) = (key.tag().unwrap_or_default(), age(key).unwrap_or_default());
            table.row([Cell::styled(Style::Bold, key.short()), tag.into(), count.to_string().into(), age.into()]);
        }
        hub.ui.table(&table)
    };
    written.map_err(|error| Error::new(Kind::Failed, error))?;
    Ok(Exit::Success)
}
