"""The worker processes of the run: started, killed, started again, and in the end asked to stop."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import census
from record import now_ms

END_WITHIN = 90


class Program:
    """The program under test: a copy in the run's folder, so that its processes are told from all others."""

    def __init__(self, binary, folder, database, socket, redis=None, pool="none"):
        self.path = f"{folder}/safeurl"
        os.link(binary, self.path) if same_device(binary, folder) else copy(binary, self.path)
        self.folder = folder
        self.run_dir = f"{folder}/run"
        self.settings = {
            "PATH": os.environ.get("PATH", ""),
            "SAFEURL_DATABASE_URL": database,
            "SAFEURL_SANDBOX_DOCKER_HOST": f"unix://{socket}",
            "SAFEURL_SANDBOX_RUN_DIR": self.run_dir,
            "SAFEURL_SANDBOX_TIMEOUT": "20s",
            "SAFEURL_SANDBOX_MEMORY": "64MiB",
            "SAFEURL_FETCH_BODY_CAP": "1MiB",
            "SAFEURL_GATEWAY_ALLOW_NETWORKS": "127.0.0.1/32",
            "SAFEURL_WORKER_CONCURRENCY": "2",
            # All pages are on one host.
            "SAFEURL_POLITENESS_PER_HOST": "256",
            "SAFEURL_LOG_FORMAT": "json",
        }
        # How many containers wait for jobs at each worker.
        self.waiting = 2 if pool == "waiting" else 0
        if self.waiting:
            size = str(self.waiting)
            self.settings |= {"SAFEURL_POOL_MIN": size, "SAFEURL_POOL_MAX": size, "SAFEURL_POOL_MAX_AGE": "10s"}
        if redis:
            self.settings["REDIS_URL"] = f"unix://{redis}"

    def argv(self):
        return [self.path]

    def surroundings(self):
        return {"env": self.settings, "cwd": self.folder}


def same_device(one, other):
    return os.stat(one).st_dev == os.stat(other).st_dev


def copy(source, target):
    Path(target).write_bytes(Path(source).read_bytes())
    os.chmod(target, 0o755)


class Worker:
    """One process, from its start to its end."""

    def __init__(self, program, name, record):
        self.name = name
        self.record = record
        self.id = None
        self.stopped = False
        self.tracer = None
        self.log = Path(f"{program.folder}/logs/{name}.log")
        self.log.parent.mkdir(exist_ok=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*program.argv(), "worker"],
                **program.surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self.process.pid
        record.add("workers", event="started", name=name, pid=self.pid)

    def is_alive(self):
        return self.process.poll() is None

    def look_whether_it_is_ready(self):
        """From its log: the line says its id and is written before its first claim."""
        for line in self.log.read_text(errors="replace").splitlines(keepends=True):
            if '"taking jobs"' in line and line.endswith("\n"):
                self.id = json.loads(line)["worker.id"]
                self.record.add("workers", event="ready", name=self.name, pid=self.pid, id=self.id)
                return

    def kill(self):
        at_ms = now_ms()
        self.process.kill()
        # A dead process cannot be buried while its tracer holds a thread of it, which strace may do for ever.
        tracer = self.tracer
        if tracer is not None:
            tracer.kill()
        code = self.process.wait()
        if self.id is None:
            self.look_whether_it_is_ready()
        self.record.add("workers", event="ended", name=self.name, pid=self.pid, id=self.id, code=code, at_ms=at_ms)
        return at_ms


class Workers:
    """Three places, each with a worker in it or about to get one."""

    PLACES = 3

    def __init__(self, program, record):
        self.program = program
        self.record = record
        self.lock = threading.Lock()
        self.places = [None] * self.PLACES
        self.due = [0.0] * self.PLACES
        self.started = 0
        self.ended_by_themselves = []
        self.halt = threading.Event()
        self.thread = threading.Thread(target=self.attend, daemon=True)
        self.thread.start()

    def attend(self):
        """Starts what is due, hears what is ready, and notices what ended without being told to."""
        while not self.halt.wait(0.05):
            with self.lock:
                for place in range(self.PLACES):
                    self.attend_one(place)

    def attend_one(self, place):
        worker = self.places[place]
        if worker is None:
            if time.monotonic() >= self.due[place]:
                self.started += 1
                self.places[place] = Worker(self.program, f"{place + 1}-{self.started}", self.record)
        elif not worker.is_alive():
            self.ended_by_themselves.append(f"{worker.name} (exit code {worker.process.returncode})")
            worker.kill()
            self.free(place, 1.0)
        elif worker.id is None:
            worker.look_whether_it_is_ready()

    def free(self, place, pause):
        self.places[place] = None
        self.due[place] = time.monotonic() + pause

    def alive(self):
        with self.lock:
            return [worker for worker in self.places if worker is not None and worker.is_alive()]

    def ready(self):
        return [worker for worker in self.alive() if worker.id is not None and not worker.stopped]

    def kill(self, worker, pause):
        """Kills one and has another started in its place after a pause. None if it was gone already."""
        with self.lock:
            if worker not in self.places or not worker.is_alive():
                return None
            at_ms = worker.kill()
            self.free(self.places.index(worker), pause)
            return at_ms

    def wait_until_all_are_ready(self, within):
        until = time.monotonic() + within
        while len(self.ready()) < self.PLACES:
            if time.monotonic() > until or not self.thread.is_alive():
                states = [f"{w.name}: {tail(w.log)}" for w in self.alive()]
                raise TimeoutError("not all workers take jobs:\n" + "\n".join(states))
            time.sleep(0.1)

    def end(self):
        """Asks all to stop; says how each ended."""
        self.halt.set()
        self.thread.join()
        codes = {}
        for worker in self.alive():
            worker.process.send_signal(signal.SIGTERM)
        for worker in filter(None, self.places):
            try:
                codes[worker.name] = worker.process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                codes[worker.name] = "did not end"
            self.record.add("workers", event="ended", name=worker.name, pid=worker.pid, id=worker.id)
        return codes

    def gateways(self):
        """The gateway processes of the run, those of dead workers too."""
        return census.of_run(self.program.folder, "no control group").get("gateway", [])


def tail(log, lines=3):
    return " | ".join(log.read_text(errors="replace").splitlines()[-lines:])
