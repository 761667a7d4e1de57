"""Submits jobs all the time, cancels some of them and has some done again; keeps a list of its own of what it was told.

Most jobs come through `safeurl submit`; the rest are written into the tables as another program writes them, each for
one of several users. A job counts as submitted from the moment its id was printed, or its INSERT was committed.
"""

import random
import socket
import sqlite3
import subprocess
import threading
import time
import uuid

USERS = ["anna", "bela", "cleo"]

# How often each kind of page, and the time limit that its job is given, if any.
KINDS = {
    "quick": (44, None),
    "slow": (22, None),
    "redirect": (10, None),
    "large": (6, None),
    "endless": (5, None),
    "missing": (4, None),
    "refused": (4, None),
    "drip": (2, "4s"),
    "silent": (3, "3s"),
}


# Jobs that are not final.
OPEN = "state IN ('QUEUED', 'FETCHING', 'ANALYZING')"


class Feeder(threading.Thread):
    """A thread of its own; nothing that goes wrong with a submission ends it."""

    # More would only make the end of the run longer.
    OPEN_AT_MOST = 14

    def __init__(self, program, database, port, record, seed):
        super().__init__(daemon=True)
        self.program = program
        self.database = database
        self.record = record
        self.rng = random.Random(f"feeder {seed}")
        self.port = port
        # Bound and never listened on: connections to it are refused, and nobody else gets it.
        self.closed_port = socket.socket()
        self.closed_port.bind(("127.0.0.1", 0))
        self.halt = threading.Event()
        self.number = 0
        self.submitted = 0
        self.refused = 0
        self.wishes = []

    def run(self):
        while not self.halt.wait(self.rng.uniform(0.15, 0.6)):
            try:
                if self.open_jobs() < self.OPEN_AT_MOST:
                    self.submit(self.rng.randint(1, 3))
                self.wish()
            except (sqlite3.Error, subprocess.SubprocessError):
                self.refused += 1

    def stop(self):
        self.halt.set()
        self.join()

    def submit(self, count):
        for _ in range(count):
            kind, (_, limit) = self.rng.choices(list(KINDS.items()), [weight for weight, _ in KINDS.values()])[0]
            self.number += 1
            key = f"k{self.number}"
            url = self.url(kind, key)
            if limit is None and self.rng.random() < 0.35:
                job, user = self.insert(url)
            else:
                job, user = self.by_command(url, limit), "local"
            self.record.add("submitted", id=job, key=key, user=user, kind=kind, url=url)
            self.submitted += 1
            if self.rng.random() < 0.06:
                self.wishes.append((time.monotonic() + self.rng.uniform(0, 4), "cancel", job))

    def url(self, kind, key):
        if kind == "refused":
            return f"http://127.0.0.1:{self.closed_port.getsockname()[1]}/{kind}/{key}"
        ending = {"slow": f"/{self.rng.randint(1000, 8000)}", "redirect": "/0"}.get(kind, "")
        return f"http://127.0.0.1:{self.port}/{kind}/{key}{ending}"

    def by_command(self, url, limit):
        arguments = ["submit", url] if limit is None else ["submit", "--timeout", limit, url]
        return self.command(*arguments).stdout.strip()

    def insert(self, url):
        job, user = str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), self.rng.choice(USERS)
        with self.connected() as database:
            database.execute("INSERT OR IGNORE INTO users (clerk_user_id) VALUES (?)", [user])
            database.execute("INSERT INTO scan_jobs (id, user_id, url) VALUES (?, ?, ?)", [job, user, url])
        return job, user

    def wish(self):
        due = [wish for wish in self.wishes if wish[0] <= time.monotonic()]
        self.wishes = [wish for wish in self.wishes if wish not in due]
        for _, what, job in due:
            self.ask(what, job)
        if self.rng.random() < 0.08:
            ended = self.rows("SELECT id FROM scan_jobs WHERE state IN ('FAILED', 'TIMED_OUT') ORDER BY id")
            if ended:
                self.ask("retry", self.rng.choice(ended)[0])

    def ask(self, what, job):
        # Written down before: the wish may be granted although its answer is lost.
        self.record.add("wishes", what=what, id=job)
        self.command("jobs", what, job, check=False)

    def command(self, *arguments, check=True):
        return subprocess.run(
            [*self.program.argv(), *arguments],
            **self.program.surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=60,
            check=check,
        )

    def open_jobs(self):
        return self.rows(f"SELECT count(*) FROM scan_jobs WHERE {OPEN}")[0][0]

    def rows(self, sql):
        with self.connected() as database:
            return database.execute(sql).fetchall()

    def connected(self):
        return Connected(self.database)


class Connected:
    """A connection that commits and closes at its end."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, timeout=5)

    def __enter__(self):
        # As another program would: nothing is promised that is not on the volume.
        self.database.execute("PRAGMA foreign_keys = ON")
        return self.database

    def __exit__(self, kind, *_):
        try:
            self.database.commit() if kind is None else self.database.rollback()
        finally:
            self.database.close()
