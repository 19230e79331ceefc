-- Times are milliseconds since 1970, in UTC.

CREATE TABLE deployment (
  id            TEXT PRIMARY KEY,
  command       TEXT NOT NULL,
  goal          TEXT NOT NULL,
  flake         TEXT NOT NULL,
  rev           TEXT,
  dirty         INTEGER NOT NULL DEFAULT 0,
  operator      TEXT NOT NULL,
  started       INTEGER NOT NULL,
  finished      INTEGER,
  exit          INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX deployment_started ON deployment (started);

CREATE TABLE deployment_host (
  deployment    TEXT NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
  host          TEXT NOT NULL,
  outcome       TEXT,
  duration_ms   INTEGER,
  old           TEXT,
  wanted        TEXT,
  generation    INTEGER,
  detail        TEXT,
  error         TEXT,
  PRIMARY KEY (deployment, host)
) STRICT, WITHOUT ROWID;

CREATE INDEX deployment_host_host ON deployment_host (host);

-- What a host's last evaluation said of it, for commands that evaluate nothing.
CREATE TABLE host_system (
  flake         TEXT NOT NULL,
  host          TEXT NOT NULL,
  system        TEXT NOT NULL,
  PRIMARY KEY (flake, host)
) STRICT, WITHOUT ROWID;
