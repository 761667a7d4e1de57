"""A server of a run that may be killed and frozen: what starts, stops and waits for it, whichever it is."""

import signal
import subprocess
import time


class Server:
    """One process, with its output in the run's folder. Who it is says `answers`."""

    # Seconds.
    UP_WITHIN = 60
    DOWN_WITHIN = 30

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.process = None

    def launch(self, command):
        """Starts it and waits until it answers, with what it keeps read."""
        with open(f"{self.folder}/{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + self.UP_WITHIN
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.name} does not come up; see {self.name}.log")
            time.sleep(0.02)

    def answers(self):
        raise NotImplementedError

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """Whoever does not go when told to is killed."""
        self.process.terminate()
        try:
            self.process.wait(self.DOWN_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
