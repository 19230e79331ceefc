//! How hosts were when somebody asked them last.

use jiff::Timestamp;
use rusqlite::{Row, named_params};
use serde::Serialize;

use super::db::{State, StateError};
use super::deployments::timestamp;
use crate::fleet::HostName;
use crate::plan::Drift;
use crate::remote::Space;

/// How a host was when it was asked last. What is none was never told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sighting {
    /// When it was asked.
    pub asked: Timestamp,
    /// Whether it answered.
    pub reachable: bool,
    /// How what it ran differed from what the flake wanted.
    pub drift: Option<Drift>,
    /// How many units had failed.
    pub failed_units: Option<u64>,
    /// The generation that it booted by default.
    pub generation: Option<u64>,
    /// The file system of its store.
    pub store: Option<Space>,
    /// The file system of its `/boot`.
    pub boot: Option<Space>,
}

impl State {
    /// Remembers how a flake's host is; what `sighting` does not tell stays as it was told before.
    pub fn remember_sighting(&self, flake: &str, host: &HostName, sighting: &Sighting) -> Result<(), StateError> {
        let insert = "
            INSERT INTO host_seen (flake, host, asked, reachable, drift, failed_units, generation,
              store_total, store_free, boot_total, boot_free)
            VALUES (:flake, :host, :asked, :reachable, :drift, :failed_units, :generation,
              :store_total, :store_free, :boot_total, :boot_free)
            ON CONFLICT DO UPDATE SET asked = excluded.asked, reachable = excluded.reachable,
              drift = coalesce(excluded.drift, drift), failed_units = coalesce(excluded.failed_units, failed_units),
              generation = coalesce(excluded.generation, generation),
              store_total = coalesce(excluded.store_total, store_total),
              store_free = coalesce(excluded.store_free, store_free),
              boot_total = coalesce(excluded.boot_total, boot_total), boot_free = coalesce(excluded.boot_free, boot_free)";
        let number = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        let values = named_params! {
            ":flake": flake, ":host": host.as_str(), ":asked": sighting.asked.as_millisecond(),
            ":reachable": sighting.reachable, ":drift": sighting.drift.map(Drift::name),
            ":failed_units": number(sighting.failed_units), ":generation": number(sighting.generation),
            ":store_total": number(sighting.store.map(|space| space.total)),
            ":store_free": number(sighting.store.map(|space| space.free)),
            ":boot_total": number(sighting.boot.map(|space| space.total)),
            ":boot_free": number(sighting.boot.map(|space| space.free)),
        };
        self.with(|connection| Ok(connection.execute(insert, values)?)).map(drop)
    }

    /// How the hosts of all flakes were when they were asked last, by flake and host.
    pub fn sightings(&self) -> Result<Vec<(String, String, Sighting)>, StateError> {
        self.with(|connection| {
            let mut select = connection.prepare("SELECT * FROM host_seen ORDER BY flake, host")?;
            let rows = select.query_map([], |row| Ok((row.get("flake")?, row.get("host")?, read(row)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Sighting> {
    let number = |name: &str| {
        let value: Option<i64> = row.get(name)?;
        Ok::<_, rusqlite::Error>(value.and_then(|value| u64::try_from(value).ok()))
    };
    let space = |total: Option<u64>, free: Option<u64>| Some(Space { total: total?, free: free? });
    Ok(Sighting {
        asked: timestamp(row.get("asked")?),
        reachable: row.get("reachable")?,
        drift: row.get::<_, Option<String>>("drift")?.and_then(|name| Drift::named(&name)),
        failed_units: number("failed_units")?,
        generation: number("generation")?,
        store: space(number("store_total")?, number("store_free")?),
        boot: space(number("boot_total")?, number("boot_free")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_unreachable_host_does_not_tell_stays() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(&dir.path().join("state.db"), |warning| panic!("{warning}")).unwrap();
        let host = "p620".parse().unwrap();
        let whole = Sighting {
            asked: Timestamp::from_second(1).unwrap(),
            reachable: true,
            drift: Some(Drift::Behind),
            failed_units: Some(2),
            generation: Some(7),
            store: Some(Space { total: 9, free: 3 }),
            boot: None,
        };
        let gone = Sighting {
            asked: Timestamp::from_second(2).unwrap(),
            reachable: false,
            drift: None,
            failed_units: None,
            generation: None,
            store: None,
            boot: None,
        };
        state.remember_sighting("f", &host, &whole).unwrap();
        assert_eq!(state.sightings().unwrap(), [("f".to_owned(), "p620".to_owned(), whole.clone())]);
        state.remember_sighting("f", &host, &gone).unwrap();
        let left = Sighting { asked: gone.asked, reachable: false, ..whole };
        assert_eq!(state.sightings().unwrap(), [("f".to_owned(), "p620".to_owned(), left)]);
    }
}
