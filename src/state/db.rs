//! The database: opened, brought to the schema of this version, and set aside when it cannot be used.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

/// One step from each version of the schema to the next. Append, never change.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
];

/// How long to wait for another hubctl that writes.
const BUSY: Duration = Duration::from_secs(10);

/// Why the state could not be read or written. The messages are whole: what `SQLite` gives as its errors' causes says the
/// same once more.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// `SQLite` says no.
    #[error("the state database failed: {0}")]
    Database(rusqlite::Error),
    /// The file system says no.
    #[error("{} cannot be used: {_1}", .0.display())]
    Io(PathBuf, io::Error),
    /// A newer hubctl wrote it.
    #[error("the state database has schema {found}, newer than this hubctl's {known}")]
    Newer {
        /// The schema's version in the file.
        found: usize,
        /// The newest version that this hubctl knows.
        known: usize,
    },
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl StateError {
    /// Whether the file itself is at fault, so that setting it aside helps.
    fn is_unusable_file(&self) -> bool {
        match self {
            Self::Newer { .. } => true,
            Self::Database(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            }
            Self::Io(..) => false,
        }
    }
}

/// What hubctl remembers between runs. Any number of processes may have it open.
///
/// A file that is damaged, or that a newer hubctl wrote, is set aside and a new one begun; where nothing can be written, this
/// run's state is forgotten at its end. Both are said through `warn` and never end a run.
pub struct State {
    connection: Mutex<Connection>,
    /// The file; none where nothing can be written.
    path: Option<PathBuf>,
    warn: Box<dyn Fn(&str) + Send + Sync>,
}

impl State {
    /// Opens the database at `path`, or makes it.
    pub fn open(path: &Path, warn: impl Fn(&str) + Send + Sync + 'static) -> Result<Self, StateError> {
        let (connection, path) = match open_file(path) {
            Ok(connection) => (connection, Some(path.to_path_buf())),
            Err(error) if error.is_unusable_file() => (begin_anew(path, &error, &warn)?, Some(path.to_path_buf())),
            Err(error) => {
                warn(&format!("{error}; this run leaves no history"));
                (in_memory()?, None)
            }
        };
        Ok(Self { connection: Mutex::new(connection), path, warn: Box::new(warn) })
    }

    /// Reads or writes. Damage seldom shows before it is read: a file that turns out unusable is set aside even now, and
    /// `work` done with a new one.
    pub(super) fn with<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        // A panic while the lock was held leaves SQLite's own transaction to be rolled back, so the connection is sound.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let (error, path) = match (work(&mut connection), &self.path) {
            (Err(error), Some(path)) if error.is_unusable_file() => (error, path),
            (ended, _) => return ended,
        };
        // The old file is closed before the new one is made: closing removes the files beside it by their names.
        *connection = in_memory()?;
        *connection = begin_anew(path, &error, &self.warn)?;
        work(&mut connection)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("path", &self.path).finish_non_exhaustive()
    }
}

fn in_memory() -> Result<Connection, StateError> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Sets the file aside for `error`, and makes a new one.
fn begin_anew(path: &Path, error: &StateError, warn: impl Fn(&str)) -> Result<Connection, StateError> {
    let aside = set_aside(path).map_err(|io| StateError::Io(path.to_path_buf(), io))?;
    let connection = open_file(path)?;
    warn(&format!("{error}; it was set aside as {} and a new one begun", aside.display()));
    Ok(connection)
}

fn open_file(path: &Path) -> Result<Connection, StateError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| StateError::Io(directory.to_path_buf(), error))?;
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    refuse_newer(schema_version(&connection)?)?;
    write_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Has the journal kept as a write-ahead log. Of processes that make a database at the same time, `SQLite` tells all but one that it
/// is busy, at once: its time limit for that does not hold here. Source: <https://sqlite.org/c3ref/busy_handler.html>.
fn write_ahead(connection: &Connection) -> Result<(), rusqlite::Error> {
    let begun = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && begun.elapsed() < BUSY => {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended => return ended,
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StateError> {
    // The common case takes no lock.
    if schema_version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    // Another process may be at the same; the one that comes second finds the work done.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version = schema_version(&transaction)?;
    refuse_newer(version)?;
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or_default())?;
    transaction.commit()?;
    Ok(())
}

/// Nothing is written to a database of a newer hubctl, not even how its journal is kept.
fn refuse_newer(version: usize) -> Result<(), StateError> {
    let known = MIGRATIONS.len();
    if version > known { Err(StateError::Newer { found: version, known }) } else { Ok(()) }
}

fn schema_version(connection: &Connection) -> Result<usize, StateError> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    // A negative version was written by no hubctl; it counts as newer than any.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

/// Renames the database and what belongs to it.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let with = |suffix: &str, end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.push(end);
        PathBuf::from(name)
    };
    let aside = with("", &format!(".aside-{stamp}"));
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        match fs::rename(with(suffix, ""), with(&format!(".aside-{stamp}"), suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::Filter;

    /// Opens the database, and gives the warnings that come with it and later.
    fn open(path: &Path) -> (State, Arc<Mutex<Vec<String>>>) {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let told = warnings.clone();
        let state = State::open(path, move |text| told.lock().unwrap().push(text.to_owned())).unwrap();
        (state, warnings)
    }

    fn count(state: &State) -> usize {
        state.deployments(&Filter::default()).unwrap().len()
    }

    fn aside(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_string_lossy().contains(".aside-")).collect()
    }

    #[test]
    fn those_that_make_it_at_the_same_time_all_have_it() {
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("state.db");
            let begin = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        begin.wait();
                        let (state, warnings) = open(&path);
                        assert_eq!(*warnings.lock().unwrap(), [""; 0]);
                        assert_eq!(count(&state), 0);
                    });
                }
            });
        }
    }

    #[test]
    fn an_open_database_is_opened_again_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hubctl/state.db");
        for _ in 0..2 {
            let (_state, warnings) = open(&path);
            assert!(warnings.lock().unwrap().is_empty());
        }
    }

    #[test]
    fn damaged_and_newer_databases_are_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let damaged = dir.path().join("damaged.db");
        fs::write(&damaged, "this is no database, whatever its name says".repeat(100)).unwrap();
        let newer = dir.path().join("newer.db");
        Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        for path in [damaged, newer] {
            let before = fs::read(&path).unwrap();
            let (state, warnings) = open(&path);
            assert_eq!(count(&state), 0);
            assert!(warnings.lock().unwrap()[0].contains("set aside"));
            let kept = aside(dir.path()).iter().any(|entry| fs::read(entry).unwrap() == before);
            assert!(kept, "{} is gone", path.display());
        }
    }

    #[test]
    fn damage_that_shows_only_when_it_is_read_is_set_aside_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        drop(open(&path));
        // The first page, with the version and the tables' names, stays whole.
        let mut bytes = fs::read(&path).unwrap();
        bytes[4096..].fill(0xaa);
        fs::write(&path, bytes).unwrap();
        let (state, warnings) = open(&path);
        assert!(
            warnings.lock().unwrap().is_empty(),
            "the damage showed early, which makes this test one of another case"
        );
        assert_eq!(count(&state), 0);
        assert!(warnings.lock().unwrap()[0].contains("set aside"));
        assert_eq!(aside(dir.path()).len(), 1);
        drop(state);
        let (state, warnings) = open(&path);
        assert_eq!((count(&state), warnings.lock().unwrap().len()), (0, 0));
    }

    #[test]
    fn where_nothing_can_be_written_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let (state, warnings) = open(&dir.path().join("file/state.db"));
        let warning = warnings.lock().unwrap()[0].clone();
        assert!(warning.contains("no history") && warning.contains("os error"), "{warning}");
        assert_eq!(count(&state), 0);
    }
}
