-- The tables that every SafeURL installation has. An existing one has them already, with its rows and with
-- indexes of its own; nothing here touches those. Times are seconds since the epoch.

CREATE TABLE IF NOT EXISTS users (
  clerk_user_id TEXT PRIMARY KEY NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch()),
  metadata TEXT
);

CREATE TABLE IF NOT EXISTS scan_jobs (
  id TEXT PRIMARY KEY NOT NULL,
  user_id TEXT NOT NULL REFERENCES users (clerk_user_id) ON UPDATE CASCADE ON DELETE CASCADE,
  url TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'QUEUED'
    CHECK (state IN ('QUEUED', 'FETCHING', 'ANALYZING', 'COMPLETED', 'FAILED', 'TIMED_OUT')),
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  updated_at INTEGER NOT NULL DEFAULT (unixepoch()),
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1)
);

CREATE TABLE IF NOT EXISTS scan_results (
  job_id TEXT PRIMARY KEY NOT NULL REFERENCES scan_jobs (id) ON UPDATE CASCADE ON DELETE CASCADE,
  risk_score INTEGER NOT NULL CHECK (risk_score BETWEEN 0 AND 100),
  categories TEXT NOT NULL CHECK (json_valid(categories)),
  content_hash TEXT NOT NULL CHECK (length(content_hash) = 64),
  http_status INTEGER,
  http_headers TEXT CHECK (http_headers IS NULL OR json_valid(http_headers)),
  content_type TEXT,
  model_used TEXT NOT NULL,
  analysis_metadata TEXT CHECK (analysis_metadata IS NULL OR json_valid(analysis_metadata)),
  reasoning TEXT NOT NULL,
  indicators TEXT NOT NULL CHECK (json_valid(indicators)),
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
);

CREATE TABLE IF NOT EXISTS audit_logs (
  id TEXT PRIMARY KEY NOT NULL,
  scan_job_id TEXT NOT NULL REFERENCES scan_jobs (id) ON UPDATE CASCADE ON DELETE CASCADE,
  url_accessed TEXT NOT NULL,
  timestamp INTEGER NOT NULL DEFAULT (unixepoch()),
  content_hash TEXT NOT NULL,
  http_status INTEGER,
  http_headers TEXT CHECK (http_headers IS NULL OR json_valid(http_headers)),
  content_type TEXT,
  risk_assessment_summary TEXT CHECK (risk_assessment_summary IS NULL OR json_valid(risk_assessment_summary))
);

CREATE INDEX IF NOT EXISTS scan_jobs_user_idx ON scan_jobs (user_id);
CREATE INDEX IF NOT EXISTS scan_jobs_state_idx ON scan_jobs (state);
CREATE INDEX IF NOT EXISTS scan_jobs_created_idx ON scan_jobs (created_at);
CREATE INDEX IF NOT EXISTS audit_logs_job_idx ON audit_logs (scan_job_id);
CREATE INDEX IF NOT EXISTS audit_logs_timestamp_idx ON audit_logs (timestamp);
