-- Generations that were removed from hosts, and when: their numbers may be given anew later.
CREATE TABLE removed_generation (
  flake TEXT NOT NULL,
  host TEXT NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (flake, host, number)
) STRICT;
