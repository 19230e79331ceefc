//! The machines that hosts were when they were deployed to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::db::{State, StateError};
use super::deployments::timestamp;
use crate::fleet::HostName;
use crate::plan::KnownMachine;

impl State {
    /// Remembers which machine a flake's host is `now`, by its machine id.
    pub fn remember_machine(
        &self,
        flake: &str,
        host: &HostName,
        machine: &str,
        now: Timestamp,
    ) -> Result<(), StateError> {
        let insert = "INSERT INTO machine (flake, host, machine, since) VALUES (?, ?, ?, ?)
                      ON CONFLICT DO UPDATE SET machine = excluded.machine, since = excluded.since
                      WHERE machine <> excluded.machine";
        let row = params![flake, host.as_str(), machine, now.as_millisecond()];
        self.with(|connection| Ok(connection.execute(insert, row)?)).map(drop)
    }

    /// The machines that a flake's hosts were when they were deployed to last.
    pub fn machines_of(&self, flake: &str) -> Result<BTreeMap<HostName, KnownMachine>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare("SELECT host, machine, since FROM machine WHERE flake = ?")?;
            let rows = select.query_map([flake], |row| {
                let machine = KnownMachine { id: row.get(1)?, since: timestamp(row.get(2)?) };
                Ok((row.get::<_, String>(0)?, machine))
            })?;
            let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows.into_iter().filter_map(|(host, machine)| Some((host.parse().ok()?, machine))).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_since_it_was_seen_first() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let host = "p620".parse().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let known = || state.machines_of("f").unwrap().remove(&host).map(|known| (known.id, known.since));
        assert_eq!(known(), None);
        for (machine, second, since) in [("a", 1, 1), ("a", 2, 1), ("b", 3, 3)] {
            state.remember_machine("f", &host, machine, at(second)).unwrap();
            assert_eq!(known(), Some((machine.to_owned(), at(since))));
        }
        assert_eq!(state.machines_of("g").unwrap().len(), 0);
    }
}
