"""Judges a run of chaos by what it left; shares no code with the workers.

    auditor.py RECORD

RECORD is the folder that run.py keeps: the database, what the feeder submitted, what was asked for at the pages, what
was done to the run, what its queue held, and where its engine is. The rules are written out in jobs.py, fetches.py,
recovery.py, entries.py and remains.py. Ends with 1 and names the rule, the job and its transitions when one is violated.
"""

import sys
from collections import Counter

import entries
import fetches
import jobs
import recovery
import remains
from evidence import Evidence

# Of each rule; one violation of a rule is seldom alone.
SHOWN = 5


def audit(evidence, machine):
    """Every violation, and the report on what happened."""
    violations = []
    judges = [jobs, fetches, recovery, *([entries] if evidence.queue else [])]
    for judge in judges:
        for rule in judge.RULES:
            violations += rule(evidence)
    violations += remains.violations(machine, evidence)
    reports = [faults, *(judge.report for judge in judges)]
    return violations, [line for report in reports for line in report(evidence)]


def faults(evidence):
    """How often each fault happened."""
    counts = {}
    for fault in evidence.faults:
        counts[fault["what"]] = counts.get(fault["what"], 0) + 1
    kills = sum(count for what, count in counts.items() if what.startswith("kill"))
    starts = sum(1 for line in evidence.workers if line["event"] == "started")
    yield f"kills -9            {kills}"
    for what, count in sorted(counts.items(), key=lambda pair: -pair[1]):
        yield f"  {what:<18}{count}"
    yield f"worker starts       {starts}"


def main(folder):
    evidence = Evidence(folder)
    machine, lost = remains.look(evidence.run, evidence.faults)
    violations, report = audit(evidence, machine)
    print("\n".join([*report, *remains.report(lost)]))
    seen = Counter()
    for violation in violations:
        rule = violation.split(":")[0]
        seen[rule] += 1
        if seen[rule] <= SHOWN:
            print(f"violation: {violation}")
    for rule, count in seen.items():
        if count > SHOWN:
            print(f"violation: {rule}: {count - SHOWN} more")
    print(f"auditor: {len(violations)} violations" if violations else "auditor: every rule holds")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
