//! A scan survives the death of everything around it: workers, gateways, engines and databases go away while pages are
//! being served, and the server's own count says how often each was fetched.

mod adopted;
mod analysing;
mod database;
mod engine;
mod killed;
mod queue;
mod redis;
mod server;
mod stopped;
mod times;

use std::process::Command;
use std::time::Duration;

use crate::gate::Gate;
use crate::site::{Answer, Site, article};
use crate::stage::{Stage, Worker};

/// Longer than anything here takes: who waits so long waits for what does not come.
const LONG: Duration = Duration::from_secs(60);

/// How long a server may be gone without anything being lost: many times all leases and deadlines.
const MINUTE: Duration = Duration::from_secs(60);

/// What the history says of an attempt that was lost: the edge, and the class of failure.
const LOST: &str = "lost: lost";

/// A site of three folders: `/early/…` and `/late/…` wait for a gate each, `/never/…` is never answered, everything else
/// is at once.
struct Gated {
    site: Site,
    early: Gate,
    late: Gate,
}

impl Gated {
    fn start() -> Self {
        let (early, late) = (Gate::default(), Gate::default());
        let (first, second) = (early.clone(), late.clone());
        let site = Site::start(move |path| match path.split('/').nth(1) {
            Some("early") => {
                first.wait();
                article(path)
            }
            Some("late") => {
                second.wait();
                article(path)
            }
            Some("never") => Answer::Silence,
            _ => article(path),
        });
        Self { site, early, late }
    }

    /// Submits a job for each path.
    fn submit(&self, stage: &Stage, paths: &[&str]) {
        let urls: String = paths.iter().map(|path| self.site.url(path) + "\n").collect();
        let ran = stage.feed(["submit", "-"], &urls);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// Waits until each path was asked for.
    fn wait_for_hits(&self, stage: &Stage, paths: &[&str]) {
        times::wait_until("every page is asked for", stage, || {
            paths.iter().all(|path| self.site.hits(path) > 0)
        });
    }

    /// Asserts how often each path was asked for.
    fn assert_hits(&self, paths: &[&str], hits: usize) {
        let seen: Vec<_> = paths.iter().map(|path| (*path, self.site.hits(path))).collect();
        assert!(seen.iter().all(|(_, seen)| *seen == hits), "not {hits} each: {seen:?}");
    }
}

/// The id under which a worker has registered.
fn id_of(stage: &Stage, worker: &Worker) -> String {
    stage.wait_for_tables();
    let sql = format!("SELECT id FROM workers WHERE pid = {}", worker.0.id());
    times::wait_until("the worker is registered", stage, || !stage.query(&sql).is_empty());
    stage.query(&sql)[0][0].clone()
}

fn children_of(worker: &Worker) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", worker.0.id())).expect("it runs").flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .map(|pid| pid.parse().expect("a number"))
        .collect()
}

/// The process of a worker's gateway.
fn gateway_of(worker: &Worker) -> u32 {
    let children = children_of(worker);
    assert_eq!(children.len(), 1, "a worker has its gateway and no other child");
    children[0]
}

/// Kills processes at once.
fn kill(pids: &[u32]) {
    let status = Command::new("kill").arg("-KILL").args(pids.iter().map(u32::to_string)).status();
    assert!(status.expect("kill runs").success());
}

fn is_running(pid: u32) -> bool {
    // One that has ended and was not waited for yet has no command line.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// How many jobs are in a state.
fn count(state: &str) -> String {
    format!("SELECT count(*) FROM scan_jobs WHERE state = '{state}'")
}

/// Whether each job's document says that its scan was adopted, by path.
fn adopted(stage: &Stage) -> Vec<(String, String)> {
    let rows = stage.query(
        "SELECT j.url, json_extract(d.body, '$.sandbox.adopted') FROM documents d JOIN scan_jobs j ON j.id = d.job_id
         ORDER BY j.url",
    );
    let path = |url: &str| format!("/{}", url.splitn(4, '/').nth(3).unwrap_or_default());
    rows.into_iter().map(|row| (path(&row[0]), row[1].clone())).collect()
}

/// The edges of all jobs that went back to the queue, with their reasons.
fn requeued(stage: &Stage) -> Vec<Vec<String>> {
    stage.query("SELECT job_id, reason FROM transitions WHERE to_state = 'QUEUED' ORDER BY job_id")
}

fn stop(mut worker: Worker, stage: &Stage) {
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
}
