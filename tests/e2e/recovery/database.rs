//! A database that takes no writes for longer than a lease: our own trouble, of which no job fails.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::times::wait_until;
use super::{Gated, LONG, count, id_of, requeued, stop};
use crate::leftovers;
use crate::stage::Stage;

/// Longer than a lease and than the time after which a worker counts as dead.
pub(super) const LEASE_PASSED: Duration = Duration::from_secs(11);

/// Lines of the workers' log that ask a person to look.
fn warnings(stage: &Stage) -> Vec<String> {
    let log = stage.log();
    log.lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .map(str::to_owned)
        .collect()
}

/// Pages end, and more jobs wait, while there is trouble for that long; then it is over, and all is as if nothing had
/// been.
pub(super) fn live_through(stage: &Stage, workers: usize, lasts: Duration, trouble: impl FnOnce(&dyn Fn())) {
    let pages = Gated::start();
    let held = ["/early/1", "/early/2", "/early/3", "/early/4"];
    let waiting = ["/more/1", "/more/2"];
    let room = (held.len() / workers).to_string();
    let workers: Vec<_> = (0..workers).map(|_| stage.worker(&["--concurrency", &room])).collect();
    workers.iter().for_each(|worker| drop(id_of(stage, worker)));
    pages.submit(stage, &held);
    pages.wait_for_hits(stage, &held);
    pages.submit(stage, &waiting);
    // Two that start at once on a fresh file may have told each that the other had it.
    let before = warnings(stage).len();
    let began = Instant::now();
    trouble(&|| {
        pages.early.open();
        let said = || warnings(stage).len() >= before + workers.len();
        wait_until("every worker says what it waits for", stage, said);
        // How long it lasts is what is tried here.
        std::thread::sleep(lasts.saturating_sub(began.elapsed()));
    });
    stage.wait_for(&count("COMPLETED"), "6", LONG);

    pages.assert_hits(&held, 1);
    pages.assert_hits(&waiting, 1);
    assert!(requeued(stage).is_empty(), "{:?}", requeued(stage));
    assert_eq!(stage.query("SELECT DISTINCT attempt - attempt_base FROM scan_jobs"), [["1"]]);
    assert_eq!(stage.query("SELECT count(*) FROM scan_results"), [["6"]]);
    assert_eq!(warnings(stage).len(), before + workers.len(), "each says it once: {:#?}", warnings(stage));
    workers.into_iter().for_each(|worker| stop(worker, stage));
    leftovers::none_within(stage, LONG);
}

#[test]
fn no_job_fails_while_another_process_holds_the_database() {
    let stage = Stage::new();
    live_through(&stage, 1, LEASE_PASSED, |work| stage.while_locked(work));
}

// To each of them the other looks dead when the database is back, and who writes first takes what the other holds.
#[test]
fn no_page_is_fetched_twice_when_two_workers_could_not_renew_their_leases() {
    let stage = Stage::new();
    live_through(&stage, 2, LEASE_PASSED, |work| stage.while_locked(work));
}

/// A small volume of a test's own.
struct Volume(PathBuf);

impl Volume {
    fn mount() -> Self {
        let path = std::env::temp_dir().join(format!("safeurl-volume-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&path).status();
        assert!(mounted.expect("mount runs").success(), "a volume needs root");
        Self(path)
    }

    /// Fills it to the last byte; comes back with what to remove.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).expect("an inode is left");
        for piece in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn no_job_fails_while_the_volume_of_the_database_is_full() {
    let volume = Volume::mount();
    let stage = Stage::new().with_database_in(&volume.0);
    live_through(&stage, 1, LEASE_PASSED, |work| {
        // What the log of writes has room for already would still go in.
        stage.query("PRAGMA wal_checkpoint(TRUNCATE)");
        let filler = volume.fill();
        work();
        fs::remove_file(filler).expect("it can go");
    });
}
