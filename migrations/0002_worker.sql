-- What the worker needs beyond the existing tables. Every column has a default, so that the statements of the
-- program that was here before still work. Times are milliseconds since the epoch.

ALTER TABLE scan_jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'scan';
-- What the row asks for, as JSON.
ALTER TABLE scan_jobs ADD COLUMN options TEXT;
-- 0 first, then 1, 2, …
ALTER TABLE scan_jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scan_jobs ADD COLUMN host TEXT;
-- 1: may be claimed. A delayed row has 0 until its run_at.
ALTER TABLE scan_jobs ADD COLUMN ready INTEGER NOT NULL DEFAULT 1;
ALTER TABLE scan_jobs ADD COLUMN run_at INTEGER;
-- 0: made by another program, created_at has the second.
ALTER TABLE scan_jobs ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;
-- Claims so far. The cap counts attempt - attempt_base.
ALTER TABLE scan_jobs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scan_jobs ADD COLUMN attempt_base INTEGER NOT NULL DEFAULT 0;
-- Attempts lost since the last replay.
ALTER TABLE scan_jobs ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scan_jobs ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 3;
ALTER TABLE scan_jobs ADD COLUMN lease_owner TEXT;
ALTER TABLE scan_jobs ADD COLUMN lease_until INTEGER;
ALTER TABLE scan_jobs ADD COLUMN container_id TEXT;
ALTER TABLE scan_jobs ADD COLUMN cancel_requested INTEGER NOT NULL DEFAULT 0;
-- The only worker that may claim the row.
ALTER TABLE scan_jobs ADD COLUMN reserved_for TEXT;
ALTER TABLE scan_jobs ADD COLUMN method TEXT NOT NULL DEFAULT 'queue';
-- The entry of an outer queue that the attempt serves.
ALTER TABLE scan_jobs ADD COLUMN delivery_id TEXT;
ALTER TABLE scan_jobs ADD COLUMN delivery_token TEXT;
ALTER TABLE scan_jobs ADD COLUMN delivery_atm INTEGER;
-- The operation that wrote the row last.
ALTER TABLE scan_jobs ADD COLUMN last_op TEXT;
ALTER TABLE scan_jobs ADD COLUMN failure_class TEXT;
ALTER TABLE scan_jobs ADD COLUMN failure_stage TEXT;
ALTER TABLE scan_jobs ADD COLUMN failure_message TEXT;
ALTER TABLE scan_jobs ADD COLUMN failure_retryable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE scan_jobs ADD COLUMN started_ms INTEGER;
ALTER TABLE scan_jobs ADD COLUMN finished_ms INTEGER;

CREATE INDEX scan_jobs_claim ON scan_jobs (user_id, priority, created_at, created_ms)
  WHERE state = 'QUEUED' AND ready = 1 AND reserved_for IS NULL;
CREATE INDEX scan_jobs_reserved ON scan_jobs (reserved_for, ready, priority, created_at, created_ms)
  WHERE state = 'QUEUED' AND reserved_for IS NOT NULL;
CREATE INDEX scan_jobs_delayed ON scan_jobs (run_at)
  WHERE state = 'QUEUED' AND ready = 0;
CREATE INDEX scan_jobs_leased ON scan_jobs (lease_owner)
  WHERE state IN ('FETCHING', 'ANALYZING');
CREATE INDEX scan_jobs_recent ON scan_jobs (created_at, created_ms, id);

CREATE TABLE attempts (
  job_id TEXT NOT NULL REFERENCES scan_jobs (id) ON UPDATE CASCADE ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  worker TEXT,
  container_id TEXT,
  outcome TEXT,
  exit_code INTEGER,
  -- The end of what the container wrote to stderr: hostile text.
  stderr TEXT NOT NULL DEFAULT '',
  queue_ms INTEGER,
  start_ms INTEGER,
  run_ms INTEGER,
  reason TEXT NOT NULL,
  failure_class TEXT,
  failure_stage TEXT,
  failure_message TEXT,
  failure_retryable INTEGER NOT NULL DEFAULT 0,
  started_ms INTEGER,
  ended_ms INTEGER NOT NULL,
  PRIMARY KEY (job_id, attempt)
);

-- One row per edge that this program wrote; never changed.
CREATE TABLE transitions (
  seq INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL REFERENCES scan_jobs (id) ON UPDATE CASCADE ON DELETE CASCADE,
  version INTEGER NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker TEXT,
  reason TEXT NOT NULL,
  op TEXT NOT NULL
);
CREATE INDEX transitions_job ON transitions (job_id, version);

-- The stored part of a scan document. A further analysis adds n + 1.
CREATE TABLE documents (
  job_id TEXT NOT NULL REFERENCES scan_jobs (id) ON UPDATE CASCADE ON DELETE CASCADE,
  n INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  schema INTEGER NOT NULL,
  body TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (job_id, n)
);

-- Obligations: every row is a container that exists, or that may. Written before the create, removed after the
-- removal. A user id is held by one container of an engine at a time.
CREATE TABLE containers (
  name TEXT PRIMARY KEY NOT NULL,
  engine_id TEXT NOT NULL,
  uid INTEGER NOT NULL CHECK (uid BETWEEN 60600 AND 65533),
  worker TEXT NOT NULL,
  -- Where the container's gateway socket is.
  door TEXT NOT NULL,
  -- The engine's name for it, once the create was answered.
  container_id TEXT,
  created_ms INTEGER NOT NULL,
  UNIQUE (engine_id, uid)
);
CREATE INDEX containers_worker ON containers (worker);

-- One row per worker process; it is dead when its heartbeat is old.
CREATE TABLE workers (
  id TEXT PRIMARY KEY NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  version TEXT NOT NULL,
  engine_id TEXT NOT NULL,
  slots INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  heartbeat_ms INTEGER NOT NULL
);

-- `schema`: the number of the last migration. `instance`: the installation, on the label of its containers.
CREATE TABLE meta (
  key TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
);
