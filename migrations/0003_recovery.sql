-- What recovery and the gauges look up, each by an index of its own. Times are milliseconds since the epoch.

-- Attempts that a worker process has ended.
ALTER TABLE workers ADD COLUMN done INTEGER NOT NULL DEFAULT 0;

-- From a job to what was written down of its container, and back.
CREATE INDEX containers_container ON containers (container_id);
CREATE INDEX scan_jobs_bound ON scan_jobs (container_id)
  WHERE state IN ('FETCHING', 'ANALYZING');

-- The row that has been due for the longest, whoever's it is.
CREATE INDEX scan_jobs_oldest_due ON scan_jobs (
    coalesce(run_at, CASE WHEN created_ms > 0 THEN created_ms ELSE created_at * 1000 END)
  ) WHERE state = 'QUEUED' AND ready = 1 AND reserved_for IS NULL;

-- How many jobs there are of each kind. Kept by triggers, so that reading it takes as long with 300,000 jobs as with
-- three, and that jobs of every program are counted. Not counted is a row that INSERT OR REPLACE removes: SQLite
-- tells no trigger of it. No conflict can arise in a trigger, because the statement that fires it would decide what
-- becomes of that.
CREATE TABLE job_counts (
  state TEXT NOT NULL,
  ready INTEGER NOT NULL,
  reserved INTEGER NOT NULL,
  failure_class TEXT NOT NULL,
  jobs INTEGER NOT NULL,
  PRIMARY KEY (state, ready, reserved, failure_class)
) WITHOUT ROWID;

INSERT INTO job_counts (state, ready, reserved, failure_class, jobs)
  SELECT state, ready, reserved_for IS NOT NULL, coalesce(failure_class, ''), count(*)
  FROM scan_jobs GROUP BY 1, 2, 3, 4;

CREATE TRIGGER job_counts_added AFTER INSERT ON scan_jobs BEGIN
  INSERT INTO job_counts (state, ready, reserved, failure_class, jobs)
    SELECT NEW.state, NEW.ready, NEW.reserved_for IS NOT NULL, coalesce(NEW.failure_class, ''), 0
    WHERE NOT EXISTS (SELECT 1 FROM job_counts WHERE state = NEW.state AND ready = NEW.ready
      AND reserved = (NEW.reserved_for IS NOT NULL) AND failure_class = coalesce(NEW.failure_class, ''));
  UPDATE job_counts SET jobs = jobs + 1 WHERE state = NEW.state AND ready = NEW.ready
    AND reserved = (NEW.reserved_for IS NOT NULL) AND failure_class = coalesce(NEW.failure_class, '');
END;

CREATE TRIGGER job_counts_removed AFTER DELETE ON scan_jobs BEGIN
  UPDATE job_counts SET jobs = jobs - 1 WHERE state = OLD.state AND ready = OLD.ready
    AND reserved = (OLD.reserved_for IS NOT NULL) AND failure_class = coalesce(OLD.failure_class, '');
END;

CREATE TRIGGER job_counts_moved AFTER UPDATE OF state, ready, reserved_for, failure_class ON scan_jobs
WHEN NEW.state <> OLD.state OR NEW.ready <> OLD.ready OR NEW.failure_class IS NOT OLD.failure_class
  OR (NEW.reserved_for IS NULL) <> (OLD.reserved_for IS NULL)
BEGIN
  UPDATE job_counts SET jobs = jobs - 1 WHERE state = OLD.state AND ready = OLD.ready
    AND reserved = (OLD.reserved_for IS NOT NULL) AND failure_class = coalesce(OLD.failure_class, '');
  INSERT INTO job_counts (state, ready, reserved, failure_class, jobs)
    SELECT NEW.state, NEW.ready, NEW.reserved_for IS NOT NULL, coalesce(NEW.failure_class, ''), 0
    WHERE NOT EXISTS (SELECT 1 FROM job_counts WHERE state = NEW.state AND ready = NEW.ready
      AND reserved = (NEW.reserved_for IS NOT NULL) AND failure_class = coalesce(NEW.failure_class, ''));
  UPDATE job_counts SET jobs = jobs + 1 WHERE state = NEW.state AND ready = NEW.ready
    AND reserved = (NEW.reserved_for IS NOT NULL) AND failure_class = coalesce(NEW.failure_class, '');
END;
