"""A Docker engine of the run's own, beside whatever else runs on the machine."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path


class EngineError(Exception):
    """The engine does not do what it is told."""


class Engine:
    """Own socket, data, state, control group and network, so that it changes nothing of the host's."""

    UP_WITHIN = 60
    DOWN_WITHIN = 60
    # A service manager would try again too.
    STARTS = 3

    def __init__(self, folder, cgroup):
        self.folder = folder
        self.cgroup = cgroup
        self.socket = f"{folder}/engine.sock"
        self.process = None

    def start(self):
        """Starts it and waits until it answers."""
        for _ in range(self.STARTS):
            self.launch()
            until = time.monotonic() + self.UP_WITHIN
            while self.process.poll() is None and time.monotonic() < until:
                if self.answers():
                    return
                time.sleep(0.05)
            self.kill()
        raise EngineError("dockerd does not come up; see engine.log")

    def launch(self):
        with open(f"{self.folder}/engine.log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    # An engine without a bridge removes the default one that it finds in its network, whoever made it.
                    # unshare becomes dockerd, so that the process is the engine itself.
                    "unshare",
                    "--net",
                    "dockerd",
                    f"--host=unix://{self.socket}",
                    f"--data-root={self.folder}/data",
                    f"--exec-root={self.folder}/exec",
                    f"--pidfile={self.folder}/engine.pid",
                    f"--cgroup-parent=/{self.cgroup}",
                    "--bridge=none",
                    "--iptables=false",
                    "--ip6tables=false",
                    "--log-level=warn",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self):
        """Asks it to end, which ends its containers and its containerd."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.DOWN_WITHIN)
        except subprocess.TimeoutExpired as error:
            raise EngineError("dockerd does not end; see engine.log") from error

    def kill(self):
        """Kills it where it stands, and its containerd with it; shims and containers live on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        # The kernel has killed containerd by now. Until somebody buries it, the next dockerd takes it for alive and
        # waits for it in vain, so its pid is not left to be read.
        for name in ("engine.pid", "exec/containerd/containerd.pid"):
            Path(self.folder, name).unlink(missing_ok=True)

    def answers(self):
        try:
            return self.get("/_ping")[0] == 200
        except OSError:
            return False

    def containers(self):
        """All of them, in whatever state."""
        status, body = self.get("/containers/json?all=1")
        if status != 200:
            raise EngineError(f"the engine does not list its containers: {body!r}")
        return json.loads(body)

    def get(self, path):
        connection = UnixConnection(self.socket)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path):
        super().__init__("engine", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self.path))
