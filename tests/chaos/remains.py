"""Rules about what is left on the machine when the workers have ended and their engine still runs: nothing."""

import os

import census
from engine import Engine


def look(run):
    """What is on the machine of a run, by kind."""
    folder, cgroup = run["folder"], run["cgroup"]
    engine = Engine(folder, cgroup)
    found = census.of_run(folder, cgroup)
    return {
        "container": [f"{c['Names']} {c['State']} {c['Status']}" for c in engine.containers()],
        "containerd-shim": [str(process) for process in found.get("shim", [])],
        "process of a container": [str(process) for process in found.get("fetcher", [])],
        "process": [str(p) for kind in ("worker", "gateway", "command", "tool") for p in found.get(kind, [])],
        "mount": [point for point in census.mounts(folder) if not is_expected(point, run)],
        "control group": census.control_groups(cgroup),
        "socket folder or ledger": files(run["run_dir"]),
    }


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
            if count > before.get(kind, 0):
                had = before.get(kind, 0)
                yield f"file descriptors left: worker {pid} has {count} of {kind}, had {had} at idle before"
