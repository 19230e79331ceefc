//! Questions to the database of this machine's store, read in place: for each of them a Nix would have to be started, which takes
//! longer than the answer.
//!
//! Source: `schema.sql` of Nix, whose tables are the same from 2.0 to 2.34 and in Lix. Whatever is not as expected gives no answer,
//! and Nix is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::store_path::StorePath;

/// Where Nix keeps its database.
const DATABASE: &str = "/nix/var/nix/db/db.sqlite";

/// What moves the database elsewhere.
const ELSEWHERE: [&str; 3] = ["NIX_STATE_DIR", "NIX_LOCALSTATE_DIR", "NIX_STORE_DIR"];

/// The values of Nix's setting `store` that mean this machine's own store.
const OWN_STORE: [&str; 4] = ["", "auto", "daemon", "local"];

/// The version of the schema that is known.
const SCHEMA: &str = "10";

/// The database of this machine's store, open for reading.
pub(super) struct StoreDb(Mutex<Connection>);

impl StoreDb {
    /// Opens the database of the store that Nix's setting `store` names; none where that is another machine's or lies elsewhere,
    /// or where this user may not read it.
    pub(super) fn open(store: &str) -> Option<Self> {
        if !OWN_STORE.contains(&store) || ELSEWHERE.iter().any(|variable| std::env::var_os(variable).is_some()) {
            return None;
        }
        Self::at(Path::new(DATABASE))
    }

    fn at(file: &Path) -> Option<Self> {
        let schema = std::fs::read_to_string(file.with_file_name("schema")).ok()?;
        if schema.trim() != SCHEMA {
            return None;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags).ok()?;
        Some(Self(Mutex::new(connection)))
    }

    /// Whether a path is valid; none where the database does not tell.
    pub(super) fn is_valid(&self, path: &StorePath) -> Option<bool> {
        let select = "SELECT 1 FROM ValidPaths WHERE path = ?";
        self.with(|connection| {
            let found = connection.prepare_cached(select)?.query_row(params![path.as_str()], |_| Ok(())).optional()?;
            Ok(found.is_some())
        })
    }

    /// The derivations that take a path, directly or not; none where the database does not tell.
    pub(super) fn derivations_taking(&self, path: &StorePath) -> Option<Vec<StorePath>> {
        let select = "WITH RECURSIVE taker (id) AS (
                        SELECT id FROM ValidPaths WHERE path = ?
                        UNION SELECT referrer FROM Refs JOIN taker ON Refs.reference = taker.id)
                      SELECT path FROM ValidPaths JOIN taker USING (id) WHERE path LIKE '%.drv'";
        let paths = self.with(|connection| {
            let mut select = connection.prepare_cached(select)?;
            let paths = select.query_map(params![path.as_str()], |row| row.get::<_, String>(0))?;
            paths.collect::<Result<Vec<_>, _>>()
        })?;
        paths.iter().map(|path| path.parse().ok()).collect()
    }

    /// A path and all that it refers to, directly or not, each with the size of its NAR in bytes; none where the database does not
    /// tell, or has no such path.
    pub(super) fn closure(&self, path: &StorePath) -> Option<BTreeMap<StorePath, u64>> {
        let select = "WITH RECURSIVE part (id) AS (
                        SELECT id FROM ValidPaths WHERE path = ?
                        UNION SELECT reference FROM Refs JOIN part ON Refs.referrer = part.id)
                      SELECT path, narSize FROM ValidPaths JOIN part USING (id)";
        let rows = self.with(|connection| {
            let mut select = connection.prepare_cached(select)?;
            let rows = select.query_map(params![path.as_str()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        let parts = rows.iter().map(|(path, size)| Some((path.parse().ok()?, u64::try_from((*size)?).ok()?)));
        parts.collect::<Option<BTreeMap<_, _>>>().filter(|parts| !parts.is_empty())
    }

    fn with<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Option<T> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&connection).inspect_err(|error| tracing::debug!(%error, "the store's database does not tell")).ok()
    }
}

impl fmt::Debug for StoreDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreDb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> StorePath {
        format!("/nix/store/0i3kvkpqpr1i9zx4dbdzvj6dcpqnmhhb-{name}").parse().unwrap()
    }

    /// A database with these paths, of which each refers to the one before it.
    fn database(schema: &str, names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("schema"), schema).unwrap();
        let connection = Connection::open(dir.path().join("db.sqlite")).unwrap();
        let tables = "CREATE TABLE ValidPaths (id INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL, narSize INTEGER);
                      CREATE TABLE Refs (referrer INTEGER NOT NULL, reference INTEGER NOT NULL);";
        connection.execute_batch(tables).unwrap();
        for (id, name) in (1..).zip(names) {
            connection
                .execute("INSERT INTO ValidPaths VALUES (?, ?, ?)", params![id, path(name).as_str(), id * 10])
                .unwrap();
            connection.execute("INSERT INTO Refs VALUES (?, ?)", params![id, (id - 1).max(1)]).unwrap();
        }
        dir
    }

    #[test]
    fn paths_and_who_takes_them_are_found() {
        let dir = database("10\n", &["source", "a.drv", "b.drv", "note"]);
        let db = StoreDb::at(&dir.path().join("db.sqlite")).unwrap();
        assert_eq!((db.is_valid(&path("source")), db.is_valid(&path("other"))), (Some(true), Some(false)));
        assert_eq!(db.derivations_taking(&path("source")), Some(vec![path("a.drv"), path("b.drv")]));
        assert_eq!(db.derivations_taking(&path("b.drv")), Some(vec![path("b.drv")]));
        assert_eq!(db.derivations_taking(&path("other")), Some(Vec::new()));
        let closure = [(path("source"), 10), (path("a.drv"), 20), (path("b.drv"), 30)].into();
        assert_eq!((db.closure(&path("b.drv")), db.closure(&path("other"))), (Some(closure), None));
    }

    #[test]
    fn what_is_not_as_expected_gives_no_answer() {
        let dir = database("11", &[]);
        assert!(StoreDb::at(&dir.path().join("db.sqlite")).is_none());
        assert!(StoreDb::open("ssh-ng://p620").is_none());
        std::fs::write(dir.path().join("schema"), "10").unwrap();
        let other = Connection::open(dir.path().join("db.sqlite")).unwrap();
        other.execute_batch("DROP TABLE ValidPaths").unwrap();
        let db = StoreDb::at(&dir.path().join("db.sqlite")).unwrap();
        assert_eq!((db.is_valid(&path("a")), db.derivations_taking(&path("a"))), (None, None));
    }
}
