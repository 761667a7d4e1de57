-- What containers turned out to be when one was probed. Times are milliseconds since the epoch.

CREATE TABLE attestations (
  -- SHA-256 of the body.
  digest TEXT PRIMARY KEY,
  -- JSON: each restriction with what was tried, expected and seen.
  body TEXT NOT NULL,
  -- Digest of the settings, engine and image that it is true for.
  circumstances TEXT NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL
);
CREATE INDEX attestations_last ON attestations (circumstances, last_ms);

-- The attestation that the worker had which made a container.
ALTER TABLE containers ADD COLUMN attestation TEXT;
