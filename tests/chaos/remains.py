"""Rules about what is left on the machine when the workers have ended and their engine still runs: nothing."""

import os

import census
from engine import Engine

# Longer than any container of a run lives.
LIFE_MS = 30_000
# An engine that is told to stop ends its containerd while a start may be on its way, and cannot clean up after it then.
ENDS_OF_THE_ENGINE = ("kill engine", "restart engine")
# Connections to a server stay open for a while when they are not needed, one for each that was needed at once.
POOL = 16


def look(run, faults):
    """What is on the machine of a run, by kind; and, apart from it, the containers that the engine itself forgot."""
    folder, cgroup = run["folder"], run["cgroup"]
    containers = Engine(folder, cgroup).containers()
    found = census.of_run(folder, cgroup)
    lost = forgotten(found, containers, faults)
    left = {
        "container": [f"{c['Names']} {c['State']} {c['Status']}" for c in containers],
        "containerd-shim": [str(process) for process in found.get("shim", [])],
        "process of a container": [str(process) for process in found.get("fetcher", [])],
        "process": [str(p) for kind in ("worker", "gateway", "command", "tool") for p in found.get(kind, [])],
        "mount": [point for point in census.mounts(folder) if not is_expected(point, run)],
        "control group": census.control_groups(cgroup),
        "socket folder or ledger": files(run["run_dir"]),
    }
    inits = {str(process) for process in found.get("fetcher", []) if any(id in process.cgroup for id in lost)}
    for kind, things in left.items():
        left[kind] = [thing for thing in things if thing not in inits and not any(id in thing for id in lost)]
    return left, lost


def forgotten(found, containers, faults):
    """The ids of containers that the engine has no name for any more although their shims live.

    An engine that ends while a container begins or ends may not know its shim again, which then stays for ever
    (containerd/containerd#6771, #6860); nobody who asks the engine can find it, and plain `docker start` under kills
    leaves them by the dozen. So much is forgiven and counted: a shim that had begun shortly before an end of the
    engine, with nothing in it, or a runc that never became the program.
    """
    known = {container["Id"] for container in containers}
    ends = [fault for fault in faults if fault["what"] in ENDS_OF_THE_ENGINE]
    ids = set()
    for shim in found.get("shim", []):
        id = shim.argument("-id")
        met_an_end = any(end["at_ms"] - LIFE_MS <= shim.began_ms <= end["end_ms"] for end in ends)
        inside = [process for process in found.get("fetcher", []) if id in process.cgroup]
        if id not in known and met_an_end and all(process.name.startswith("runc") for process in inside):
            ids.add(id)
    return ids


def is_expected(point, run):
    """What was there before the first job; the engine mounts its own storage again after a restart."""
    return point in run["mounts_before"] or point in (f"{run['folder']}/data", f"{run['folder']}/data/overlay2")


def files(run_dir):
    """Everything in the folder of sockets; a missing one holds nothing."""
    return [os.path.join(path, name) for path, folders, names in os.walk(run_dir) for name in [*folders, *names]]


def violations(machine, evidence):
    for kind, things in machine.items():
        for thing in things:
            yield f"{kind} left: {thing}"
    yield from ended_well(evidence)
    yield from grown(evidence)


def ended_well(evidence):
    for name, code in evidence.ends.items():
        if code != 0:
            yield f"worker ended badly: {name}: {code}"


def grown(evidence):
    """Workers that lived through the last wave, each against itself."""
    after = evidence.descriptors["after"]
    for pid, before in evidence.descriptors["before"].items():
        for kind, count in after.get(pid, {}).items():
            had = max(before.get(kind, 0), POOL if kind == "connection to a server" else 0)
            if count > had:
                yield f"file descriptors left: worker {pid} has {count} of {kind}, had {had} at idle before"


def report(lost):
    yield f"forgotten shims     {len(lost)}, of containers that the engine lost over its own ends"
