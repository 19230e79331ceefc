//! Which flakes' sources were pointed out for their size, so that nobody hears of it with every run.

use rusqlite::{OptionalExtension as _, params};

use super::db::{State, StateError};
use crate::nix::Weight;

impl State {
    /// How large a flake's source was when that was last pointed out.
    pub fn told_weight(&self, flake: &str) -> Result<Option<Weight>, StateError> {
        let select = "SELECT files, bytes FROM ballast WHERE flake = ?";
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        self.with(|connection| {
            let read = |row: &rusqlite::Row<'_>| Ok(Weight { files: number(row.get(0)?), bytes: number(row.get(1)?) });
            Ok(connection.query_row(select, [flake], read).optional()?)
        })
    }

    /// Remembers how large a flake's source is that was pointed out, or that it is not large any more.
    pub fn remember_weight(&self, flake: &str, weight: Option<Weight>) -> Result<(), StateError> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let insert = "INSERT INTO ballast (flake, files, bytes) VALUES (?, ?, ?)
                      ON CONFLICT DO UPDATE SET files = excluded.files, bytes = excluded.bytes";
        self.with(|connection| {
            match weight {
                Some(Weight { files, bytes }) => {
                    connection.execute(insert, params![flake, number(files), number(bytes)])
                }
                None => connection.execute("DELETE FROM ballast WHERE flake = ?", [flake]),
            }?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_of_a_flake_is_known_until_it_is_small() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        assert_eq!(state.told_weight("/hub").unwrap(), None);
        for files in [1, 2] {
            let weight = Some(Weight { files, bytes: 9 });
            state.remember_weight("/hub", weight).unwrap();
            assert_eq!(state.told_weight("/hub").unwrap(), weight);
        }
        assert_eq!(state.told_weight("/other").unwrap(), None);
        state.remember_weight("/hub", None).unwrap();
        assert_eq!(state.told_weight("/hub").unwrap(), None);
    }
}
