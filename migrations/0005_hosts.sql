-- How many jobs go to one host at a time, and when. Times are milliseconds since the epoch.

-- `scan_jobs.ready` has a third value from here on: 2 is a row that is due and waits until its host has room. It is in
-- no index that a claim reads.

-- What is known of a host beside its jobs; how many of these are at work is counted each time.
CREATE TABLE hosts (
  host TEXT PRIMARY KEY NOT NULL,
  -- No job begins there before.
  next_ms INTEGER NOT NULL DEFAULT 0,
  -- 1: rows may wait for it.
  waiting INTEGER NOT NULL DEFAULT 0,
  -- The user whose row was let go last; the next one is of a user behind.
  served TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX hosts_waiting ON hosts (waiting, next_ms);

CREATE INDEX scan_jobs_at_host ON scan_jobs (host)
  WHERE state IN ('FETCHING', 'ANALYZING');
CREATE INDEX scan_jobs_held_back ON scan_jobs (host, user_id, priority, created_at, created_ms)
  WHERE state = 'QUEUED' AND ready = 2;
