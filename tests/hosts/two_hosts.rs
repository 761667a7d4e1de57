//! Two hosts share the work, and each is killed in turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::node;
use crate::shared::Shared;
use crate::site::{Site, article};

const JOBS: usize = 500;

/// How many jobs are done when a worker is killed, in turn.
const KILLS: [usize; 4] = [60, 160, 260, 360];

/// Alone on two cores it takes half a minute; every kill leaves its host's containers to wait for ten seconds.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn two_hosts_work_off_500_jobs_of_an_official_producer_while_each_is_killed_in_turn() {
    let site = Site::start(article);
    let shared = Shared::start();
    let mut hosts = ["north", "south"].map(|name| Host::new(&shared, name));
    hosts[0].safeurl(&["db", "migrate"]);
    hosts.iter_mut().for_each(Host::start_worker);

    let jobs: Vec<_> =
        (0..JOBS).map(|n| (uuid::Uuid::now_v7().to_string(), site.url(&format!("/{n}")))).collect();
    let mut producer = node::producer(&shared.socket());
    let began = Instant::now();
    node::add(&mut producer, "anna", &jobs, 1);
    let done = || shared.ask::<usize>(&["ZCARD", "bull:scan-jobs:completed"]);
    for (turn, enough) in KILLS.into_iter().enumerate() {
        shared.wait_for(&format!("{enough} are done"), PATIENCE, || done() >= enough);
        let host = &mut hosts[turn % 2];
        host.kill_worker();
        host.start_worker();
    }
    shared.wait_for("all are done", PATIENCE, || done() == JOBS);
    println!("{JOBS} jobs in {:.1?}, {} kills", began.elapsed(), KILLS.len());

    every_job_was_completed_once(&shared);
    let of_host = |host: &Host| {
        let workers = shared.query("SELECT DISTINCT worker FROM transitions WHERE to_state = 'COMPLETED'");
        workers.iter().filter(|worker| host.had(&worker[0])).count()
    };
    assert!(hosts.iter().all(|host| of_host(host) > 0), "both took some");
    producer.end();
    hosts.iter_mut().for_each(Host::stop_worker);
    hosts.iter().for_each(|host| host.has_nothing_left(&shared));
    let fetched = (0..JOBS).map(|n| site.hits(&format!("/{n}")));
    let again = fetched.filter(|hits| *hits > 1).count();
    println!("{again} pages were fetched again, after a loss");
}

/// In the queue and in the database.
fn every_job_was_completed_once(shared: &Shared) {
    for place in ["wait", "active"] {
        assert_eq!(shared.ask::<usize>(&["LLEN", &format!("bull:scan-jobs:{place}")]), 0, "{place}");
    }
    for place in ["delayed", "failed"] {
        assert_eq!(shared.ask::<usize>(&["ZCARD", &format!("bull:scan-jobs:{place}")]), 0, "{place}");
    }
    assert_eq!(shared.ask::<Vec<String>>(&["KEYS", "bull:scan-jobs:*:lock"]), Vec::<String>::new());
    let events: Vec<(String, BTreeMap<String, String>)> =
        shared.ask(&["XRANGE", "bull:scan-jobs:events", "-", "+"]);
    let mut ends = BTreeMap::new();
    for (_, event) in events.iter().filter(|(_, event)| event["event"] == "completed") {
        *ends.entry(event["jobId"].clone()).or_insert(0) += 1;
    }
    assert!(ends.len() == JOBS && ends.values().all(|count| *count == 1), "{ends:?}");
    let entries: Vec<String> = shared.ask(&["ZRANGE", "bull:scan-jobs:completed", "0", "-1"]);
    for entry in entries {
        let made: String = shared.ask(&["HGET", &format!("bull:scan-jobs:{entry}"), "atm"]);
        assert_eq!(made, "1", "a loss is no attempt of entry {entry}");
    }
    let count = |sql: &str| shared.value(sql).parse::<usize>().expect("a number");
    assert_eq!(count("SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED'"), JOBS);
    assert_eq!(count("SELECT count(*) FROM scan_results"), JOBS);
    assert_eq!(count("SELECT count(*) FROM transitions WHERE to_state = 'COMPLETED'"), JOBS);
}
