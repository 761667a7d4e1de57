"""The auditor can fail on the queue, too: each violation, built into a small run with a queue, is named."""

import json
import tempfile
import unittest
from pathlib import Path

import auditor
from evidence import Evidence
from small_run import CLEAN_MACHINE, Small

VERDICT = {"state": "benign", "riskScore": 0, "confidence": 0.9, "categories": []}
SUMMARY = {"schema": 1, "job": {"id": "adopted", "state": "COMPLETED"}, "verdict": VERDICT}


class TheAuditorOfAQueue(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.make(folder.name)

    def make(self, folder):
        self.small = Small(Path(folder))
        self.small.run("UPDATE documents SET body = ?", json.dumps({"verdict": VERDICT | {"findings": []}}))
        # One entry with an id of the queue's own, one with that of its job; the second was replayed.
        self.queue = {
            "lists": {"wait": [], "active": [], "delayed": [], "completed": ["1"], "failed": ["replayed"]},
            "entries": {
                "1": {"data": '{"jobId":"adopted"}', "ats": "2", "atm": "1", "returnvalue": json.dumps(SUMMARY)},
                "replayed": {"data": '{"jobId":"replayed"}', "ats": "3", "atm": "2", "failedReason": "connect"},
            },
            "locks": {},
        }
        self.lists, self.entries = self.queue["lists"], self.queue["entries"]

    def audited(self):
        self.small.record.write("queue", self.queue)
        self.small.database.close()
        return auditor.audit(Evidence(self.small.folder), CLEAN_MACHINE)

    def names(self, rule, what=""):
        found = self.audited()[0]
        self.assertTrue(any(text.startswith(f"{rule}: ") and what in text for text in found), f"{rule} not in {found}")

    def test_a_clean_run_has_no_violation(self):
        self.assertEqual(self.audited()[0], [])

    def test_an_entry_that_is_not_at_rest_is_named(self):
        for place in ("wait", "active", "delayed"):
            with self.subTest(place), tempfile.TemporaryDirectory() as folder:
                self.make(folder)
                self.lists["completed"], self.lists[place] = [], ["1"]
                self.names("entry not at rest", place)

    def test_a_lock_that_is_left_is_named(self):
        self.queue["locks"]["1"] = "w1:7"
        self.names("lock left", "w1:7")

    def test_an_entry_in_two_places_or_in_none_is_named(self):
        for place, ids in (("failed", ["replayed", "1"]), ("completed", [])):
            with self.subTest(place), tempfile.TemporaryDirectory() as folder:
                self.make(folder)
                self.lists[place] = ids
                self.names("entry misplaced", "1 of job adopted")

    def test_an_entry_without_a_hash_is_named(self):
        self.lists["completed"].append("9")
        self.names("entry hollow", "9")

    def test_an_entry_without_a_job_is_named(self):
        for data in ('{"jobId":"nobody"}', "{}", "no JSON", "[]"):
            with self.subTest(data), tempfile.TemporaryDirectory() as folder:
                self.make(folder)
                self.entries["1"]["data"] = data
                self.names("entry without job", "1")

    def test_a_job_with_two_entries_is_named(self):
        self.entries["adopted"] = self.entries["1"]
        self.lists["completed"].append("adopted")
        self.names("job twice in the queue", "1, adopted")

    def test_a_job_that_the_client_added_twice_is_not_ours_to_answer_for(self):
        self.entries["2"] = self.entries["1"]
        self.lists["completed"].append("2")
        self.assertEqual(self.audited()[0], [])

    def test_an_end_that_differs_from_the_row_is_named(self):
        self.lists["failed"], self.lists["completed"] = [], ["1", "replayed"]
        self.names("ends differ", "replayed is completed")
        with tempfile.TemporaryDirectory() as folder:
            self.make(folder)
            self.lists["completed"], self.lists["failed"] = [], ["1", "replayed"]
            self.names("ends differ", "1 is failed")

    def test_a_replayed_job_may_have_an_older_entry_that_ended_otherwise(self):
        self.entries["2"] = self.entries["replayed"] | {"finishedOn": "11200", "atm": "1"}
        self.entries["replayed"] |= {"finishedOn": "10100", "atm": "1"}
        self.lists["completed"], self.lists["failed"] = ["1", "replayed"], ["2"]
        self.assertFalse([text for text in self.audited()[0] if "entr" in text or "ends" in text])

    def test_the_last_entry_of_a_replayed_job_must_agree(self):
        self.entries["2"] = self.entries["replayed"] | {"finishedOn": "11200"}
        self.lists["completed"].append("2")
        self.names("ends differ", "2 is completed")

    def test_a_job_that_waits_without_an_entry_is_named(self):
        self.small.job("waiting", "quick", [(2, "QUEUED", "FETCHING", "claimed", 1_000, 1, "w1"),
                                            (3, "FETCHING", "QUEUED", "released", 1_500, 1, "w1")])
        self.names("job forgotten", "waiting")

    def test_a_return_value_that_is_not_the_stored_summary_is_named(self):
        other = SUMMARY | {"verdict": VERDICT | {"riskScore": 90}}
        for value in (other, SUMMARY | {"job": {"id": "replayed"}}, None, "text"):
            with self.subTest(value), tempfile.TemporaryDirectory() as folder:
                self.make(folder)
                self.entries["1"]["returnvalue"] = json.dumps(value)
                self.names("return value differs", "adopted")

    def test_attempts_that_only_the_queue_counts_are_named(self):
        self.entries["1"]["atm"] = "2"
        self.names("attempts differ", "adopted")

    def test_attempts_that_the_queue_did_not_count_are_named(self):
        del self.entries["1"]["atm"]
        self.names("attempts differ", "adopted")

    def test_attempts_before_an_entry_was_added_again_are_not_missed(self):
        self.queue["wiped"] = 1
        del self.entries["1"]["atm"]
        self.assertEqual(self.audited()[0], [])

    def test_an_entry_without_a_row_may_go_with_a_redis_that_keeps_nothing(self):
        self.small.record.add("submitted", id="gone", key="key-gone", user="anna", kind="quick", row=False)
        self.names("job lost", "gone")
        self.queue["keeps"] = "nothing"
        self.names("job lost", "gone")
        self.small.record.add("faults", what="kill redis")
        self.assertEqual(self.audited()[0], [])
        self.small.record.add("submitted", id="lost", key="key-lost", user="anna", kind="quick", row=True)
        self.names("job lost", "lost")

    def test_the_cap_is_what_the_client_added_its_entry_with(self):
        self.small.run("UPDATE scan_jobs SET max_attempts = 0 WHERE id = 'adopted'")
        self.names("attempts above the cap", "adopted")
        with tempfile.TemporaryDirectory() as folder:
            self.make(folder)
            self.small.run("UPDATE scan_jobs SET max_attempts = 0 WHERE id = 'adopted'")
            self.asks("adopted", 2, "quick")
            self.assertEqual(self.audited()[0], [])

    def test_the_cap_of_an_entry_of_ours_is_that_of_its_row(self):
        self.small.run("UPDATE scan_jobs SET max_attempts = 0 WHERE id = 'replayed'")
        self.asks("replayed", 9)
        self.names("attempts above the cap", "replayed")
        with tempfile.TemporaryDirectory() as folder:
            self.make(folder)
            self.asks("replayed", 0)
            self.assertEqual(self.audited()[0], [])

    def test_an_entry_that_was_lost_may_have_been_tried_as_well(self):
        self.queue["wiped"] = 1
        self.small.run("UPDATE scan_jobs SET max_attempts = 0 WHERE id = 'replayed'")
        self.asks("replayed", 9)
        self.assertEqual(self.audited()[0], [])

    def asks(self, job, attempts, kind="refused"):
        self.small.record.add("submitted", id=job, key=f"key-{job}", user="anna", kind=kind, attempts=attempts)

    def test_the_report_says_what_the_queue_held(self):
        report = "\n".join(self.audited()[1])
        for line in ("entries             2: completed 1, failed 1", "taken again without counting  2"):
            self.assertIn(line, report)


if __name__ == "__main__":
    unittest.main()
