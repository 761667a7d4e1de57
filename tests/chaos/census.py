"""What of a run is on the machine: processes, mounts, control groups, file descriptors.

Everything of a run is told by its folder, which nothing else on the machine has in its name: the program runs from a
copy in there, the engine and its shims are given paths in there, and the control group is named after it.
"""

import os
import re
import time
from collections import Counter
from pathlib import Path

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


class Process:
    """A process as /proc shows it; what cannot be read of it is empty."""

    def __init__(self, pid):
        self.pid = pid
        self.argv = [part.decode(errors="replace") for part in read(pid, "cmdline").split(b"\0") if part]
        self.cgroup = read(pid, "cgroup").decode(errors="replace")
        status = read(pid, "status").decode(errors="replace")
        self.parent = int(field(status, "PPid") or 0)
        self.name = field(status, "Name")
        self.state = field(status, "State")[:1]
        self.began_ms = began_ms(pid)
        try:
            self.exe = os.readlink(PROC / str(pid) / "exe").removesuffix(" (deleted)")
        except OSError:
            self.exe = ""

    def argument(self, name):
        """What follows this word of its command line, or an empty text."""
        return next((value for word, value in zip(self.argv, self.argv[1:]) if word == name), "")

    def is_dead(self):
        """A zombie holds nothing any more and waits for its parent."""
        return self.state in ("", "Z", "X")

    def __str__(self):
        return f"{self.pid} {' '.join(self.argv) or self.name}"[:160]


def read(pid, name):
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def began_ms(pid):
    """When a process began, by the wall clock, to a hundredth of a second; 0 when it is gone."""
    # Its name may hold anything but ends with the last bracket.
    fields = read(pid, "stat").rpartition(b")")[2].split()
    if len(fields) < 20:
        return 0
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return int((time.time() - age) * 1000)


def field(status, name):
    found = re.search(rf"^{name}:\s*(.*)$", status, re.MULTILINE)
    return found.group(1) if found else ""


def processes():
    """Every living process of the machine."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            process = Process(int(entry.name))
            if not process.is_dead():
                yield process


def of_run(folder, cgroup):
    """The processes of a run, by what they are: worker, gateway, command, fetcher, shim, engine, storage, tool."""
    found = {}
    for process in processes():
        kind = kind_of(process, folder, cgroup)
        if kind:
            found.setdefault(kind, []).append(process)
    return found


def kind_of(process, folder, cgroup):
    """What a process is to the run, or None for a stranger."""
    inside = f"{folder}/"
    program = os.path.basename(process.argv[0]) if process.argv else process.name
    if process.pid == os.getpid() or program.startswith("python"):
        return None
    if f"/{cgroup}/" in process.cgroup:
        return "fetcher"
    if process.exe.startswith(inside):
        word = process.argv[1] if len(process.argv) > 1 else ""
        return word if word in ("worker", "gateway") else "command"
    # An address has a scheme in front, and Redis writes its command line anew, as one text.
    addresses = (f":{inside}", f"unix://{inside}")
    if not any(word.startswith(inside) or any(address in word for address in addresses) for word in process.argv):
        return None
    if process.name in ("redis-server", "sqld"):
        return "storage"
    if program.startswith("containerd-shim"):
        return "shim"
    return "engine" if program in ("dockerd", "containerd") else "tool"


def mounts(folder):
    """Where something is mounted in a folder, in the order of mounting."""
    lines = (PROC / "self" / "mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if point.startswith(f"{folder}/")]


def control_groups(cgroup):
    """The folders of the run's control groups, the deepest first, in every hierarchy. The parent is not counted."""
    parents = [CGROUPS / cgroup, *CGROUPS.glob(f"*/{cgroup}")]
    found = set()
    for parent in parents:
        for path, folders, _ in os.walk(parent):
            found.update(os.path.join(path, name) for name in folders)
    return sorted(found, key=lambda path: (-path.count("/"), path))


def descriptors(pid, ports=()):
    """How many file descriptors of which kind a process has; connections to these ports are a kind of their own."""
    kinds = Counter()
    folder = PROC / str(pid) / "fd"
    pooled = connections(pid, ports)
    for name in os.listdir(folder):
        try:
            target = os.readlink(folder / name)
        except FileNotFoundError:
            continue
        kinds["connection to a server" if target in pooled else descriptor_kind(target)] += 1
    return dict(kinds)


def connections(pid, ports):
    """The sockets, as the names of descriptors, that are connected to these ports."""
    lines = [line.split() for line in read(pid, "net/tcp").decode().splitlines()[1:]]
    return {f"socket:[{line[9]}]" for line in lines if int(line[2].rpartition(":")[2], 16) in ports}


def descriptor_kind(target):
    """A socket, a pipe, an anonymous one by its name, or a file by its path."""
    if target.startswith("anon_inode:"):
        return target
    return target.split(":")[0] if re.match(r"^[a-z]+:\[", target) else target
