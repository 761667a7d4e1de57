"""The auditor can fail: each violation, built into a small run that is otherwise clean, is named."""

import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import auditor
import remains
from evidence import Evidence
from small_run import ADOPTED, CLEAN_MACHINE, Small


class TheAuditor(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.small = Small(Path(folder.name))

    def names(self, rule, job="", machine=None):
        """It names this rule, first of all, with the job that it is about."""
        found = self.small.violations(machine)
        self.assertTrue(any(text.startswith(f"{rule}: ") and job in text for text in found), f"{rule} not in {found}")

    def test_a_clean_run_has_no_violation(self):
        self.assertEqual(self.small.violations(), [])

    def test_a_job_that_vanished_is_named(self):
        self.small.record.add("submitted", id="gone", key="key-gone", user="anna", kind="quick")
        self.names("job lost", "gone")

    def test_a_job_that_is_not_final_is_named(self):
        self.small.job("waiting", "quick", ADOPTED[:2])
        self.names("job not final", "waiting")

    def test_a_completed_job_without_a_result_is_named(self):
        self.small.run("DELETE FROM scan_results")
        self.names("result count", "adopted")

    def test_a_failed_job_with_a_result_is_named(self):
        self.small.result("replayed")
        self.names("result count", "replayed")

    def test_a_job_completed_twice_is_named(self):
        self.small.edge("adopted", 6, "ANALYZING", "COMPLETED", "completed", 13_000, 1, "w1")
        self.names("result count", "adopted")

    def test_a_completed_job_without_a_document_is_named(self):
        self.small.run("DELETE FROM documents")
        self.names("document missing", "adopted")

    def test_a_pool_of_which_no_job_took_a_container_is_named(self):
        self.small.record.write("run", {"seed": "test", "pool": "waiting"})
        self.names("pool unused")

    def test_a_pool_of_which_a_job_took_a_container_is_clean(self):
        self.small.record.write("run", {"seed": "test", "pool": "waiting"})
        self.small.run("UPDATE documents SET body = ? WHERE job_id = 'adopted'", '{"sandbox": {"warm": true}}')
        self.assertEqual(self.small.violations(), [])

    def test_an_edge_that_is_not_in_the_table_is_named(self):
        for change in ("from_state = 'QUEUED'", "reason = 'claimed'", "to_state = 'FAILED'", "reason = 'dreamt'"):
            with self.subTest(change), tempfile.TemporaryDirectory() as folder:
                self.small = Small(Path(folder))
                self.small.run(f"UPDATE transitions SET {change} WHERE job_id = 'adopted' AND version = 5")
                self.names("illegal edge", "adopted")

    def test_a_gap_in_the_versions_is_named(self):
        self.small.run("DELETE FROM transitions WHERE job_id = 'adopted' AND version = 3")
        self.names("broken history", "adopted")

    def test_an_edge_that_begins_elsewhere_is_named(self):
        self.small.run("DELETE FROM transitions WHERE job_id = 'replayed' AND version = 6")
        self.small.run("UPDATE transitions SET version = version - 1 WHERE job_id = 'replayed' AND version > 6")
        self.names("broken history", "replayed")

    def test_an_attempt_number_that_is_used_twice_is_named(self):
        self.small.run("UPDATE transitions SET attempt = 1 WHERE job_id = 'replayed' AND version = 4")
        self.names("broken history", "replayed")

    def test_a_row_that_is_not_where_its_last_edge_ends_is_named(self):
        self.small.run("UPDATE scan_jobs SET version = 9 WHERE id = 'adopted'")
        self.names("row differs", "adopted")

    def test_a_job_that_changed_without_an_edge_is_named(self):
        self.small.run("DELETE FROM transitions WHERE job_id = 'adopted'")
        self.names("row differs", "adopted")

    def test_an_operation_that_wrote_two_edges_is_named(self):
        self.small.run("UPDATE transitions SET op = 'same' WHERE version = 2")
        self.names("operation twice", "same")

    def test_more_attempts_than_the_cap_are_named(self):
        self.small.run("UPDATE scan_jobs SET max_attempts = 0")
        self.names("attempts above the cap", "adopted")

    def test_a_retry_is_counted_and_a_loss_is_not(self):
        self.small.run("UPDATE scan_jobs SET max_attempts = 1")
        self.assertEqual(self.small.violations(), [])
        with tempfile.TemporaryDirectory() as folder:
            self.small = Small(Path(folder))
            self.small.run("UPDATE scan_jobs SET max_attempts = 1")
            self.small.run("UPDATE transitions SET reason = 'retry: dns' WHERE reason = 'lost: lost'")
            self.names("attempts above the cap", "replayed")

    def test_a_miscounted_attempt_is_named(self):
        self.small.run("UPDATE scan_jobs SET attempt = 5 WHERE id = 'replayed'")
        self.names("attempts miscounted", "replayed")

    def test_a_job_that_failed_for_our_own_trouble_is_named(self):
        for kind in ("lost", "container_crash", "out_of_memory", "output_invalid", "cancelled"):
            with self.subTest(kind), tempfile.TemporaryDirectory() as folder:
                self.small = Small(Path(folder))
                self.small.run(f"UPDATE scan_jobs SET failure_class = '{kind}' WHERE id = 'replayed'")
                self.names("wrong end", "replayed")

    def test_a_job_that_somebody_asked_to_cancel_may_be_cancelled(self):
        self.small.record.add("wishes", what="cancel", id="replayed")
        self.small.run("UPDATE scan_jobs SET failure_class = 'cancelled' WHERE id = 'replayed'")
        self.assertEqual(self.small.violations(), [])

    def test_a_class_that_does_not_fit_its_state_is_named(self):
        self.small.run("UPDATE scan_jobs SET failure_class = 'timeout' WHERE id = 'replayed'")
        self.names("class unfit", "replayed")

    def test_a_lease_that_is_left_is_named(self):
        self.small.run("UPDATE scan_jobs SET lease_owner = 'w1' WHERE id = 'adopted'")
        self.names("lease left", "w1")

    def test_an_obligation_that_is_left_is_named(self):
        self.small.run("INSERT INTO containers (name, engine_id, uid, worker, door, created_ms)"
                       " VALUES ('box-1', 'e', 60600, 'w1', '/d', 0)")
        self.names("obligation left", "box-1")

    def test_a_row_without_its_job_is_named(self):
        self.small.run("PRAGMA foreign_keys = OFF")
        self.small.run("INSERT INTO documents VALUES ('nobody', 1, 1, 1, '{}', 0)")
        self.names("database broken", "documents")

    def test_a_page_fetched_twice_by_one_attempt_is_named(self):
        self.small.request("adopted", 9_100)
        self.names("fetched twice", "adopted")

    def test_a_page_fetched_before_its_job_was_claimed_is_named(self):
        self.small.request("adopted", 900)
        self.names("fetched unclaimed", "adopted")

    def test_a_slow_recovery_is_named(self):
        self.small.run("UPDATE transitions SET at_ms = at_ms + 5000 WHERE job_id = 'adopted' AND version > 2")
        self.names("slow recovery", "adopted")

    def test_a_job_that_never_recovers_is_named(self):
        self.small.run("DELETE FROM transitions WHERE job_id = 'adopted' AND version > 2")
        self.names("slow recovery", "never")

    def test_a_recovery_may_be_slow_while_no_other_worker_can_work(self):
        for fault in ({"what": "kill engine"}, {"what": "stop worker", "worker": "w2"}):
            with self.subTest(fault), tempfile.TemporaryDirectory() as folder:
                self.small = Small(Path(folder))
                self.small.run("UPDATE transitions SET at_ms = at_ms + 5000 WHERE job_id = 'adopted' AND version > 2")
                self.small.record.add("faults", at_ms=5_000, end_ms=6_000, **fault)
                self.assertEqual(self.small.violations(), [])

    def test_whatever_is_left_on_the_machine_is_named(self):
        for kind in ("container", "containerd-shim", "mount", "control group", "socket folder or ledger", "process"):
            with self.subTest(kind), tempfile.TemporaryDirectory() as folder:
                self.small = Small(Path(folder))
                self.names(f"{kind} left", "something", {kind: ["something"]})

    def test_a_shim_is_forgiven_only_where_an_end_of_the_engine_made_it_forget(self):
        def lost(began_ms=9_000, known=(), inside=(), what="kill engine"):
            shim = SimpleNamespace(began_ms=began_ms, argument=lambda _: "box")
            processes = [SimpleNamespace(name=name, cgroup="/chaos/box") for name in inside]
            faults = [{"what": what, "at_ms": 10_000, "end_ms": 12_000}]
            return remains.forgotten({"shim": [shim], "fetcher": processes}, [{"Id": id} for id in known], faults)

        self.assertEqual(lost(), {"box"})
        self.assertEqual(lost(inside=["runc:[2:INIT]"]), {"box"})
        self.assertEqual(lost(inside=["safeurl-fetcher"]), set())
        self.assertEqual(lost(known=["box"]), set())
        self.assertEqual(lost(began_ms=12_001), set())
        self.assertEqual(lost(began_ms=10_000 - remains.LIFE_MS - 1), set())
        self.assertEqual(lost(what="restart engine", inside=["runc:[2:INIT]"]), {"box"})
        self.assertEqual(lost(what="restart engine", inside=["safeurl-fetcher"]), set())
        self.assertEqual(lost(what="kill worker"), set())

    def test_a_file_in_the_folder_of_sockets_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(remains.files(folder), [])
            Path(folder, "leaf").mkdir()
            Path(folder, "x.ledger").touch()
            self.assertEqual(len(remains.files(folder)), 2)

    def test_a_worker_that_did_not_end_orderly_is_named(self):
        self.small.record.write("ends", {"1-1": 101})
        self.names("worker ended badly", "1-1")

    def test_file_descriptors_that_grew_are_named(self):
        self.small.record.write("descriptors", {"before": {"7": {"socket": 3}}, "after": {"7": {"socket": 4}}})
        self.names("file descriptors left", "socket")

    def test_connections_to_a_server_may_come_and_go_up_to_what_a_pool_holds(self):
        for count, fits in ((remains.POOL, True), (remains.POOL + 1, False)):
            with self.subTest(count), tempfile.TemporaryDirectory() as folder:
                self.small = Small(Path(folder))
                after = {"7": {"socket": 3, "connection to a server": count}}
                self.small.record.write("descriptors", {"before": {"7": {"socket": 3}}, "after": after})
                self.assertEqual(not self.small.violations(), fits)

    def test_the_report_says_what_happened(self):
        self.small.database.close()
        report = "\n".join(auditor.audit(Evidence(self.small.folder), CLEAN_MACHINE)[1])
        for line in ("kills -9            1", "jobs submitted      2 of 1 users", "COMPLETED", "fetched again       1"):
            self.assertIn(line, report)
        self.assertRegex(report, r"job held by a living lease +6000 +6000 +6000 +1\b")
        self.assertRegex(report, r"job back in the queue +6500 +6500 +6500 +1\b")


if __name__ == "__main__":
    unittest.main()
