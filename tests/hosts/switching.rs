//! An installation is switched over to ours and back, as `config/deploy/switching.md` says, while jobs come in.

use std::ops::Range;
use std::time::Duration;

use crate::gate::Gate;
use crate::host::Host;
use crate::node::{self, Node};
use crate::shared::Shared;
use crate::site::{Site, article};

/// What the older program made, with rows in every state.
const EXISTING: &str = include_str!("../fixtures/existing.sql");
const USER: &str = "user_2aNna";
const PATIENCE: Duration = Duration::from_secs(60);

/// Jobs that come in while the older worker and ours are both at work.
const TOGETHER: Range<usize> = 10..50;

/// Jobs as the installation's interface makes them: a row, then an entry.
struct Users<'a> {
    shared: &'a Shared,
    site: &'a Site,
    producer: Node,
    made: usize,
}

impl Users<'_> {
    fn submit(&mut self, count: usize) {
        let numbers = self.made..self.made + count;
        let jobs: Vec<_> = numbers.map(|n| (format!("cmnew{n}"), self.site.url(&format!("/{n}")))).collect();
        for (job, url) in &jobs {
            let values = format!("('{job}', '{USER}', '{url}')");
            self.shared.execute(&format!("INSERT INTO scan_jobs (id, user_id, url) VALUES {values}"));
        }
        node::add(&mut self.producer, USER, &jobs, 3);
        self.made += count;
    }

    /// Waits until all jobs so far are done, in the queue and in the database.
    fn are_served(&self) {
        let entries = || self.shared.ask::<usize>(&["ZCARD", "bull:scan-jobs:completed"]);
        self.shared.wait_for("all entries are completed", PATIENCE, || entries() == self.made);
        let rows = "SELECT count(*) FROM scan_jobs WHERE state = 'COMPLETED' AND id LIKE 'cmnew%'";
        assert_eq!(self.shared.value(rows), self.made.to_string());
    }
}

#[test]
fn an_installation_is_switched_over_to_ours_and_back_while_jobs_come_in() {
    let both_are_there = Gate::default();
    let gate = both_are_there.clone();
    let site = Site::start(move |path| {
        // Pages of the time of both wait until each has some of them.
        if path[1..].parse().is_ok_and(|n| TOGETHER.contains(&n)) {
            gate.wait();
        }
        article(path)
    });
    let shared = Shared::start();
    shared.execute(EXISTING);
    // Their pages are elsewhere.
    shared.execute("DELETE FROM scan_jobs WHERE state IN ('QUEUED', 'FETCHING')");
    let untouched = "SELECT * FROM wallets JOIN users ON user_id = clerk_user_id ORDER BY wallets.id";
    let before = shared.query(untouched);
    let mut host = Host::new(&shared, "host");
    let mut users =
        Users { producer: node::producer(&shared.socket()), shared: &shared, site: &site, made: 0 };

    let older = node::older_worker(&shared.socket(), &shared.sqld.url());
    users.submit(5);
    users.are_served();
    host.safeurl(&["db", "migrate"]);
    users.submit(5);
    users.are_served();
    assert_eq!(
        shared.value("SELECT count(*) FROM transitions"),
        "0",
        "all of it was the older program's work"
    );

    host.start_worker();
    shared.wait_for("our worker takes jobs", PATIENCE, || host.log().contains("taking jobs"));
    users.submit(TOGETHER.len());
    let claimed = || shared.value("SELECT count(*) FROM transitions WHERE reason = 'claimed'") != "0";
    shared.wait_for("both have jobs", PATIENCE, || {
        claimed() && { TOGETHER }.any(|n| site.hits(&format!("/{n}")) > 0)
    });
    both_are_there.open();
    users.are_served();
    older.end();
    users.submit(10);
    users.are_served();
    let ours = "SELECT count(*) FROM scan_results WHERE model_used LIKE 'safeurl-rules/%'";
    let ours = shared.value(ours).parse::<usize>().expect("a number");
    assert!((11..=50).contains(&ours), "{ours} of ours: both worked while both were there");

    host.stop_worker();
    users.submit(1);
    let older = node::older_worker(&shared.socket(), &shared.sqld.url());
    users.submit(9);
    users.are_served();
    older.end();

    assert_eq!(shared.value("SELECT count(*) FROM scan_results WHERE job_id LIKE 'cmnew%'"), "70");
    assert!((0..70).all(|n| site.hits(&format!("/{n}")) == 1), "every page was fetched once");
    for n in 1..=70 {
        assert_eq!(shared.ask::<String>(&["HGET", &format!("bull:scan-jobs:{n}"), "atm"]), "1", "entry {n}");
    }
    assert_eq!(shared.query(untouched), before);
    users.producer.end();
    host.has_nothing_left(&shared);
}
