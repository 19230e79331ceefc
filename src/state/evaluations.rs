//! Evaluations: their answers, what they were read from, and what they cost.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::db::{State, StateError};
use crate::nix::{Conditions, Footprint, Source};

/// How many answers to one question are kept: branches that are switched between find theirs again, and a tree with a
/// revision and one without find what shows that it makes no difference.
const KEPT: u32 = 24;

/// How many sources are kept.
const SOURCES_KEPT: u32 = 64;

/// A question, and all that its answer depends on beside the source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Asked {
    /// The flake and the question to it.
    pub subject: String,
    /// A hash of all that Nix goes by beside the source.
    pub settings: String,
}

/// An answer that was found, and the conditions under which it holds.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number.
    pub id: i64,
    /// The conditions.
    pub conditions: Conditions,
    /// The answer, as JSON.
    pub answer: String,
    /// Why it was evaluated then.
    pub reason: String,
    /// What that cost.
    pub cost: Cost,
    /// When it was found.
    pub made: Timestamp,
}

/// An answer that was just found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The conditions under which it holds.
    pub conditions: &'a Conditions,
    /// The answer, as JSON.
    pub answer: &'a str,
    /// Why it was evaluated.
    pub reason: &'a str,
    /// What that cost.
    pub cost: Cost,
}

/// The columns of an answer, in the order in which they are read.
const COLUMNS: &str =
    "e.id, e.identity, e.revision, e.shape, e.footprint, e.answer, e.reason, e.duration_ms, e.peak_kib, e.made";

/// What an evaluation cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// In milliseconds.
    pub duration_ms: u64,
    /// The most memory that Nix had, in KiB.
    pub peak_kib: Option<u64>,
}

impl State {
    /// The source that was locked from the work tree in this state.
    pub fn source_of(&self, fingerprint: &str) -> Result<Option<Source>, StateError> {
        let select = "SELECT source FROM source WHERE fingerprint = ?";
        let found: Option<String> =
            self.with(|connection| Ok(connection.query_row(select, [fingerprint], |row| row.get(0)).optional()?))?;
        // What another version wrote in another form is as good as nothing.
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Remembers the source that was locked from the work tree in this state.
    pub fn remember_source(&self, fingerprint: &str, source: &Source, now: Timestamp) -> Result<(), StateError> {
        let Ok(text) = serde_json::to_string(source) else { return Ok(()) };
        let insert = "INSERT INTO source (fingerprint, source, used) VALUES (?, ?, ?)
                      ON CONFLICT DO UPDATE SET source = excluded.source, used = excluded.used";
        let prune = "DELETE FROM source WHERE fingerprint NOT IN
                     (SELECT fingerprint FROM source ORDER BY used DESC LIMIT ?)";
        self.with(|connection| {
            connection.execute(insert, params![fingerprint, text, now.as_millisecond()])?;
            connection.execute(prune, [SOURCES_KEPT])?;
            Ok(())
        })
    }

    /// The answer that was found to hold for the source of this identity.
    pub fn held(&self, asked: &Asked, identity: &str) -> Result<Option<Kept>, StateError> {
        let select = format!(
            "SELECT {COLUMNS} FROM evaluation_holds h JOIN evaluation e ON e.id = h.evaluation
             WHERE h.subject = ? AND h.settings = ? AND h.identity = ?"
        );
        let key = params![asked.subject, asked.settings, identity];
        let found = self.with(|connection| Ok(connection.query_row(&select, key, read).optional()?))?;
        Ok(found.flatten())
    }

    /// All answers to a question, newest first.
    pub fn kept(&self, asked: &Asked) -> Result<Vec<Kept>, StateError> {
        let select = format!(
            "SELECT {COLUMNS} FROM evaluation e WHERE e.subject = ? AND e.settings = ? ORDER BY e.made DESC, e.id DESC"
        );
        self.with(|connection| {
            let mut select = connection.prepare(&select)?;
            let rows = select.query_map(params![asked.subject, asked.settings], read)?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        })
    }

    /// Remembers that an answer holds for another source.
    pub fn remember_holds(&self, asked: &Asked, identity: &str, evaluation: i64) -> Result<(), StateError> {
        let values = params![asked.subject, asked.settings, identity, evaluation];
        self.with(|connection| Ok(connection.execute(INSERT_HOLDS, values)?)).map(drop)
    }

    /// Remembers an answer.
    pub fn remember_evaluation(&self, asked: &Asked, found: Found<'_>, now: Timestamp) -> Result<(), StateError> {
        let Ok(footprint) = serde_json::to_string(&found.conditions.footprint) else { return Ok(()) };
        self.with(|connection| insert(connection, asked, &found, &footprint, now))
    }

    /// What the last evaluation of a question cost, whatever it was read from.
    pub fn last_cost(&self, subject: &str) -> Result<Option<Cost>, StateError> {
        let select =
            "SELECT duration_ms, peak_kib FROM evaluation WHERE subject = ? ORDER BY made DESC, id DESC LIMIT 1";
        self.with(|connection| Ok(connection.query_row(select, [subject], |row| read_cost(row, 0)).optional()?))
    }

    /// What is kept of the cost of evaluating the systems of a flake, by host and oldest first.
    pub fn evaluation_costs(&self, flake: &str) -> Result<BTreeMap<String, Vec<Cost>>, StateError> {
        let select = "SELECT subject, duration_ms, peak_kib FROM evaluation
                      WHERE substr(subject, 1, length(:flake)) = :flake ORDER BY made, id";
        // As the evaluator writes the subject of a question.
        let flake = format!("{flake} # ");
        self.with(|connection| {
            let mut select = connection.prepare(select)?;
            let rows = select.query_map(named_params! { ":flake": flake }, |row| {
                Ok((row.get::<_, String>(0)?, read_cost(row, 1)?))
            })?;
            let mut found = BTreeMap::<_, Vec<_>>::new();
            for row in rows {
                let (subject, cost) = row?;
                // Other questions are not about a host.
                if let Some(host) = subject[flake.len()..].split('"').nth(1) {
                    found.entry(host.to_owned()).or_default().push(cost);
                }
            }
            Ok(found)
        })
    }

    /// How many answers and sources are kept.
    pub fn evaluation_counts(&self) -> Result<(u64, u64), StateError> {
        let count = |table: &str| {
            let select = format!("SELECT count(*) FROM {table}");
            let counted = self.with(|connection| Ok(connection.query_row(&select, [], |row| row.get::<_, i64>(0))?))?;
            Ok::<_, StateError>(u64::try_from(counted).unwrap_or_default())
        };
        Ok((count("evaluation")?, count("source")?))
    }

    /// Forgets all answers and sources.
    pub fn clear_evaluations(&self) -> Result<(), StateError> {
        let clear = "DELETE FROM evaluation_holds; DELETE FROM evaluation; DELETE FROM source;";
        self.with(|connection| Ok(connection.execute_batch(clear)?))
    }

    /// Forgets one answer.
    pub fn forget_evaluation(&self, id: i64) -> Result<(), StateError> {
        self.with(|connection| Ok(connection.execute("DELETE FROM evaluation WHERE id = ?", [id])?)).map(drop)
    }
}

const INSERT_HOLDS: &str = "INSERT INTO evaluation_holds (subject, settings, identity, evaluation) VALUES (?, ?, ?, ?)
                            ON CONFLICT DO UPDATE SET evaluation = excluded.evaluation";

fn insert(
    connection: &mut Connection,
    asked: &Asked,
    found: &Found<'_>,
    footprint: &str,
    now: Timestamp,
) -> Result<(), StateError> {
    let Found { conditions, answer, reason, cost } = found;
    let transaction = connection.transaction()?;
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    transaction.execute(
        "INSERT INTO evaluation
           (subject, settings, identity, revision, shape, footprint, answer, reason, duration_ms, peak_kib, made)
         VALUES
           (:subject, :settings, :identity, :revision, :shape, :footprint, :answer, :reason, :duration, :peak, :made)",
        named_params! {
            ":subject": asked.subject, ":settings": asked.settings, ":identity": conditions.identity,
            ":revision": conditions.revision,
            ":shape": conditions.shape, ":footprint": footprint, ":answer": answer, ":reason": reason,
            ":duration": number(cost.duration_ms), ":peak": cost.peak_kib.map(number), ":made": now.as_millisecond(),
        },
    )?;
    let id = transaction.last_insert_rowid();
    transaction.execute(INSERT_HOLDS, params![asked.subject, asked.settings, conditions.identity, id])?;
    transaction.execute(
        "DELETE FROM evaluation WHERE subject = :subject AND id NOT IN
           (SELECT id FROM evaluation WHERE subject = :subject ORDER BY made DESC, id DESC LIMIT :kept)",
        named_params! { ":subject": asked.subject, ":kept": KEPT },
    )?;
    transaction.commit()?;
    Ok(())
}

/// Reads what an evaluation cost, from the columns at `at`.
fn read_cost(row: &Row<'_>, at: usize) -> rusqlite::Result<Cost> {
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    Ok(Cost { duration_ms: number(row.get(at)?), peak_kib: row.get::<_, Option<i64>>(at + 1)?.map(number) })
}

/// Reads an answer; none where its footprint is in the form of another version.
fn read(row: &Row<'_>) -> rusqlite::Result<Option<Kept>> {
    let footprint: String = row.get(4)?;
    let Ok(footprint) = serde_json::from_str::<Footprint>(&footprint) else { return Ok(None) };
    Ok(Some(Kept {
        id: row.get(0)?,
        conditions: Conditions { identity: row.get(1)?, revision: row.get(2)?, shape: row.get(3)?, footprint },
        answer: row.get(5)?,
        reason: row.get(6)?,
        cost: read_cost(row, 7)?,
        made: Timestamp::from_millisecond(row.get(9)?).unwrap_or(Timestamp::UNIX_EPOCH),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(subject: &str) -> Asked {
        Asked { subject: subject.to_owned(), settings: "s".to_owned() }
    }

    fn conditions(identity: &str) -> Conditions {
        let footprint = Footprint::Files([("flake.nix".to_owned(), "1".to_owned())].into());
        Conditions { identity: identity.to_owned(), revision: true, shape: "1".to_owned(), footprint }
    }

    #[test]
    fn answers_are_found_again_and_the_oldest_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let cost = Cost { duration_ms: 7, peak_kib: Some(9) };
        for n in 0..i64::from(KEPT) + 3 {
            let now = Timestamp::from_second(n).unwrap();
            let (conditions, answer) = (conditions(&n.to_string()), n.to_string());
            let found = Found { conditions: &conditions, answer: &answer, reason: "first", cost };
            state.remember_evaluation(&asked("a"), found, now).unwrap();
        }
        let found = Found { conditions: &conditions("1"), answer: "b", reason: "first", cost };
        state.remember_evaluation(&asked("b"), found, Timestamp::UNIX_EPOCH).unwrap();
        let kept = state.kept(&asked("a")).unwrap();
        assert_eq!(kept.len(), KEPT as usize);
        assert_eq!(kept[0].answer, (KEPT + 2).to_string());
        assert!(state.held(&asked("a"), "0").unwrap().is_none());
        assert_eq!(state.held(&asked("b"), "1").unwrap().unwrap().answer, "b");

        state.remember_holds(&asked("a"), "other", kept[1].id).unwrap();
        assert_eq!(state.held(&asked("a"), "other").unwrap().unwrap().id, kept[1].id);
        state.forget_evaluation(kept[1].id).unwrap();
        assert!(state.held(&asked("a"), "other").unwrap().is_none());
        assert_eq!(state.last_cost("a").unwrap().unwrap().peak_kib, Some(9));
        for subject in ["f # nixosConfigurations.\"p620\".config | x", "f # nixosConfigurations | y", "g # n.\"p510\""]
        {
            let found = Found { conditions: &conditions("1"), answer: "b", reason: "first", cost };
            state.remember_evaluation(&asked(subject), found, Timestamp::UNIX_EPOCH).unwrap();
        }
        let costs = state.evaluation_costs("f").unwrap();
        assert_eq!(costs.iter().map(|(host, costs)| (host.as_str(), costs.len())).collect::<Vec<_>>(), [("p620", 1)]);
        state.clear_evaluations().unwrap();
        assert_eq!(state.evaluation_counts().unwrap(), (0, 0));
    }
}
