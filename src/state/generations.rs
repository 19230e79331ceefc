//! The generations that were removed from hosts, so that nobody is offered them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::db::{State, StateError};
use super::deployments::timestamp;
use crate::fleet::HostName;

impl State {
    /// Remembers that generations of a flake's host were removed `now`.
    pub fn remember_removed(
        &self,
        flake: &str,
        host: &HostName,
        numbers: &[u64],
        now: Timestamp,
    ) -> Result<(), StateError> {
        let insert = "INSERT INTO removed_generation (flake, host, number, at) VALUES (?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET at = excluded.at";
        self.with(|connection| {
            for number in numbers {
                let number = i64::try_from(*number).unwrap_or(i64::MAX);
                connection.execute(insert, params![flake, host.as_str(), number, now.as_millisecond()])?;
            }
            Ok(())
        })
    }

    /// When generations of a flake's hosts were removed, by host and number.
    pub fn removed_of(&self, flake: &str) -> Result<BTreeMap<(String, u64), Timestamp>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare("SELECT host, number, at FROM removed_generation WHERE flake = ?")?;
            let rows = select.query_map([flake], |row| {
                let number = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
                Ok(((row.get::<_, String>(0)?, number), timestamp(row.get(2)?)))
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_was_removed_when_that_happened_last() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let (host, at) = ("p620".parse().unwrap(), |second| Timestamp::from_second(second).unwrap());
        state.remember_removed("f", &host, &[2, 3], at(1)).unwrap();
        state.remember_removed("f", &host, &[3], at(5)).unwrap();
        let wanted = [(("p620".to_owned(), 2), at(1)), (("p620".to_owned(), 3), at(5))];
        assert_eq!(state.removed_of("f").unwrap(), BTreeMap::from(wanted));
        assert_eq!(state.removed_of("g").unwrap(), BTreeMap::new());
    }
}
