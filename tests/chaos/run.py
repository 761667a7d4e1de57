"""Runs workers through chaos and has an auditor look at what came of it.

Three real workers on an engine of their own and a database on a volume of its own, as a file or behind sqld; the queue
is that database, or BullMQ's in a Redis in front of it. A feeder submits, faults happen.
Then the faults stop, the jobs drain, the workers are asked to end, and auditor.py judges. Whatever happens, nothing of
the run is left on the machine; what it wrote down is kept in the folder that it names.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import broker
import census
import record
import remains
import teardown
from broker import Redis
from database import File, Served
from engine import Engine, EngineError
from faults import Faults
from feeder import OPEN, Feeder, Producer
from record import Record, now_ms
from volume import Volume
from workers import Program, Workers

HERE = Path(__file__).parent
DRAIN_WITHIN = 240
POOLS = ["none", "waiting"]

# Containers that a worker with few slots writes down before it makes them.
AHEAD = 4
QUIET_WITHIN = 60


class Run:
    """One run and all that belongs to it."""

    def __init__(self, options):
        self.minutes = options.minutes
        self.seed = options.seed
        self.binary = options.binary
        self.kept = Path(options.keep) / f"seed-{options.seed}"
        self.cgroup = f"{teardown.NAME}-{os.getpid()}"
        self.folder = f"{teardown.BASE}/{self.cgroup}"
        shutil.rmtree(self.kept, ignore_errors=True)
        self.record = Record(self.kept)
        self.options = options
        self.redis = self.sqld = self.producer = None
        self.stays = []
        self.lost = []

    def set_up(self):
        os.mkdir(self.folder, 0o711)
        self.undertaker = subprocess.Popen(
            [sys.executable, HERE / "teardown.py", self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self.volume = Volume(self.folder)
        self.volume.mount()
        self.engine = Engine(self.folder, self.cgroup)
        self.engine.start()
        self.start_storage()
        self.pages = subprocess.Popen(
            [sys.executable, HERE / "pages.py", str(self.kept)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        port = int(self.pages.stdout.readline())
        redis = self.redis and self.redis.socket
        self.program = Program(self.binary, self.folder, self.database.url, self.engine.socket, redis, self.options.pool)
        if self.sqld:
            # Nobody takes over what is not a file of this machine without being told to.
            migrate = [*self.program.argv(), "db", "migrate"]
            subprocess.run(migrate, **self.program.surroundings(), check=True, stdout=subprocess.DEVNULL)
        self.record.write(
            "run",
            {
                "seed": self.seed,
                "minutes": self.minutes,
                "queue": self.options.queue,
                "database": self.options.database,
                "pool": self.options.pool,
                "folder": self.folder,
                "cgroup": self.cgroup,
                "engine": self.engine.socket,
                "run_dir": self.program.run_dir,
                "mounts_before": census.mounts(self.folder),
                "began_ms": now_ms(),
            },
        )
        self.workers = Workers(self.program, self.record)
        self.workers.wait_until_all_are_ready(within=180)
        self.feeder = Feeder(self.program, self.database, self.producer, port, self.record, self.seed)

    def start_storage(self):
        volume = self.volume.path
        if self.options.database == "sqld":
            self.database = self.sqld = Served(self.folder, volume, self.options.sqld)
            self.sqld.start()
        else:
            self.database = File(volume)
        if self.options.queue == "bullmq":
            self.redis = Redis(self.folder, self.options.redis_keeps)
            self.redis.start()
            self.producer = Producer(self.options.client, self.redis.socket, broker.QUEUE)

    def go_through_chaos(self):
        self.faults = Faults(
            self.workers, self.engine, self.volume, self.redis, self.sqld, self.record, self.seed
        )
        self.feeder.start()
        self.faults.start()
        began = time.monotonic()
        until = began + self.minutes * 60
        while time.monotonic() < until:
            self.faults.kill_until(min(until, time.monotonic() + 30))
            counts = self.faults.counts
            kills = sum(count for kind, count in counts.items() if kind.startswith("kill"))
            others = sum(counts.values()) - kills
            passed = f"{time.monotonic() - began:4.0f} s, {kills} kills, {others} other faults"
            print(f"chaos: {passed}, {self.feeder.submitted} jobs submitted", flush=True)
        self.faults.stop()
        self.feeder.stop()

    def drain(self):
        """Until every job is final and nothing but idle workers is left; the auditor tells what is, if not."""
        self.workers.wait_until_all_are_ready(within=60)
        if self.wait(DRAIN_WITHIN, self.open_jobs):
            self.look_closer()
        # What did not go before is not waited for again.
        self.stays += self.wait(QUIET_WITHIN, lambda: [thing for thing in self.unrest() if thing not in self.stays])

    def look_closer(self):
        """What only now can be asked: who waits for whom. It is kept at once, for the run may be ended from outside."""
        jobs = f"SELECT id, state, lease_owner, lease_until, container_id, delivery_token FROM scan_jobs WHERE {OPEN}"
        asked = {
            "jobs": lambda: self.feeder.rows(jobs),
            "containers": lambda: [[one["Id"], one["State"], one["Status"]] for one in self.engine.containers()],
            "queue": lambda: self.redis and self.redis.picture(),
        }
        found = {"at_ms": now_ms()}
        for name, ask in asked.items():
            try:
                found[name] = ask()
            except (sqlite3.OperationalError, OSError, EngineError) as error:
                found[name] = f"no answer: {error}"
        self.record.write("stuck", found)
        self.keep_logs()

    def open_jobs(self):
        rows = self.feeder.rows(f"SELECT id, state FROM scan_jobs WHERE {OPEN}")
        return [f"{job} is {state}" for job, state in rows]

    def unrest(self):
        """What an idle worker has no need of."""
        alive = {worker.pid for worker in self.workers.alive()}
        # The folder of a worker is named by the end of its id.
        own = {worker.id[-12:] for worker in self.workers.ready()}
        found = census.of_run(self.folder, self.cgroup)
        obligations, waiting = self.waiting()
        known = {*self.forgotten(found), *waiting}
        found["shim"] = [shim for shim in found.get("shim", []) if shim.argument("-id") not in known]
        found["fetcher"] = [one for one in found.get("fetcher", []) if not any(id in one.cgroup for id in known)]
        return [
            *(f"{kind} {process}" for kind in ("shim", "fetcher", "command") for process in found.get(kind, [])),
            *(f"gateway {gateway}" for gateway in found.get("gateway", []) if gateway.parent not in alive),
            *(f"folder {name}" for name in os.listdir(self.program.run_dir) if name not in own),
            *(f"obligation {name}" for name in obligations),
        ]

    def waiting(self):
        """Obligations that an idle worker has no need of, and the containers that wait for jobs as they should."""
        rows = self.feeder.rows("SELECT worker, name FROM containers")
        there = {name.lstrip("/"): one["Id"] for one in self.engine.containers() for name in one["Names"]}
        # What a worker has written down ahead is no container yet.
        made = [row for row in rows if row[1] in there]
        ahead = [row for row in rows if row[1] not in there]
        ready = {worker.id for worker in self.workers.ready()}
        as_many = {id for id in ready if count_of(made, id) == self.program.waiting}
        no_more = {id for id in ready if count_of(ahead, id) <= AHEAD}
        others = [name for id, name in made if id not in as_many] + [name for id, name in ahead if id not in no_more]
        return others, [there[name] for id, name in made if id in as_many]

    def forgotten(self, found):
        return remains.forgotten(found, self.engine.containers(), record.lines(self.kept, "faults"))

    def end_engine(self):
        """Takes note of what it has forgotten, which nobody else ends."""
        found = census.of_run(self.folder, self.cgroup)
        ids = self.forgotten(found)
        inside = [str(one) for one in found.get("fetcher", []) if any(id in one.cgroup for id in ids)]
        self.lost = [*ids, *inside]
        self.engine.stop()

    def watch_descriptors(self):
        """What a worker has open at idle, before and after more work with an engine that went away in it."""
        ports = {self.sqld.port} if self.sqld else set()
        count = lambda: {str(worker.pid): census.descriptors(worker.pid, ports) for worker in self.workers.ready()}
        # Containers that wait are as many before and after, but now and then one is made anew.
        before = over(count, max) if self.options.pool == "waiting" else count()
        for _ in range(2):
            self.feeder.submit(12)
            self.faults.restart_engine()
            for _ in range(self.workers.PLACES):
                self.faults.kill_gateway()
            self.feeder.submit(6)
            self.drain()
        # What is closed a little later is not kept: each kind counts at its lowest.
        self.record.write("descriptors", {"before": before, "after": over(count, min)})

    def end(self):
        codes = self.workers.end()
        for name in self.workers.ended_by_themselves:
            codes[name] = "ended by itself"
        self.record.write("ends", codes)
        self.keep_database()

    def keep_database(self):
        """What is judged; nobody serves it any more."""
        if self.producer:
            self.producer.end()
        if self.redis:
            self.record.write("queue", self.redis.picture())
            self.redis.stop()
        self.database.stop()
        self.database.keep(self.kept / "scans.db")

    def audit(self):
        return subprocess.run([sys.executable, HERE / "auditor.py", str(self.kept)]).returncode

    @staticmethod
    def wait(within, look):
        """Until there is nothing to see any more; says what is, when that takes too long."""
        until = time.monotonic() + within
        left = ["the database or the engine, which does not answer"]
        while left and time.monotonic() < until:
            try:
                left = look()
            except (sqlite3.OperationalError, OSError):
                pass
            time.sleep(0.2)
        for thing in left:
            print(f"chaos: still there after {within} s: {thing}", flush=True)
        return left

    def take_down(self):
        """What is still there of the run goes; the logs are kept."""
        try:
            self.quieten()
            self.keep_logs()
        finally:
            left = teardown.take_down(self.folder)
            if hasattr(self, "undertaker"):
                self.undertaker.communicate()
        return left

    def quieten(self):
        """Nobody starts anything any more."""
        if hasattr(self, "workers"):
            self.workers.halt.set()
            self.workers.thread.join()
        if hasattr(self, "feeder"):
            self.feeder.halt.set()
        if hasattr(self, "faults"):
            self.faults.stop()
        if hasattr(self, "feeder") and self.feeder.ident is not None:
            # Its command may wait for a database that is gone, and ends with the others then.
            self.feeder.join(10)
        if self.producer:
            self.producer.process.kill()
            self.producer.process.wait()
        if hasattr(self, "pages"):
            self.pages.stdin.close()
            self.pages.wait()

    def keep_logs(self):
        logs = Path(self.folder, "logs")
        if logs.exists():
            shutil.copytree(logs, self.kept / "logs", dirs_exist_ok=True)
        for log in Path(self.folder).glob("*.log"):
            shutil.copy(log, self.kept)


def minutes(text):
    """A time in which something can happen."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def count_of(rows, first):
    return sum(row[0] == first for row in rows)


def over(count, choose):
    """The highest or lowest of each number in five seconds."""
    chosen = count()
    for _ in range(10):
        time.sleep(0.5)
        for pid, kinds in count().items():
            chosen[pid] = {kind: choose(number, kinds.get(kind, 0)) for kind, number in chosen.get(pid, kinds).items()}
    return chosen


def decide(options):
    """What was not asked for is drawn from the seed, each with the same chance, whatever else was asked for."""
    rng = random.Random(f"kinds {options.seed}")
    drawn = {
        "queue": rng.choice(["embedded", "bullmq"]),
        "database": rng.choice(["file", "sqld"]),
        "redis_keeps": rng.choice(list(broker.KEEPS)),
        "pool": rng.choice(POOLS),
    }
    for name, kind in drawn.items():
        setattr(options, name, getattr(options, name) or kind)


def interrupted(number, _):
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=minutes, required=True, help="how long faults happen")
    parser.add_argument("--seed", default=None, help="the seed of an earlier run")
    parser.add_argument("--binary", required=True, help="the program, with its fetcher inside")
    parser.add_argument("--queue", choices=["embedded", "bullmq"], help="what hands out the jobs; else the seed decides")
    parser.add_argument("--database", choices=["file", "sqld"], help="what keeps them; else the seed decides")
    parser.add_argument("--redis-keeps", choices=list(broker.KEEPS), help="over a restart; else the seed decides")
    parser.add_argument("--pool", choices=POOLS, help="whether containers wait for jobs; else the seed decides")
    parser.add_argument("--client", default="target/interop/node6", help="where the official client is installed")
    parser.add_argument("--sqld", default="target/tools/sqld", help="the libSQL server")
    parser.add_argument("--keep", default="target/chaos", help="where records are kept")
    options = parser.parse_args()
    options.seed = options.seed or str(random.SystemRandom().randrange(10**9))
    decide(options)
    if os.geteuid() != 0:
        sys.exit("error: an engine and a volume of one's own need root\nhint: sudo make chaos MINUTES=2")
    # However the run is told to stop, it takes everything down. Once only: taking down is not interrupted.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    teardown.take_down_the_dead()
    run = Run(options)
    kinds = f"queue {options.queue}, database {options.database}, pool {options.pool}"
    if options.queue == "bullmq":
        kinds += f", Redis keeps {options.redis_keeps}"
    print(f"chaos: seed {run.seed}, {run.minutes:g} min of faults, {kinds}, record in {run.kept}", flush=True)
    code = 1
    try:
        run.set_up()
        run.go_through_chaos()
        print("chaos: the faults are over, the jobs drain", flush=True)
        run.drain()
        run.watch_descriptors()
        run.end()
        code = run.audit()
        run.end_engine()
    finally:
        for left in run.take_down():
            # With everybody told to end, nothing may be left to take down.
            if code == 0 and not any(lost in left for lost in run.lost):
                print(f"violation: left after the engine's end: {left}")
                code = 1
    if code:
        print(f"chaos: failed; again with SEED={run.seed}; record and logs in {run.kept}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
