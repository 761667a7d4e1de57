"""Rules about the entries of the queue in Redis: each is at rest, in one place, and agrees with the row of its job.

What is looked at is a picture of every key of the queue, taken when the workers had ended: `lists` holds the ids of
wait, active and so on, `entries` each entry's hash, `locks` the tokens that are left.
"""

import json
from collections import Counter, defaultdict

from evidence import FINAL, history

# Where an entry may be in the end; everything else is still to be worked on.
ENDS = {"completed": {"COMPLETED"}, "failed": {"FAILED", "TIMED_OUT"}}
# Edges after which the queue counts an attempt as made.
COUNTED = {"retry", "failed", "completed", "refused"}
# What of a document is in its summary as it is.
VERDICT = ("state", "riskScore", "confidence", "categories")


def of_jobs(evidence):
    """The ids of the entries of each job."""
    found = defaultdict(list)
    for id in evidence.queue["entries"]:
        found[job_of(evidence, id)].append(id)
    return found


def job_of(evidence, id):
    """The id of an entry's job, from its payload."""
    try:
        return json.loads(evidence.queue["entries"].get(id, {}).get("data", "{}")).get("jobId")
    except (ValueError, AttributeError):
        return None


def places(evidence):
    """Every place of each id."""
    found = defaultdict(list)
    for place, ids in evidence.queue["lists"].items():
        for id in ids:
            found[id].append(place)
    return found


def entries_are_at_rest(evidence):
    for place, ids in evidence.queue["lists"].items():
        if place not in ENDS:
            for id in ids:
                job = job_of(evidence, id)
                yield f"entry not at rest: {id} of job {job} is in {place}{history(evidence, job)}"
    for id, token in evidence.queue["locks"].items():
        yield f"lock left: entry {id} by {token}"


def entries_are_in_one_place(evidence):
    found = places(evidence)
    for id in evidence.queue["entries"]:
        if len(found.get(id, [])) != 1:
            yield f"entry misplaced: {id} of job {job_of(evidence, id)} is in {found.get(id, [])}"
    for id, where in found.items():
        if id not in evidence.queue["entries"]:
            yield f"entry hollow: {id} is in {where} and has no hash"


def jobs_have_one_entry(evidence):
    """Unless the official client added it twice, which it does when it did not hear that the first one was done.

    Its ids are numbers of the queue; whatever we add has the id of its job, and is added where there is none that would
    still run: a job that is replayed may get one beside its old one.
    """
    for job, ids in of_jobs(evidence).items():
        if job not in evidence.jobs:
            yield f"entry without job: {', '.join(ids)}, which names {job}"
        elif len(ids) > 1 and job in ids and not was_replayed(evidence, job):
            yield f"job twice in the queue: {job} has the entries {', '.join(ids)}{history(evidence, job)}"


def ends_agree(evidence):
    """Of a replayed job an entry may have an older end, if there is one that ended later."""
    entries, where = evidence.queue["entries"], places(evidence)
    for job, ids in of_jobs(evidence).items():
        state = evidence.jobs[job]["state"] if job in evidence.jobs else None
        last = max(ids, key=lambda id: number(entries[id].get("finishedOn")))
        for id in ids if not was_replayed(evidence, job) else [last]:
            place = next(iter(where.get(id, [])), None)
            if state and place in ENDS and state not in ENDS[place]:
                yield f"ends differ: {id} is {place}, its job {job} {state}{history(evidence, job)}"


def was_replayed(evidence, job):
    return any(edge["reason"] == "replayed" for edge in evidence.transitions.get(job, []))


def waiting_jobs_have_an_entry(evidence):
    """One that the queue has lost is added again within the time that the run lets pass."""
    known = of_jobs(evidence)
    for job in evidence.jobs.values():
        if job["state"] not in FINAL and job["id"] not in known:
            why = history(evidence, job["id"])
            yield f"job forgotten: {job['id']} is {job['state']}, and the queue has no entry{why}"


def return_values_are_the_stored_summaries(evidence):
    for id in evidence.queue["lists"].get("completed", []):
        job = evidence.jobs.get(job_of(evidence, id))
        if job is None or not evidence.documents.get(job["id"]):
            continue
        said = read(evidence.queue["entries"].get(id, {}).get("returnvalue"))
        stored = read(evidence.documents[job["id"]][-1]["body"])
        wanted = {"id": job["id"]} | {key: stored.get("verdict", {}).get(key) for key in VERDICT}
        found = {"id": said.get("job", {}).get("id")} | {key: said.get("verdict", {}).get(key) for key in VERDICT}
        if found != wanted:
            yield f"return value differs: entry {id} of job {job['id']} says {found}, stored is {wanted}"


def read(text):
    """A JSON object, or an empty one."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}


def attempts_are_counted_alike(evidence):
    """The queue counts what the job's history counts.

    It may count less for a job whose entry was lost and added again, or added twice, or that was replayed before the
    queue had heard of its end; never more.
    """
    for job, ids in of_jobs(evidence).items():
        edges = evidence.transitions.get(job, [])
        counted = sum(edge["reason"] in COUNTED for edge in edges)
        may_lack = evidence.queue.get("wiped") or was_replayed(evidence, job) or len(ids) > 1
        for id in ids:
            made = number(evidence.queue["entries"][id].get("atm"))
            if made > counted or (made < counted and not may_lack):
                said = f"entry {id} of job {job} says {made}, its history {counted}"
                yield f"attempts differ: {said}{history(evidence, job)}"


def number(text):
    return int(text) if (text or "").isdigit() else 0


RULES = [
    entries_are_at_rest,
    entries_are_in_one_place,
    jobs_have_one_entry,
    ends_agree,
    waiting_jobs_have_an_entry,
    return_values_are_the_stored_summaries,
    attempts_are_counted_alike,
]


def report(evidence):
    """Entries by place, and how often they were taken."""
    sizes = ", ".join(f"{place} {len(ids)}" for place, ids in sorted(evidence.queue["lists"].items()) if ids)
    yield f"entries             {len(evidence.queue['entries'])}: {sizes or 'none'}"
    started = Counter()
    for entry in evidence.queue["entries"].values():
        started[number(entry.get("ats")) - number(entry.get("atm"))] += 1
    again = sum(count for more, count in started.items() if more > 0)
    yield f"  taken again without counting  {again}"
    stalled = sum(number(entry.get("stc")) for entry in evidence.queue["entries"].values())
    yield f"  stalled                       {stalled}"
    if evidence.queue.get("wiped"):
        yield f"  emptied by a restart          {evidence.queue['wiped']} times"
