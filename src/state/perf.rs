//! What measurements are compared with.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::db::{State, StateError};
use crate::plan::Measured;

impl State {
    /// What was measured of a flake's hosts to compare with, and when.
    pub fn perf_baseline(&self, flake: &str) -> Result<Option<(Measured, Timestamp)>, StateError> {
        let select = "SELECT measured, made_at FROM perf_baseline WHERE flake = ?";
        let found: Option<(String, i64)> = self.with(|connection| {
            Ok(connection.query_row(select, [flake], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
        })?;
        // What another version wrote in another form is as good as nothing.
        Ok(found.and_then(|(text, at)| Some((serde_json::from_str(&text).ok()?, Timestamp::from_second(at).ok()?))))
    }

    /// Keeps measurements to compare later ones with, in place of what was kept of the same hosts.
    pub fn keep_perf_baseline(&self, flake: &str, measured: &Measured, at: Timestamp) -> Result<(), StateError> {
        let mut all = self.perf_baseline(flake)?.map(|(known, _)| known).unwrap_or_default();
        for (host, measures) in measured {
            all.entry(host.clone())
                .or_default()
                .extend(measures.iter().map(|(what, samples)| (*what, samples.clone())));
        }
        // Its keys are texts and its numbers finite, so that it has a form as JSON.
        let text = serde_json::to_string(&all).unwrap_or_default();
        let insert = "INSERT INTO perf_baseline (flake, measured, made_at) VALUES (?, ?, ?)
                      ON CONFLICT DO UPDATE SET measured = excluded.measured, made_at = excluded.made_at";
        self.with(|connection| {
            connection.execute(insert, params![flake, text, at.as_second()])?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Measure;

    #[test]
    fn what_is_measured_anew_takes_the_place_of_what_was() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        assert!(state.perf_baseline("hub").unwrap().is_none());
        let of = |host: &str, measure, samples: &[f64]| {
            Measured::from([(host.to_owned(), [(measure, samples.to_vec())].into())])
        };
        let at = Timestamp::from_second(1_790_000_000).unwrap();
        state.keep_perf_baseline("hub", &of("p620", Measure::Evaluation, &[1.0, 2.0]), at).unwrap();
        state.keep_perf_baseline("hub", &of("p620", Measure::Closure, &[7.0]), at).unwrap();
        state.keep_perf_baseline("hub", &of("p510", Measure::Closure, &[8.0]), at).unwrap();
        state.keep_perf_baseline("hub", &of("p620", Measure::Closure, &[9.0]), at).unwrap();
        let (kept, made) = state.perf_baseline("hub").unwrap().unwrap();
        assert_eq!((kept["p620"][&Measure::Evaluation].as_slice(), made), (&[1.0, 2.0][..], at));
        assert_eq!((kept["p620"][&Measure::Closure][0], kept["p510"][&Measure::Closure][0]), (9.0, 8.0));
        assert!(state.perf_baseline("other").unwrap().is_none());
    }
}
