//! The database: opened, brought to the schema of this version, and set aside when it cannot be used.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

/// One step from each version of the schema to the next. Append, never change.
const MIGRATIONS: &[&str] = &[include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// How long to wait for another hubctl that writes.
const BUSY: Duration = Duration::from_secs(10);

/// Why the state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// `SQLite` says no.
    #[error("the state database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file system says no.
    #[error("{} cannot be used", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// A newer hubctl wrote it.
    #[error("the state database has schema {found}, newer than this hubctl's {known}")]
    Newer {
        /// The schema's version in the file.
        found: usize,
        /// The newest version that this hubctl knows.
        known: usize,
    },
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
#[derive(Debug)]
pub struct State(Mutex<Connection>);

impl State {
    /// Opens the database at `path`, or makes it. A file that is damaged, or that a newer hubctl wrote, is set aside; where
    /// nothing can be written, this run's state is forgotten at its end. Both are said in the warning and never end a run.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), StateError> {
        let error = match open_file(path) {
            Ok(connection) => return Ok((Self(Mutex::new(connection)), None)),
            Err(error) => error,
        };
        if error.is_unusable_file() {
            let aside = set_aside(path).map_err(|io| StateError::Io(path.to_path_buf(), io))?;
            let connection = open_file(path)?;
            let warning = format!("{error}; it was set aside as {} and a new one begun", aside.display());
            return Ok((Self(Mutex::new(connection)), Some(warning)));
        }
        let mut connection = Connection::open_in_memory()?;
        migrate(&mut connection)?;
        Ok((Self(Mutex::new(connection)), Some(format!("{error}; this run leaves no history"))))
    }

    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held leaves SQLite's own transaction to be rolled back, so the connection is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_file(path: &Path) -> Result<Connection, StateError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| StateError::Io(directory.to_path_buf(), error))?;
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    refuse_newer(schema_version(&connection)?)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(&mut connection)?;
    Ok(connection)
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
    use super::*;

    #[test]
    fn an_open_database_is_opened_again_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hubctl/state.db");
        for _ in 0..2 {
            let (_state, warning) = State::open(&path).unwrap();
            assert_eq!(warning, None);
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
            let (_state, warning) = State::open(&path).unwrap();
            assert!(warning.unwrap().contains("set aside"));
            let kept = fs::read_dir(dir.path()).unwrap().any(|entry| {
                let entry = entry.unwrap().path();
                entry.to_string_lossy().contains(".aside-") && fs::read(&entry).unwrap() == before
            });
            assert!(kept, "{} is gone", path.display());
        }
    }

    #[test]
    fn where_nothing_can_be_written_the_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let (_state, warning) = State::open(&dir.path().join("file/state.db")).unwrap();
        assert!(warning.unwrap().contains("no history"));
    }
}
