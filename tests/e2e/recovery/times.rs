//! How long it takes from a death until every job that was touched by it is in good hands again.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use super::LONG;
use crate::stage::Stage;

/// The longest that a job may be in nobody's hands while another worker lives.
const BOUND: Duration = Duration::from_secs(10);

/// Jobs that a worker held when it was killed.
pub(super) struct Orphaned {
    holder: String,
    jobs: Vec<String>,
    killed_ms: i64,
}

impl Orphaned {
    /// Takes down what a worker holds; it is killed right after.
    pub(super) fn of(stage: &Stage, holder: &str) -> Self {
        let held = stage.query(&format!("SELECT id FROM scan_jobs WHERE lease_owner = '{holder}'"));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        let killed_ms = i64::try_from(now.as_millis()).expect("a time");
        let jobs = held.into_iter().map(|mut row| row.remove(0)).collect();
        Self { holder: holder.to_owned(), jobs, killed_ms }
    }

    /// Waits until every job is finished, back in the queue, or held by another's living lease with its container
    /// running; says how long the slowest of each kind took, and fails when that was longer than the bound.
    pub(super) fn recovered(&self, stage: &Stage) -> BTreeMap<&'static str, Vec<Duration>> {
        let since = Instant::now();
        let mut hands = BTreeMap::from([("finished", vec![]), ("queued", vec![]), ("held", vec![])]);
        let mut open = self.jobs.clone();
        while !open.is_empty() {
            open.retain(|job| match self.hand(stage, job, since) {
                Some((kind, after)) => {
                    hands.entry(kind).or_default().push(after);
                    false
                }
                None => true,
            });
            assert!(since.elapsed() < LONG, "in nobody's hands: {open:?}\n{}", stage.log());
            sleep(Duration::from_millis(50));
        }
        let slowest = |kind: &str| hands[kind].iter().max().map_or(0, Duration::as_millis);
        let [finished, queued, held] = ["finished", "queued", "held"].map(slowest);
        println!(
            "recovery of {} jobs: finished {finished} ms, queued {queued} ms, held {held} ms",
            self.jobs.len()
        );
        assert!(hands.values().flatten().all(|after| *after <= BOUND), "{hands:?}\n{}", stage.log());
        hands
    }

    fn hand(&self, stage: &Stage, job: &str, since: Instant) -> Option<(&'static str, Duration)> {
        let edges = stage.query(&format!(
            "SELECT to_state, at_ms FROM transitions WHERE job_id = '{job}' AND at_ms >= {} ORDER BY seq",
            self.killed_ms
        ));
        for edge in edges {
            let at = edge[1].parse::<i64>().expect("a time") - self.killed_ms;
            let at = Duration::from_millis(u64::try_from(at).expect("after the kill"));
            match edge[0].as_str() {
                "COMPLETED" | "FAILED" | "TIMED_OUT" => return Some(("finished", at)),
                "QUEUED" => return Some(("queued", at)),
                _ => {}
            }
        }
        let held = stage.query(&format!(
            "SELECT container_id FROM scan_jobs WHERE id = '{job}' AND lease_owner <> '{}'
             AND lease_until > (julianday('now') - 2440587.5) * 86400000",
            self.holder
        ));
        let container = held.first().and_then(|row| row.first())?;
        is_running(container).then(|| ("held", since.elapsed()))
    }
}

/// Whether a container has a process in it.
pub(super) fn is_running(container: &str) -> bool {
    let asked =
        Command::new("docker").args(["inspect", "--format", "{{.State.Running}}", container]).output();
    asked.expect("the docker client").stdout == b"true\n"
}

/// Waits until something holds, or says what the workers said.
pub(super) fn wait_until(what: &str, stage: &Stage, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "not so: {what}\n{}", stage.log());
        sleep(Duration::from_millis(50));
    }
}
