-- The files that differed from the commit, as a JSON array of paths.
ALTER TABLE deployment ADD COLUMN dirty_files TEXT;
