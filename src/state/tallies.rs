//! Deployments counted, without reading each of them.

use jiff::Timestamp;
use rusqlite::Row;

use super::db::{State, StateError};
use super::deployments::timestamp;
use crate::report::Outcome;

/// How often a host of a flake ended in one way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tally {
    /// The flake.
    pub flake: String,
    /// The host.
    pub host: String,
    /// The outcome.
    pub outcome: Outcome,
    /// How often.
    pub count: u64,
    /// How long all of these took, in milliseconds.
    pub duration_ms: u64,
    /// When the last of them began.
    pub last: Timestamp,
    /// How long that took, in milliseconds.
    pub last_ms: u64,
}

/// How often a command ended with one exit code.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RunTally {
    /// The flake.
    pub flake: String,
    /// The command.
    pub command: String,
    /// The exit code.
    pub exit: u8,
    /// How often.
    pub count: u64,
}

impl State {
    /// How often each host of each flake ended in which way.
    pub fn tallies(&self) -> Result<Vec<Tally>, StateError> {
        // Beside max(), the other columns are those of the row that has it.
        let select = "
            SELECT flake, host, outcome, count(*), total(duration_ms), max(started), duration_ms
            FROM deployment_host JOIN deployment ON id = deployment
            WHERE outcome IS NOT NULL GROUP BY flake, host, outcome ORDER BY flake, host, outcome";
        self.with(|connection| {
            let mut select = connection.prepare(select)?;
            let rows = select.query_map([], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows.into_iter().flatten().collect())
        })
    }

    /// How often each command ended with which exit code.
    pub fn run_tallies(&self) -> Result<Vec<RunTally>, StateError> {
        let select = "SELECT flake, command, exit, count(*) FROM deployment WHERE exit IS NOT NULL
                      GROUP BY flake, command, exit ORDER BY flake, command, exit";
        self.with(|connection| {
            let mut select = connection.prepare(select)?;
            let rows = select.query_map([], |row| {
                let count = number(row.get(3)?);
                Ok(RunTally { flake: row.get(0)?, command: row.get(1)?, exit: row.get(2)?, count })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// A row, unless a newer hubctl knows another outcome.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<Tally>> {
    let Ok(outcome) = row.get::<_, String>(2)?.parse() else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "a sum of whole milliseconds")]
    let duration_ms = number(row.get::<_, f64>(4)? as i64);
    Ok(Some(Tally {
        flake: row.get(0)?,
        host: row.get(1)?,
        outcome,
        count: number(row.get(3)?),
        duration_ms,
        last: timestamp(row.get(5)?),
        last_ms: number(row.get::<_, Option<i64>>(6)?.unwrap_or_default()),
    }))
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Deployment, HostRecord};
    use super::*;
    use crate::report::{HostFinished, samples};

    #[test]
    fn ends_are_counted_by_flake_host_and_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let ends = [(1, Outcome::Deployed, 100), (2, Outcome::BuildFailed, 10), (3, Outcome::Deployed, 300)];
        for (second, outcome, ms) in ends {
            let deployment = Deployment {
                id: format!("id-{second}"),
                command: "deploy".to_owned(),
                flake: "f".to_owned(),
                started: Timestamp::from_second(second).unwrap(),
                hosts: [("p620".to_owned(), HostRecord::default())].into(),
                ..Deployment::default()
            };
            state.begin(&deployment).unwrap();
            let ended: HostFinished = samples::end("p620", outcome, ms, None);
            state.host_finished(&deployment.id, &ended).unwrap();
            state.finish(&deployment.id, u8::from(outcome != Outcome::Deployed), deployment.started).unwrap();
        }
        let found = state.tallies().unwrap();
        let brief: Vec<_> = found
            .iter()
            .map(|one| (one.outcome, one.count, one.duration_ms, one.last.as_second(), one.last_ms))
            .collect();
        assert_eq!(brief, [(Outcome::BuildFailed, 1, 10, 2, 10), (Outcome::Deployed, 2, 400, 3, 300)]);
        let runs: Vec<_> = state.run_tallies().unwrap().iter().map(|run| (run.exit, run.count)).collect();
        assert_eq!(runs, [(0, 2), (1, 1)]);
    }
}
