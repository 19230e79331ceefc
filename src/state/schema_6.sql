-- How a deployment was wanted, as JSON, so that it can be resumed; and the deployment that it resumes or takes back.
ALTER TABLE deployment ADD COLUMN options TEXT;
ALTER TABLE deployment ADD COLUMN follows TEXT;
-- The number of the host's wave, from 1 on.
ALTER TABLE deployment_host ADD COLUMN wave INTEGER;
