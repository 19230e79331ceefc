-- Locked sources, by the state of the work tree that they were made from.
CREATE TABLE source (
  fingerprint   TEXT PRIMARY KEY,
  source        TEXT NOT NULL,
  used          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Answers of evaluations with the conditions under which they hold. A subject is a flake and a question to it; the settings
-- are all that Nix goes by beside the source.
CREATE TABLE evaluation (
  id            INTEGER PRIMARY KEY,
  subject       TEXT NOT NULL,
  settings      TEXT NOT NULL,
  identity      TEXT NOT NULL,
  revision      INTEGER NOT NULL,
  shape         TEXT NOT NULL,
  footprint     TEXT NOT NULL,
  answer        TEXT NOT NULL,
  reason        TEXT NOT NULL,
  duration_ms   INTEGER NOT NULL,
  peak_kib      INTEGER,
  made          INTEGER NOT NULL
) STRICT;

CREATE INDEX evaluation_subject ON evaluation (subject, settings, made);

-- Sources for which an answer was found to hold, so that finding it again takes no look at the tree.
CREATE TABLE evaluation_holds (
  subject       TEXT NOT NULL,
  settings      TEXT NOT NULL,
  identity      TEXT NOT NULL,
  evaluation    INTEGER NOT NULL REFERENCES evaluation (id) ON DELETE CASCADE,
  PRIMARY KEY (subject, settings, identity)
) STRICT, WITHOUT ROWID;
