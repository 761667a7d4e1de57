"""What a run left to be judged: rows of the database and lines of the record."""

import sqlite3
from collections import defaultdict
from pathlib import Path

import record

FINAL = {"COMPLETED", "FAILED", "TIMED_OUT"}


class Evidence:
    """Rows are dictionaries; transitions are in the order of their versions."""

    def __init__(self, folder):
        self.run = record.value(folder, "run")
        self.submitted = record.lines(folder, "submitted")
        self.wishes = record.lines(folder, "wishes")
        self.requests = record.lines(folder, "requests")
        self.faults = sorted(record.lines(folder, "faults"), key=lambda line: line["at_ms"])
        self.workers = record.lines(folder, "workers")
        self.descriptors = record.value(folder, "descriptors")
        self.ends = record.value(folder, "ends")
        # What the queue in front of the database held; None where the database is the queue.
        self.queue = record.value(folder, "queue") if Path(folder, "queue.json").exists() else None
        with sqlite3.connect(Path(folder, "scans.db")) as database:
            database.row_factory = sqlite3.Row
            self.read(database)
        database.close()

    def read(self, database):
        def rows(sql):
            return [dict(row) for row in database.execute(sql)]

        self.jobs = {row["id"]: row for row in rows("SELECT * FROM scan_jobs")}
        self.transitions = grouped(map(named, rows("SELECT * FROM transitions ORDER BY version, seq")))
        self.attempts = {(row["job_id"], row["attempt"]): row for row in rows("SELECT * FROM attempts")}
        self.results = grouped(rows("SELECT job_id FROM scan_results"))
        self.documents = grouped(rows("SELECT job_id, n, attempt, body FROM documents ORDER BY n"))
        self.obligations = rows("SELECT * FROM containers")
        self.worker_rows = rows("SELECT * FROM workers")
        self.integrity = [row["integrity_check"] for row in rows("PRAGMA integrity_check")]
        self.foreign = rows("PRAGMA foreign_key_check")

    def asked(self, what):
        """The jobs for which the feeder asked this."""
        return {wish["id"] for wish in self.wishes if wish["what"] == what}


def named(edge):
    """The reason of an edge is a word, followed by the class of failure if it carries one."""
    reason, _, kind = edge["reason"].partition(": ")
    return edge | {"reason": reason, "class": kind or None}


def grouped(rows):
    found = defaultdict(list)
    for row in rows:
        found[row["job_id"]].append(row)
    return found


def history(evidence, job):
    """The transitions of a job, for a person."""
    lines = [
        f"    v{edge['version']} {edge['from_state']} -> {edge['to_state']} ({edge['reason']}"
        f"{': ' + edge['class'] if edge['class'] else ''}) attempt {edge['attempt']} "
        f"at {edge['at_ms']} by {(edge['worker'] or '-')[-12:]}"
        for edge in evidence.transitions.get(job, [])
    ]
    return "\n".join(["", *lines]) if lines else ""
