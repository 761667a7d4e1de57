"""Rules about jobs: every one is final, has one result or none, and came there by legal edges only."""

import json
from collections import Counter

from entries import of_jobs
from evidence import FINAL, history

# DESIGN §2, written out again: what leads from where to where.
WORK = ("FETCHING", "ANALYZING")
EDGES = {
    "claimed": {("QUEUED", "FETCHING")},
    "refused": {("QUEUED", "FAILED")},
    "report accepted": {("FETCHING", "ANALYZING")},
    "taken over": {(state, state) for state in WORK},
    "failed": {(state, end) for state in WORK for end in ("FAILED", "TIMED_OUT")},
    "completed": {("ANALYZING", "COMPLETED")},
    "retry": {(state, "QUEUED") for state in WORK},
    "lost": {(state, "QUEUED") for state in WORK},
    "released": {(state, "QUEUED") for state in WORK},
    "replayed": {("FAILED", "QUEUED"), ("TIMED_OUT", "QUEUED")},
}
# Edges to QUEUED after which the attempt does not count against the cap.
NOT_COUNTED = {"lost", "released"}
# A job that was lost so often since its last replay is given up.
MAX_LOSSES = 10
TIMEOUTS = {"timeout", "analysis_timeout"}

# How a job on each kind of page ends when nothing is in its way: state, and class of failure.
EXPECTED = {
    "refused": ("FAILED", "connect"),
    "silent": ("TIMED_OUT", "timeout"),
}
OTHERWISE = ("COMPLETED", None)


def submitted_jobs_are_there(evidence):
    for line in evidence.submitted:
        if line["id"] not in evidence.jobs and not was_in_redis_alone(evidence, line):
            yield f"job lost: {line['id']} ({line['kind']}) was submitted and is not in the database"


def was_in_redis_alone(evidence, line):
    """An entry without a row, in a Redis that keeps nothing and was killed after that: it was gone before any worker
    could know of it."""
    keeps = evidence.queue.get("keeps") if evidence.queue else None
    if line.get("row", True) or keeps != "nothing":
        return False
    # The kill may have come between the client's answer and the line.
    since = line["at_ms"] - 1000
    return any(fault["what"] == "kill redis" and fault["at_ms"] >= since for fault in evidence.faults)


def jobs_are_final(evidence):
    for job in evidence.jobs.values():
        if job["state"] not in FINAL:
            yield f"job not final: {job['id']} is {job['state']}{history(evidence, job['id'])}"


def completed_jobs_have_one_result(evidence):
    for job in evidence.jobs.values():
        id, completed = job["id"], job["state"] == "COMPLETED"
        results, documents = len(evidence.results.get(id, [])), len(evidence.documents.get(id, []))
        ends = sum(edge["to_state"] == "COMPLETED" for edge in evidence.transitions.get(id, []))
        if results != completed or ends != completed:
            yield (
                f"result count: {id} is {job['state']} with {results} results and {ends} edges to COMPLETED"
                f"{history(evidence, id)}"
            )
        elif completed and not documents:
            yield f"document missing: {id} is COMPLETED without a document{history(evidence, id)}"


def edges_are_legal(evidence):
    for id, edges in evidence.transitions.items():
        for edge in edges:
            if (edge["from_state"], edge["to_state"]) not in EDGES.get(edge["reason"], set()):
                yield f"illegal edge: {id} at version {edge['version']}{history(evidence, id)}"


def edges_follow_each_other(evidence):
    """Each begins where the one before ended, one version later, and the last ends in the row."""
    for id, edges in evidence.transitions.items():
        state, version, attempt = "QUEUED", 1, 0
        for edge in edges:
            attempt += edge["reason"] == "claimed"
            if (edge["from_state"], edge["version"], edge["attempt"]) != (state, version + 1, attempt):
                yield f"broken history: {id} at version {edge['version']}{history(evidence, id)}"
                break
            state, version = edge["to_state"], edge["version"]
    for id, job in evidence.jobs.items():
        last = (evidence.transitions.get(id) or [{"to_state": "QUEUED", "version": 1}])[-1]
        if (last["to_state"], last["version"]) != (job["state"], job["version"]):
            yield (
                f"row differs: {id} is {job['state']} at version {job['version']}, its last edge ends in "
                f"{last['to_state']} at {last['version']}{history(evidence, id)}"
            )


def operations_are_written_once(evidence):
    seen = Counter(edge["op"] for edges in evidence.transitions.values() for edge in edges)
    for op, count in seen.items():
        if count > 1:
            yield f"operation twice: {op} wrote {count} edges"


def caps(evidence):
    """How often each job may be tried: where a queue is in front as each entry of it says, anew when it was emptied.

    Entries that we add have the id of their job and the attempts of its row: what an entry said that the queue has lost
    is known to nobody.
    """
    if not evidence.queue:
        return {id: job["max_attempts"] for id, job in evidence.jobs.items()}
    asked = {line["id"]: line.get("attempts") for line in evidence.submitted}
    entries = of_jobs(evidence)
    found = {}
    for id, job in evidence.jobs.items():
        own = job["max_attempts"]
        theirs = asked.get(id) or own
        there = sum(own if entry == id else theirs for entry in entries.get(id, [None]))
        found[id] = there + evidence.queue.get("wiped", 0) * max(own, theirs)
    return found


def attempts_keep_to_the_cap(evidence):
    cap = caps(evidence)
    for id, edges in evidence.transitions.items():
        job = evidence.jobs.get(id, {})
        counted = losses = claims = 0
        for edge in edges:
            if edge["reason"] == "replayed":
                counted = losses = 0
            counted += (edge["reason"] == "claimed") - (edge["reason"] in NOT_COUNTED)
            losses += edge["reason"] == "lost"
            claims += edge["reason"] == "claimed"
            if counted > cap.get(id, 0) or losses >= MAX_LOSSES:
                yield f"attempts above the cap: {id}, {counted} counted, {losses} lost{history(evidence, id)}"
                break
        if job and job["attempt"] != claims:
            yield f"attempts miscounted: {id} says {job['attempt']}, claimed {claims} times{history(evidence, id)}"


def jobs_end_as_their_page_deserves(evidence):
    """No job fails for trouble of ours, and none is cancelled that nobody asked to."""
    cancelled = evidence.asked("cancel")
    for line in evidence.submitted:
        job = evidence.jobs.get(line["id"])
        if job is None or job["state"] not in FINAL:
            continue
        ended = (job["state"], job["failure_class"])
        if ended == ("FAILED", "cancelled") and job["id"] in cancelled:
            continue
        if ended != EXPECTED.get(line["kind"], OTHERWISE):
            yield (
                f"wrong end: {job['id']} ({line['kind']}) is {job['state']}, {job['failure_class']}, "
                f"\"{job['failure_message']}\"{history(evidence, job['id'])}"
            )


def classes_fit_their_states(evidence):
    for job in evidence.jobs.values():
        kind = job["failure_class"]
        fits = {"COMPLETED": kind is None, "TIMED_OUT": kind in TIMEOUTS, "FAILED": kind not in {None, *TIMEOUTS}}
        if not fits.get(job["state"], True):
            yield f"class unfit: {job['id']} is {job['state']} with class {kind}{history(evidence, job['id'])}"


def no_lease_is_left(evidence):
    for job in evidence.jobs.values():
        if job["lease_owner"] is not None or job["lease_until"] is not None or job["reserved_for"] is not None:
            holder = job["lease_owner"] or job["reserved_for"]
            yield f"lease left: {job['id']} of {holder}{history(evidence, job['id'])}"


def no_obligation_is_left(evidence):
    for row in evidence.obligations:
        yield f"obligation left: container {row['name']} of worker {row['worker']}, created {row['created_ms']}"


def the_database_is_whole(evidence):
    if evidence.integrity != ["ok"] or evidence.foreign:
        yield f"database broken: {evidence.integrity} {evidence.foreign}"


def jobs_took_what_waited(evidence):
    """The pool is not only kept, it is of use."""
    if evidence.run.get("pool") == "waiting" and not warm(evidence):
        yield f"pool unused: none of {len(evidence.jobs)} jobs got a container that waited"


def warm(evidence):
    """How many documents are of a container that waited."""
    bodies = (json.loads(document["body"]) for all in evidence.documents.values() for document in all)
    return sum(body.get("sandbox", {}).get("warm", False) for body in bodies)


RULES = [
    jobs_took_what_waited,
    submitted_jobs_are_there,
    jobs_are_final,
    completed_jobs_have_one_result,
    edges_are_legal,
    edges_follow_each_other,
    operations_are_written_once,
    attempts_keep_to_the_cap,
    jobs_end_as_their_page_deserves,
    classes_fit_their_states,
    no_lease_is_left,
    no_obligation_is_left,
    the_database_is_whole,
]


def report(evidence):
    """Jobs by end, and edges by reason."""
    users = {line["user"] for line in evidence.submitted}
    yield f"jobs submitted      {len(evidence.submitted)} of {len(users)} users"
    ends = Counter(f"{job['state']} {job['failure_class'] or ''}".strip() for job in evidence.jobs.values())
    for end, count in ends.most_common():
        yield f"  {end:<24}{count}"
    cancelled, replayed = len(evidence.asked("cancel")), len(evidence.asked("retry"))
    yield f"wishes              {cancelled} jobs to cancel, {replayed} to replay"
    yield f"containers          {warm(evidence)} jobs got one that waited"
    reasons = Counter(edge["reason"] for edges in evidence.transitions.values() for edge in edges)
    yield "transitions         " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
