"""Rules about requests: one attempt asks for each page once, whoever sees it to its end."""

from bisect import bisect_right
from collections import Counter, defaultdict

from evidence import history


def by_attempt(evidence):
    """For each request of a job: the number of the attempt that was claimed last when it was made."""
    jobs = {line["key"]: line["id"] for line in evidence.submitted}
    found = defaultdict(list)
    for request in evidence.requests:
        job = jobs.get(request["key"])
        if job is not None:
            starts = [edge["at_ms"] for edge in evidence.transitions.get(job, []) if edge["reason"] == "claimed"]
            found[job, request["path"]].append(bisect_right(starts, request["at_ms"]))
    return found


def an_attempt_asks_once(evidence):
    for (job, path), attempts in by_attempt(evidence).items():
        for attempt, count in Counter(attempts).items():
            if attempt == 0:
                yield f"fetched unclaimed: {job} asked for {path} before it was claimed{history(evidence, job)}"
            elif count > 1:
                asked = f"attempt {attempt} of {job} asked {count} times for {path}"
                yield f"fetched twice: {asked}{history(evidence, job)}"


RULES = [an_attempt_asks_once]


def report(evidence):
    """Pages fetched again by a further attempt, by what ended the one before."""
    again = Counter()
    asked = by_attempt(evidence)
    for (job, _), attempts in asked.items():
        # An attempt in between may have ended before it asked.
        for before in sorted(set(attempts))[:-1]:
            again[why_over(evidence, job, before)] += 1
    yield f"requests            {sum(map(len, asked.values()))} for {len(asked)} pages"
    yield f"fetched again       {sum(again.values())}"
    for why, count in again.most_common():
        yield f"  {count:>5}  {why}"
    edges = [edge for edges in evidence.transitions.values() for edge in edges]
    adopted = attempts_with(edges, "taken over")
    seen_through = adopted & attempts_with(edges, "completed", "failed")
    yield f"taken over          {len(adopted)} attempts, {len(seen_through)} of them seen through to their end"


def attempts_with(edges, *reasons):
    return {(edge["job_id"], edge["attempt"]) for edge in edges if edge["reason"] in reasons}


def why_over(evidence, job, attempt):
    """How an attempt ended: the reason of its last edge, with the failure that was written down."""
    of_attempt = [edge for edge in evidence.transitions[job] if edge["attempt"] == attempt]
    reasons = [edge["reason"] for edge in of_attempt if edge["reason"] != "replayed"]
    row = evidence.attempts.get((job, attempt), {})
    known = row.get("failure_message") or row.get("outcome") or "nothing more is known"
    return f"{reasons[-1] if reasons else 'no edge'}: {known}"
