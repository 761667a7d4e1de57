"""Takes down what is left of a run, also of one that was killed: it is found by its folder, not remembered.

Run as a program beside a run it takes down what a kill -9 of the run leaves:
    teardown.py FOLDER        waits for the end of its standard input
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import census

BASE = "/tmp"
NAME = "safeurl-chaos"
# containerd has no setting for it.
SHIM_SOCKETS = Path("/run/containerd/s")

# Workers and commands first, so that nobody asks the engine for more; tools such as strace hold no one.
ORDER = ["worker", "command", "gateway", "tool", "storage", "engine", "shim", "fetcher"]


def take_down_the_dead():
    """Runs whose process is gone, or has its number from a process that was."""
    for folder in Path(BASE).glob(f"{NAME}-*"):
        pid = folder.name.rsplit("-", 1)[1]
        if not pid.isdigit():
            continue
        process = census.Process(int(pid))
        if process.is_dead() or not any(argument.endswith("chaos/run.py") for argument in process.argv):
            take_down(str(folder))


def take_down(folder):
    """Processes, mounts, control groups and the folder; says what was still there besides the folder itself."""
    cgroup = os.path.basename(folder)
    left = end_processes(folder, cgroup)
    left += unmount(folder)
    left += remove_control_groups(cgroup)
    remove_shim_sockets(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return left


def end_processes(folder, cgroup):
    left = []
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = census.of_run(folder, cgroup)
        if not found:
            break
        for kind in ORDER:
            for process in found.get(kind, []):
                note = f"{kind} {process}"
                if note not in left:
                    left.append(note)
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        time.sleep(0.1)
    return left


def unmount(folder):
    left = []
    for point in reversed(census.mounts(folder)):
        if point != f"{folder}/volume" and point != f"{folder}/data":
            left.append(f"mount {point}")
        if subprocess.run(["umount", point], stderr=subprocess.DEVNULL).returncode:
            subprocess.run(["umount", "--lazy", point])
    return left


def remove_shim_sockets(folder):
    """A shim that was killed leaves its socket outside of the engine's folders, named after engine and container."""
    logs = [*Path(folder).glob("*.log"), *Path(folder, "logs").glob("*.log")]
    ids = {id for log in logs for id in re.findall(r"\b[0-9a-f]{64}\b", log.read_text(errors="replace"))}
    ids |= {path.name for path in Path(folder, "data", "containers").glob("*")}
    for id in ids:
        name = hashlib.sha256(f"{folder}/exec/containerd/containerd.sock/moby/{id}".encode()).hexdigest()
        SHIM_SOCKETS.joinpath(name).unlink(missing_ok=True)


def remove_control_groups(cgroup):
    groups = census.control_groups(cgroup)
    paths = [*groups, *map(str, census.CGROUPS.glob(f"*/{cgroup}")), str(census.CGROUPS / cgroup)]
    until = time.monotonic() + 5
    # One is busy for a moment after its last process was killed.
    while paths and time.monotonic() < until:
        for path in paths:
            try:
                os.rmdir(path)
            except OSError:
                pass
        paths = [path for path in paths if os.path.isdir(path)]
        time.sleep(0.05 if paths else 0)
    return [f"control group {path}" for path in groups]


if __name__ == "__main__":
    sys.stdin.read()
    if os.path.isdir(sys.argv[1]):
        take_down(sys.argv[1])
