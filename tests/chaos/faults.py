"""What is done to the run, drawn from the seed.

Kills take an instant, one after the other. Beside them go hindrances, which last for seconds, one at a time: a stopped
worker, slow or no storage, an engine that goes away. Who is hit depends on who is there, so that the same seed draws
the same faults without making the same run.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter

# The share of each kill.
KILLS = {"kill_worker": 3, "kill_gateway": 1}
# Seconds between two kills: one and a half in the mean, with the time that a kill takes.
PAUSE = (0.5, 2.2)
# Seconds before a killed worker is started again.
ABSENCE = (0.2, 1.5)

# All of them in an order that is drawn, then all of them again.
HINDRANCES = {"stop_worker": 3, "slow_fsync": 2, "full_volume": 1, "restart_engine": 1, "kill_engine": 1}
# What is added where these are part of the run.
OF_REDIS = {"kill_redis": 2, "freeze_redis": 1}
OF_SQLD = {"kill_sqld": 2, "freeze_sqld": 1}
# With more to hinder the workers there is hardly a time at which nothing does.
OF_EITHER = {"respite": 3}
# Seconds between two hindrances.
CALM = (2, 6)
# Seconds of a respite. Longer than a recovery may take: how long one took is judged only where nothing hindered it.
RESPITE = 15


class Faults:
    def __init__(self, workers, engine, volume, redis, sqld, record, seed):
        self.workers = workers
        self.engine = engine
        self.volume = volume
        self.redis = redis
        self.sqld = sqld
        self.kills = KILLS | ({"cut_redis": 1} if redis else {})
        self.hindrances = HINDRANCES | (OF_REDIS if redis else {}) | (OF_SQLD if sqld else {})
        self.hindrances |= OF_EITHER if redis or sqld else {}
        self.record = record
        self.kills_rng = random.Random(f"kills {seed}")
        self.rng = random.Random(f"hindrances {seed}")
        self.counts = Counter()
        self.halt = threading.Event()
        self.hindering = threading.Thread(target=self.hinder, daemon=True)
        self.trouble = None

    def start(self):
        self.hindering.start()

    def stop(self):
        """Returns when the last hindrance is over."""
        self.halt.set()
        if self.hindering.ident is not None:
            self.hindering.join()

    def kill_until(self, until):
        while time.monotonic() < until:
            time.sleep(self.kills_rng.uniform(*PAUSE))
            if self.trouble:
                raise self.trouble
            getattr(self, self.kills_rng.choices(list(self.kills), self.kills.values())[0])()

    def hinder(self):
        try:
            while True:
                deck = [name for name, number in self.hindrances.items() for _ in range(number)]
                self.rng.shuffle(deck)
                for name in deck:
                    if self.halt.wait(self.rng.uniform(*CALM)):
                        return
                    getattr(self, name)()
        except Exception as error:
            # Told to whoever waits for the kills.
            self.trouble = error

    def kill_worker(self):
        # A stopped one is left to be continued: that is another fault.
        able = [worker for worker in self.workers.alive() if not worker.stopped]
        if not able:
            return
        worker = self.kills_rng.choice(able)
        at_ms = self.workers.kill(worker, self.kills_rng.uniform(*ABSENCE))
        if at_ms is not None:
            self.done("kill worker", at_ms=at_ms, worker=worker.id, name=worker.name)

    def kill_gateway(self):
        gateways = self.workers.gateways()
        if gateways:
            gateway = self.kills_rng.choice(sorted(gateways, key=lambda gateway: gateway.pid))
            try:
                os.kill(gateway.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            self.done("kill gateway", pid=gateway.pid, parent=gateway.parent)

    def respite(self):
        """Kills, and nothing else."""
        self.halt.wait(RESPITE)

    def stop_worker(self):
        """Longer than a lease, so that its jobs are taken over while it still believes that they are its own."""
        ready = self.workers.ready()
        if not ready:
            return
        worker = self.rng.choice(ready)
        worker.stopped = True
        with self.during("stop worker", worker=worker.id, name=worker.name):
            worker.process.send_signal(signal.SIGSTOP)
            time.sleep(self.rng.uniform(8, 12))
            worker.process.send_signal(signal.SIGCONT)
        worker.stopped = False

    def slow_fsync(self):
        """Each fsync of one worker, or of the server that writes for all, takes 0.4 s longer."""
        if self.sqld:
            with self.during("slow sqld"):
                self.trace(self.sqld.process.pid)
            return
        ready = self.workers.ready()
        if not ready:
            return
        worker = self.rng.choice(ready)
        with self.during("slow fsync", worker=worker.id, name=worker.name):
            self.trace(worker.pid, worker)
            worker.tracer = None

    def trace(self, pid, worker=None):
        delay = ["-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=400000"]
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", "/dev/null", *delay, "-p", str(pid)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if worker:
            worker.tracer = tracer
        time.sleep(self.rng.uniform(3, 6))
        tracer.terminate()
        try:
            tracer.wait(5)
        except subprocess.TimeoutExpired:
            # It waits for a thread that will not stop any more. Killed, it lets go of all of them.
            tracer.kill()
            tracer.wait()

    def full_volume(self):
        with self.during("full volume"):
            self.volume.fill()
            time.sleep(self.rng.uniform(2, 6))
            self.volume.free()

    def restart_engine(self):
        with self.during("restart engine"):
            self.engine.stop()
            time.sleep(self.rng.uniform(0, 2))
            self.engine.start()

    def kill_engine(self):
        with self.during("kill engine"):
            self.engine.kill()
            time.sleep(self.rng.uniform(0, 2))
            self.engine.start()

    def cut_redis(self):
        """Nobody's connection lives on; nothing else is different."""
        try:
            self.redis.cut()
        except OSError:
            return
        self.done("cut redis")

    def kill_redis(self):
        self.kill("kill redis", self.redis)

    def freeze_redis(self):
        self.freeze("freeze redis", self.redis)

    def kill_sqld(self):
        self.kill("kill sqld", self.sqld)

    def freeze_sqld(self):
        self.freeze("freeze sqld", self.sqld)

    def kill(self, what, server):
        with self.during(what):
            server.kill()
            time.sleep(self.rng.uniform(0, 3))
            server.start()

    def freeze(self, what, server):
        """Its connections stay, and nothing is answered."""
        with self.during(what):
            server.freeze()
            time.sleep(self.rng.uniform(2, 6))
            server.thaw()

    def during(self, what, **more):
        return During(self, what, more)

    def done(self, what, **more):
        self.counts[what] += 1
        self.record.add("faults", what=what, **more)


class During:
    """Writes a fault down when it is over, with the time at which it began."""

    def __init__(self, faults, what, more):
        self.faults, self.what, self.more = faults, what, more

    def __enter__(self):
        self.began = time.time_ns() // 1_000_000

    def __exit__(self, *_):
        end = time.time_ns() // 1_000_000
        self.faults.done(self.what, at_ms=self.began, end_ms=end, **self.more)
