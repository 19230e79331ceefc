-- How long the host's system took to build when something of it was built last, in milliseconds.
ALTER TABLE host_system ADD COLUMN build_ms INTEGER;
