"""A small run that is clean, for tests to build a violation into."""

import sqlite3
from pathlib import Path

import auditor
from evidence import Evidence
from record import Record

MIGRATIONS = Path(__file__).parents[2] / "migrations"
CLEAN_MACHINE = {kind: [] for kind in ("container", "mount", "process")}

# The edges of a job that was held by a worker that died, and went on with the next one: version, from, to, reason,
# milliseconds, attempt, worker.
ADOPTED = [
    (2, "QUEUED", "FETCHING", "claimed", 1_000, 1, "w1"),
    (3, "FETCHING", "FETCHING", "taken over", 9_000, 1, "w2"),
    (4, "FETCHING", "ANALYZING", "report accepted", 12_000, 1, "w2"),
    (5, "ANALYZING", "COMPLETED", "completed", 12_010, 1, "w2"),
]
# The edges of a job that was lost, done again, failed, and replayed.
REPLAYED = [
    (2, "QUEUED", "FETCHING", "claimed", 1_000, 1, "w1"),
    (3, "FETCHING", "QUEUED", "lost: lost", 9_500, 1, "w2"),
    (4, "QUEUED", "FETCHING", "claimed", 10_000, 2, "w2"),
    (5, "FETCHING", "FAILED", "failed: connect", 10_100, 2, "w2"),
    (6, "FAILED", "QUEUED", "replayed", 11_000, 2, None),
    (7, "QUEUED", "FETCHING", "claimed", 11_100, 3, "w2"),
    (8, "FETCHING", "FAILED", "failed: connect", 11_200, 3, "w2"),
]
KILLED_AT = 3_000


class Small:
    """A small run: its tables are the program's own, its rows are the test's."""

    def __init__(self, folder):
        self.folder = folder
        self.record = Record(folder)
        self.database = sqlite3.connect(folder / "scans.db")
        # It need not outlive a crash.
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute("PRAGMA journal_mode = MEMORY")
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            self.database.executescript(migration.read_text())
        self.run("INSERT INTO users (clerk_user_id) VALUES ('anna')")
        self.record.write("run", {"seed": "test"})
        self.record.write("descriptors", {"before": {"7": {"socket": 3}}, "after": {"7": {"socket": 3}}})
        self.record.write("ends", {"1-1": 0})
        self.record.add("workers", event="ready", pid=1, id="w1", at_ms=0)
        self.record.add("workers", event="ended", pid=1, id="w1", at_ms=KILLED_AT)
        self.record.add("workers", event="ready", pid=2, id="w2", at_ms=0)
        self.record.add("faults", what="kill worker", worker="w1", at_ms=KILLED_AT)
        self.job("adopted", "quick", ADOPTED)
        self.job("replayed", "refused", REPLAYED, "connect")
        self.request("adopted", 1_100)
        self.request("replayed", 1_100)
        self.request("replayed", 10_050)

    def run(self, sql, *values):
        self.database.execute(sql, values)
        self.database.commit()

    def job(self, id, kind, edges, failure=None):
        version, state, attempt = edges[-1][0], edges[-1][2], edges[-1][5]
        self.run(
            "INSERT INTO scan_jobs (id, user_id, url, state, version, attempt, failure_class)"
            " VALUES (?, 'anna', 'u', ?, ?, ?, ?)",
            *(id, state, version, attempt, failure),
        )
        for edge in edges:
            self.edge(id, *edge)
        if state == "COMPLETED":
            self.result(id)
            self.run("INSERT INTO documents VALUES (?, 1, 1, 1, '{}', 0)", id)
        self.record.add("submitted", id=id, key=f"key-{id}", user="anna", kind=kind)

    def edge(self, id, version, before, after, reason, at_ms, attempt, worker):
        self.run(
            "INSERT INTO transitions (job_id, version, from_state, to_state, at_ms, attempt, worker, reason, op)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            *(id, version, before, after, at_ms, attempt, worker, reason, f"{id}-{version}"),
        )

    def result(self, id):
        self.run(
            "INSERT INTO scan_results (job_id, risk_score, categories, content_hash, model_used, reasoning, indicators)"
            " VALUES (?, 0, '[]', ?, 'rules', 'none', '[]')",
            *(id, "0" * 64),
        )

    def request(self, id, at_ms):
        self.record.add("requests", key=f"key-{id}", path=f"/quick/key-{id}", at_ms=at_ms)

    def violations(self, machine=None):
        self.database.close()
        return auditor.audit(Evidence(self.folder), machine or CLEAN_MACHINE)[0]
