"""Recovery times: from the kill of a worker until each job that it held is in good hands again.

That is one of three: the job is finished; it is back in the queue; or it is held by a living lease with its container
still running. Both clocks are the host's: the kill's, and that of the database in the transitions.
"""

import math

from evidence import FINAL, history

BOUND_MS = 10_000
# A taken-over attempt whose next edge comes so soon was not running any more: it was given back, or settled.
AT_ONCE_MS = 1_500
ENDS = ("finished", "back in the queue", "held by a living lease")
# While one of these goes on nobody can write, or ask the engine.
DISTURBING = (
    *("full volume", "restart engine", "kill engine"),
    *("kill redis", "freeze redis", "kill sqld", "freeze sqld", "slow sqld"),
)
# While one of these goes on a worker is as good as absent.
ABSENT = ("stop worker", "slow fsync")


def recoveries(evidence):
    """For each kill of a worker and each job that it held: kill, job, end, milliseconds (None: never)."""
    for fault in evidence.faults:
        if fault["what"] != "kill worker" or fault["worker"] is None:
            continue
        for job, edges in evidence.transitions.items():
            before = [edge for edge in edges if edge["at_ms"] <= fault["at_ms"]]
            held = before and before[-1]["to_state"] in ("FETCHING", "ANALYZING")
            if held and before[-1]["worker"] == fault["worker"]:
                end, at_ms = hands(edges[len(before) :])
                yield fault, job, end, None if at_ms is None else at_ms - fault["at_ms"]


def hands(after):
    """Which end the edges after a kill lead to, and when."""
    if not after:
        return None, None
    first = after[0]
    if first["reason"] == "taken over":
        edge = settled(after[1:], first)
        if edge is None:
            return ENDS[2], first["at_ms"]
        first = edge
    return ENDS[0] if first["to_state"] in FINAL else ENDS[1], first["at_ms"]


def settled(after, taken):
    """The edge that ended a taken-over attempt at once, if one did."""
    for edge in after:
        if edge["at_ms"] > taken["at_ms"] + AT_ONCE_MS or edge["worker"] != taken["worker"]:
            return None
        if edge["to_state"] not in ("FETCHING", "ANALYZING"):
            return edge
    return None


def is_undisturbed(evidence, from_ms, until_ms):
    """Whether another worker took jobs at every moment, and nothing hindered it."""
    for fault in evidence.faults:
        if fault["what"] in DISTURBING and fault["at_ms"] < until_ms and fault["end_ms"] > from_ms:
            return False
    alive = sorted(lives(evidence))
    at = from_ms
    for start, end in alive:
        if start <= at < end:
            at = end
    return at >= until_ms


def lives(evidence):
    """When each worker took jobs: from its readiness to its end, without the time it was hindered itself."""
    ends = {line["pid"]: line["at_ms"] for line in evidence.workers if line["event"] == "ended"}
    for line in evidence.workers:
        if line["event"] != "ready":
            continue
        at, end = line["at_ms"], ends.get(line["pid"], float("inf"))
        for fault in evidence.faults:
            if fault["what"] in ABSENT and fault["worker"] == line["id"]:
                yield at, fault["at_ms"]
                at = fault["end_ms"]
        yield at, end


def jobs_recover_in_time(evidence):
    for fault, job, end, took in recoveries(evidence):
        within = fault["at_ms"] + BOUND_MS
        if (took is None or took > BOUND_MS) and is_undisturbed(evidence, fault["at_ms"], within):
            said = "never" if took is None else f"{end} after {took} ms"
            held = f"{job}, held by {fault['worker']} killed at {fault['at_ms']}"
            yield f"slow recovery: {held}: {said}{history(evidence, job)}"


RULES = [jobs_recover_in_time]


def report(evidence):
    """Median, p95 and maximum of each end, and of the last job of each kill."""
    all_of = list(recoveries(evidence))
    kills = {}
    undisturbed = []
    for fault, _, _, took in all_of:
        took = float("inf") if took is None else took
        kills[fault["at_ms"]] = max(took, kills.get(fault["at_ms"], 0))
    for at_ms, took in kills.items():
        if is_undisturbed(evidence, at_ms, at_ms + min(took, BOUND_MS)):
            undisturbed.append(took)
    yield "recovery            from the kill of a worker, ms      median      p95      max    number"
    for end in ENDS:
        yield line(f"job {end}", [took for _, _, found, took in all_of if found == end])
    yield line("last job of each kill", list(kills.values()))
    yield line("the same, another worker at work", undisturbed)


def line(name, times):
    times = sorted(times)
    if not times:
        return f"  {name:<49}       -        -        - {0:>9}"
    figures = [quantile(times, 0.5), quantile(times, 0.95), times[-1]]
    return f"  {name:<49}" + "".join(f"{figure:>9.0f}" for figure in figures) + f"{len(times):>10}"


def quantile(times, share):
    """The smallest value that this share of them does not exceed."""
    return times[max(0, math.ceil(len(times) * share) - 1)]
