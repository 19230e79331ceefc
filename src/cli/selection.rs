//! The hosts that the words of a command line select.

use super::hub::Hub;
use crate::error::{Error, Kind, Result, nearest};
use crate::fleet::{Host, Inventory, SelectError, Selection};

impl Hub {
    /// The hosts that `words` select, in order, or none where they do not.
    pub(super) fn guess(inventory: &Inventory, words: &[String]) -> Vec<Host> {
        let selection = Selection::parse(words).ok();
        let hosts = selection.and_then(|selection| inventory.select(&selection).ok());
        hosts.unwrap_or_default().into_iter().cloned().collect()
    }

    /// The hosts that `words` select, in order.
    pub(super) fn select(&self, inventory: &Inventory, words: &[String]) -> Result<Vec<Host>> {
        let selected = Selection::parse(words).and_then(|selection| {
            let hosts = inventory.select(&selection)?;
            Ok(hosts.into_iter().cloned().collect::<Vec<_>>())
        });
        let hosts = selected.map_err(|error| self.select_error(error))?;
        if hosts.is_empty() {
            return Err(Error::message(Kind::NoHost, "no host is selected"));
        }
        Ok(hosts)
    }

    fn select_error(&self, error: SelectError) -> Error {
        let kind = if error.is_no_host() { Kind::NoHost } else { Kind::Usage };
        let hint = error.hint();
        let Some(word) = self.bare.as_deref() else { return Error::new(kind, error).hint(hint) };
        let neither = || Error::message(kind, format!("`{word}` is neither a command nor a host"));
        if let Some(helps) = super::aliases::instead(word) {
            return neither().hint(helps);
        }
        // A first word that is no host may have been meant for a command.
        let error = match &error {
            SelectError::UnknownHost { name, .. } if name.as_str() == word => neither(),
            _ => Error::new(kind, error),
        };
        let command = super::args::command();
        let commands = nearest(word, super::aliases::words(&command)).map_or_else(
            || "`hubctl --help` lists the commands".to_owned(),
            |meant| format!("there is a command `{meant}`; `hubctl --help` lists them all"),
        );
        error.hint(hint).hint(commands)
    }
}
