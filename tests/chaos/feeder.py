"""Submits jobs all the time, cancels some of them and has some done again; keeps a list of its own of what it was told.

Most jobs come through `safeurl submit`; the rest are written into the tables as another program writes them, each for
one of several users. A job counts as submitted from the moment its id was printed, or its INSERT was committed. Where
a queue is in front, an official client adds the entries of those rows; a few are left without, as by a program that
died between the two, and a few entries have no row.
"""

import json
import queue
import random
import socket
import sqlite3
import subprocess
import threading
import time
import uuid
from pathlib import Path

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
    # The shares of what comes through the queue alone, and of what the queue never hears of.
    WITHOUT_ROW = 0.2
    WITHOUT_ENTRY = 0.02

    def __init__(self, program, database, producer, port, record, seed):
        super().__init__(daemon=True)
        self.program = program
        self.database = database
        self.producer = producer
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
            row = True
            if limit is None and self.rng.random() < (0.65 if self.producer else 0.35):
                job, user, attempts, row = self.as_another_program(url)
            else:
                job, user, attempts = self.by_command(url, limit), "local", None
            if job is None:
                continue
            self.record.add("submitted", id=job, key=key, user=user, kind=kind, url=url, attempts=attempts, row=row)
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

    def as_another_program(self, url):
        """A row, an entry, or both, and whether there is a row. No job when it is not known whether there is one."""
        job, user = str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), self.rng.choice(USERS)
        if self.producer is None:
            self.insert(job, user, url)
            return job, user, None, True
        draw, attempts = self.rng.random(), self.rng.randint(1, 3)
        if draw >= self.WITHOUT_ROW:
            self.insert(job, user, url)
        # Found by a worker within a minute or two, which nobody waits for once the faults are over.
        if draw >= 1 - self.WITHOUT_ENTRY and not self.halt.is_set():
            return job, user, None, True
        added = self.producer.add(job, user, url, attempts)
        row = draw >= self.WITHOUT_ROW
        return (job if added or row else None), user, attempts, row

    def insert(self, job, user, url):
        self.database.write(
            ("INSERT OR IGNORE INTO users (clerk_user_id) VALUES (?)", user),
            ("INSERT INTO scan_jobs (id, user_id, url) VALUES (?, ?, ?)", job, user, url),
        )

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
        """Those that something was done with lately; others may wait for a queue that has lost them."""
        return self.rows(f"SELECT count(*) FROM scan_jobs WHERE {OPEN} AND updated_at > unixepoch() - 20")[0][0]

    def rows(self, sql):
        return self.database.rows(sql)


class Producer:
    """The official client, which adds entries; it waits for a queue that is away."""

    PATIENCE = 10

    def __init__(self, home, redis, name):
        script = Path(__file__).with_name("producer.mjs")
        self.process = subprocess.Popen(
            ["node", script, home, redis, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.number = 0
        self.answers = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))

    def add(self, job, user, url, attempts):
        """Whether it was added for certain."""
        self.number += 1
        opts = {"attempts": attempts, "backoff": {"type": "fixed", "delay": 300}}
        asked = {"n": self.number, "data": {"jobId": job, "url": url, "userId": user}, "opts": opts}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        until = time.monotonic() + self.PATIENCE
        while time.monotonic() < until:
            try:
                answer = self.answers.get(timeout=0.5)
            except queue.Empty:
                continue
            # One that came too late is nobody's.
            if answer["n"] == self.number:
                return "id" in answer
        return False

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
