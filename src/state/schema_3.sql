-- How large the source of a flake was when that was last pointed out.
CREATE TABLE ballast (
  flake         TEXT PRIMARY KEY,
  files         INTEGER NOT NULL,
  bytes         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
