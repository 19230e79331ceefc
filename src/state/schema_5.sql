-- The machine that answers as a host, by its machine-id(5), and since when it does.
CREATE TABLE machine (
  flake         TEXT NOT NULL,
  host          TEXT NOT NULL,
  machine       TEXT NOT NULL,
  since         INTEGER NOT NULL,
  PRIMARY KEY (flake, host)
) STRICT, WITHOUT ROWID;
