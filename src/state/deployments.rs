//! Deployments: who did what to which hosts, and how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};
use serde::Serialize;

use super::db::{State, StateError};
use crate::fleet::HostName;
use crate::nix::StorePath;
use crate::report::{HostFinished, Outcome};

/// A run that was to change hosts.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Deployment {
    /// Its id, which sorts by time.
    pub id: String,
    /// The canonical command.
    pub command: String,
    /// What was to be reached.
    pub goal: String,
    /// The flake.
    pub flake: String,
    /// The commit, for a clean work tree.
    pub rev: Option<String>,
    /// Whether the work tree had changes that no commit has.
    pub dirty: bool,
    /// The tracked files that had such changes, where git tells them.
    pub dirty_files: Vec<String>,
    /// Who ran it, as `user@machine`.
    pub operator: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; none while it runs, and for one that was killed.
    pub finished: Option<Timestamp>,
    /// The exit code.
    pub exit: Option<u8>,
    /// The deployment that it resumes or takes back.
    pub follows: Option<String>,
    /// How it was wanted, as text for whoever resumes it; none where it cannot be resumed.
    #[serde(skip)]
    pub options: Option<String>,
    /// What became of each host.
    pub hosts: BTreeMap<String, HostRecord>,
}

/// What became of one host in a deployment.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostRecord {
    /// The number of its wave, from 1 on, where that is known.
    pub wave: Option<u64>,
    /// How it ended; none when the run was killed before.
    pub outcome: Option<Outcome>,
    /// How long its part took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What it ran before.
    pub old: Option<StorePath>,
    /// What the flake wanted.
    pub wanted: Option<StorePath>,
    /// The profile's generation afterwards.
    pub generation: Option<u64>,
    /// A sentence that says more than the outcome.
    pub detail: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Which deployments to list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Only those that this host took part in.
    pub host: Option<HostName>,
    /// Only the deployment with this id, or the only one that begins with it.
    pub id: Option<String>,
    /// Only those that began then or later.
    pub since: Option<Timestamp>,
    /// Only those that began before.
    pub until: Option<Timestamp>,
    /// Only those in which a host, or the one of this filter, ended in one of these ways; none among them for not at all.
    pub outcomes: Option<BTreeSet<Option<Outcome>>>,
    /// At most so many, newest first.
    pub limit: Option<u32>,
}

impl Deployment {
    /// How long it took, in milliseconds; none for one that has not ended.
    pub fn duration_ms(&self) -> Option<u64> {
        self.finished.map(|end| u64::try_from(end.as_millisecond() - self.started.as_millisecond()).unwrap_or_default())
    }
}

/// A new deployment's id: the time to the second, and enough chance that two runs at once differ.
pub fn new_id(now: Timestamp) -> String {
    let chance = RandomState::new().hash_one(std::process::id()) & 0xffff;
    format!("{}-{chance:04x}", now.strftime("%Y%m%d-%H%M%S"))
}

impl State {
    /// Writes down that a deployment began, with the hosts that it is for.
    pub fn begin(&self, deployment: &Deployment) -> Result<(), StateError> {
        self.with(|connection| insert(connection, deployment))
    }

    /// Writes down the source that a deployment is made from, once that is known.
    pub fn source(&self, id: &str, rev: Option<&str>, dirty: bool) -> Result<(), StateError> {
        let update = "UPDATE deployment SET rev = ?, dirty = ? WHERE id = ?";
        self.with(|connection| Ok(connection.execute(update, params![rev, dirty, id])?)).map(drop)
    }

    /// Writes down that a host is about to be changed from what it has to what it is to have.
    pub fn host_begun(&self, id: &str, host: &HostName, old: &StorePath, wanted: &StorePath) -> Result<(), StateError> {
        let update = "UPDATE deployment_host SET old = ?, wanted = ? WHERE deployment = ? AND host = ?";
        let values = params![old.as_str(), wanted.as_str(), id, host.as_str()];
        self.with(|connection| Ok(connection.execute(update, values)?)).map(drop)
    }

    /// Writes down how a host's part ended.
    pub fn host_finished(&self, id: &str, finished: &HostFinished) -> Result<(), StateError> {
        let update =
            "UPDATE deployment_host SET outcome = :outcome, duration_ms = :duration, old = :old, wanted = :wanted,
               generation = :generation, detail = :detail, error = :error
             WHERE deployment = :id AND host = :host";
        let values = named_params! {
            ":id": id, ":host": finished.host.as_str(), ":outcome": finished.outcome.as_str(),
            ":duration": i64::try_from(finished.duration_ms).unwrap_or(i64::MAX),
            ":old": finished.old.as_ref().map(StorePath::as_str),
            ":wanted": finished.wanted.as_ref().map(StorePath::as_str),
            ":generation": finished.generation.and_then(|number| i64::try_from(number).ok()),
            ":detail": finished.detail,
            ":error": finished.error.as_ref().map(|error| &error.message),
        };
        self.with(|connection| Ok(connection.execute(update, values)?)).map(drop)
    }

    /// Writes down that a deployment ended.
    pub fn finish(&self, id: &str, exit: u8, now: Timestamp) -> Result<(), StateError> {
        let update = "UPDATE deployment SET finished = ?, exit = ? WHERE id = ?";
        self.with(|connection| Ok(connection.execute(update, params![now.as_millisecond(), exit, id])?)).map(drop)
    }

    /// The deployments that `filter` lets through, newest first, with all their hosts.
    pub fn deployments(&self, filter: &Filter) -> Result<Vec<Deployment>, StateError> {
        self.with(|connection| select(connection, filter))
    }

    /// Remembers the Nix system of a flake's host, as evaluated.
    pub fn remember_system(&self, flake: &str, host: &HostName, system: &str) -> Result<(), StateError> {
        let insert = "INSERT INTO host_system (flake, host, system) VALUES (?, ?, ?)
                      ON CONFLICT DO UPDATE SET system = excluded.system WHERE system <> excluded.system";
        self.with(|connection| Ok(connection.execute(insert, params![flake, host.as_str(), system])?)).map(drop)
    }

    /// The hosts of a flake that were ever evaluated, also those that it may not have any more.
    pub fn hosts_of(&self, flake: &str) -> Result<Vec<String>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare("SELECT host FROM host_system WHERE flake = ? ORDER BY host")?;
            let names = select.query_map(params![flake], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Remembers how long a host's system took to build, of which something was built. Its system is known by then.
    pub fn remember_build_time(&self, flake: &str, host: &HostName, duration_ms: u64) -> Result<(), StateError> {
        let update = "UPDATE host_system SET build_ms = ? WHERE flake = ? AND host = ?";
        let duration_ms = i64::try_from(duration_ms).unwrap_or(i64::MAX);
        self.with(|connection| Ok(connection.execute(update, params![duration_ms, flake, host.as_str()])?)).map(drop)
    }

    /// How long a host's system took to build when something of it was built last, in milliseconds.
    pub fn build_time_of(&self, flake: &str, host: &HostName) -> Result<Option<u64>, StateError> {
        let select = "SELECT build_ms FROM host_system WHERE flake = ? AND host = ?";
        let key = params![flake, host.as_str()];
        let found = self.with(|connection| Ok(connection.query_row(select, key, |row| row.get(0)).optional()?))?;
        Ok(found.flatten().and_then(|duration_ms: i64| u64::try_from(duration_ms).ok()))
    }

    /// The Nix system that a flake's host had when it was last evaluated.
    pub fn system_of(&self, flake: &str, host: &HostName) -> Result<Option<String>, StateError> {
        let select = "SELECT system FROM host_system WHERE flake = ? AND host = ?";
        let key = params![flake, host.as_str()];
        self.with(|connection| Ok(connection.query_row(select, key, |row| row.get(0)).optional()?))
    }
}

fn insert(connection: &mut Connection, deployment: &Deployment) -> Result<(), StateError> {
    let transaction = connection.transaction()?;
    transaction.execute(
        "INSERT INTO deployment (id, command, goal, flake, rev, dirty, operator, started, options, follows, dirty_files)
         VALUES (:id, :command, :goal, :flake, :rev, :dirty, :operator, :started, :options, :follows, :dirty_files)",
        named_params! {
            ":id": deployment.id, ":command": deployment.command, ":goal": deployment.goal,
            ":flake": deployment.flake, ":rev": deployment.rev, ":dirty": deployment.dirty,
            ":operator": deployment.operator, ":started": deployment.started.as_millisecond(),
            ":options": deployment.options, ":follows": deployment.follows,
            ":dirty_files": serde_json::to_string(&deployment.dirty_files).ok(),
        },
    )?;
    for (host, record) in &deployment.hosts {
        let insert = "INSERT INTO deployment_host (deployment, host, wave) VALUES (?, ?, ?)";
        let wave = record.wave.and_then(|wave| i64::try_from(wave).ok());
        transaction.execute(insert, params![deployment.id, host, wave])?;
    }
    transaction.commit()?;
    Ok(())
}

fn select(connection: &Connection, filter: &Filter) -> Result<Vec<Deployment>, StateError> {
    let mut select = connection.prepare(
        "SELECT id, command, goal, flake, rev, dirty, operator, started, finished, exit, options, follows, dirty_files
         FROM deployment
         WHERE (:host IS NULL OR id IN (SELECT deployment FROM deployment_host WHERE host = :host))
           AND (:id IS NULL OR substr(id, 1, length(:id)) = :id)
           AND started >= coalesce(:since, started) AND started < coalesce(:until, started + 1)
           AND (:outcomes IS NULL OR id IN (
             SELECT deployment FROM deployment_host
             WHERE (:host IS NULL OR host = :host) AND ifnull(outcome, '') IN (SELECT value FROM json_each(:outcomes))))
         ORDER BY started DESC, id DESC LIMIT :limit",
    )?;
    let named = named_params! {
        ":host": filter.host.as_ref().map(HostName::as_str), ":id": filter.id,
        ":since": filter.since.map(Timestamp::as_millisecond), ":until": filter.until.map(Timestamp::as_millisecond),
        ":outcomes": filter.outcomes.as_ref().map(names_of), ":limit": filter.limit.map_or(-1, i64::from),
    };
    let mut found = select.query_map(named, read_deployment)?.collect::<Result<Vec<_>, _>>()?;
    let mut hosts = connection.prepare(
        "SELECT host, outcome, duration_ms, old, wanted, generation, detail, error, wave FROM deployment_host
         WHERE deployment = ?",
    )?;
    for deployment in &mut found {
        let rows = hosts.query_map([&deployment.id], read_host)?;
        deployment.hosts = rows.collect::<Result<_, _>>()?;
    }
    Ok(found)
}

/// Outcomes as a JSON array of their names, with an empty one for none.
fn names_of(outcomes: &BTreeSet<Option<Outcome>>) -> String {
    let names = outcomes.iter().map(|outcome| outcome.map_or("", Outcome::as_str));
    names.collect::<serde_json::Value>().to_string()
}

pub(super) fn timestamp(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn read_deployment(row: &Row<'_>) -> rusqlite::Result<Deployment> {
    Ok(Deployment {
        id: row.get(0)?,
        command: row.get(1)?,
        goal: row.get(2)?,
        flake: row.get(3)?,
        rev: row.get(4)?,
        dirty: row.get(5)?,
        operator: row.get(6)?,
        started: timestamp(row.get(7)?),
        finished: row.get::<_, Option<i64>>(8)?.map(timestamp),
        exit: row.get(9)?,
        options: row.get(10)?,
        follows: row.get(11)?,
        dirty_files: row
            .get::<_, Option<String>>(12)?
            .and_then(|files| serde_json::from_str(&files).ok())
            .unwrap_or_default(),
        hosts: BTreeMap::new(),
    })
}

fn read_host(row: &Row<'_>) -> rusqlite::Result<(String, HostRecord)> {
    let path = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let record = HostRecord {
        outcome: row.get::<_, Option<String>>(1)?.and_then(|word| word.parse().ok()),
        duration_ms: number(row.get(2)?),
        old: path(row.get(3)?),
        wanted: path(row.get(4)?),
        generation: number(row.get(5)?),
        detail: row.get(6)?,
        error: row.get(7)?,
        wave: number(row.get(8)?),
    };
    Ok((row.get(0)?, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn deployment(second: i64, hosts: &[&str]) -> Deployment {
        let started = Timestamp::from_second(second).unwrap();
        let record = HostRecord { wave: Some(2), ..HostRecord::default() };
        Deployment {
            id: new_id(started),
            command: "quick-deploy".to_owned(),
            goal: "switch".to_owned(),
            flake: "/hub".to_owned(),
            dirty: true,
            dirty_files: vec!["flake.nix".to_owned()],
            operator: "me@here".to_owned(),
            started,
            options: Some("{}".to_owned()),
            hosts: hosts.iter().map(|host| ((*host).to_owned(), record.clone())).collect(),
            ..Deployment::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let first = deployment(1_000_000, &["p620", "p510"]);
        let second = Deployment { follows: Some(first.id.clone()), ..deployment(2_000_000, &["p510"]) };
        state.begin(&first).unwrap();
        state.begin(&second).unwrap();
        let finished = HostFinished { generation: Some(7), ..samples::end("p620", Outcome::Deployed, 1234, None) };
        state.host_finished(&first.id, &finished).unwrap();
        state.finish(&first.id, 0, Timestamp::from_second(1_000_003).unwrap()).unwrap();

        let all = state.deployments(&Filter::default()).unwrap();
        assert_eq!(all.iter().map(|one| &one.id).collect::<Vec<_>>(), [&second.id, &first.id]);
        assert_eq!(all[1].hosts["p620"].outcome, Some(Outcome::Deployed));
        assert_eq!(all[1].hosts["p510"].outcome, None);
        assert_eq!(all[1].exit, Some(0));
        assert_eq!((all[0].follows.as_ref(), all[1].options.as_deref()), (Some(&first.id), Some("{}")));
        assert_eq!(all[1].hosts["p620"].wave, Some(2));

        let of_host = Filter { host: Some("p620".parse().unwrap()), ..Filter::default() };
        assert_eq!(state.deployments(&of_host).unwrap().len(), 1);
        assert_eq!(all[0].dirty_files, ["flake.nix"]);

        let count = |filter: Filter| state.deployments(&filter).unwrap().len();
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        assert_eq!(count(Filter { since: at(2_000_000), ..Filter::default() }), 1);
        assert_eq!(count(Filter { until: at(2_000_000), ..Filter::default() }), 1);
        assert_eq!(count(Filter { since: at(1), until: at(3_000_000), ..Filter::default() }), 2);
        let ended = |outcome| Some(BTreeSet::from([outcome]));
        assert_eq!(count(Filter { outcomes: ended(Some(Outcome::Deployed)), ..Filter::default() }), 1);
        assert_eq!(count(Filter { outcomes: ended(Some(Outcome::Unknown)), ..Filter::default() }), 0);
        assert_eq!(count(Filter { outcomes: ended(None), ..Filter::default() }), 2);
        // With a host, it is its own end that counts.
        assert_eq!(count(Filter { outcomes: ended(None), ..of_host }), 0);
        let by_id = Filter { id: Some(second.id[..8].to_owned()), ..Filter::default() };
        assert_eq!(state.deployments(&by_id).unwrap()[0].id, second.id);
    }
    #[test]
    fn what_a_host_was_built_for_and_how_long_that_took_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let host = "p620".parse().unwrap();
        assert_eq!((state.system_of("f", &host).unwrap(), state.build_time_of("f", &host).unwrap()), (None, None));
        state.remember_system("f", &host, "x86_64-linux").unwrap();
        assert_eq!(state.build_time_of("f", &host).unwrap(), None);
        state.remember_build_time("f", &host, 7).unwrap();
        state.remember_system("f", &host, "aarch64-linux").unwrap();
        assert_eq!(state.system_of("f", &host).unwrap().as_deref(), Some("aarch64-linux"));
        assert_eq!(state.build_time_of("f", &host).unwrap(), Some(7));
        assert_eq!(state.build_time_of("other", &host).unwrap(), None);
    }
}
