-- What measurements of a flake's hosts are compared with, as JSON.
CREATE TABLE perf_baseline (
  flake TEXT PRIMARY KEY,
  measured TEXT NOT NULL,
  made_at INTEGER NOT NULL
) STRICT;
