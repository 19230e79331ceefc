-- How a flake's host was when somebody asked it last. What an unreachable host did not tell stays as it was told before.
CREATE TABLE host_seen (
  flake         TEXT NOT NULL,
  host          TEXT NOT NULL,
  asked         INTEGER NOT NULL,
  reachable     INTEGER NOT NULL,
  drift         TEXT,
  failed_units  INTEGER,
  generation    INTEGER,
  store_total   INTEGER,
  store_free    INTEGER,
  boot_total    INTEGER,
  boot_free     INTEGER,
  PRIMARY KEY (flake, host)
) STRICT, WITHOUT ROWID;
