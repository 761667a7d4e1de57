//! How SQLite carries out each statement that runs often, on a taken-over database with many rows. Without
//! being told, it takes the existing index on the state and sorts: 83 ms a claim at 300,000 rows.

use super::{KIND, taken_over};
use crate::domain::failure::FailureClass;
use crate::domain::scan::WorkerId;
use crate::domain::state::{Event, State, Transition};
use crate::store::listing::{self, WITH_PREFIX};
use crate::store::testing::{Kind, edge, failure, ready};
use crate::store::transitions::{Grant, Serving, statement};
use crate::store::{
    Page, Search, Store, audit, claim, containers, deliveries, gauges, hosts, jobs, leases, recovery, stats,
    transitions, workers,
};

/// Rows as an installation that was busy for long has them: mostly finished, many queued, few at work.
const MANY: &str = "
    INSERT INTO scan_jobs (id, user_id, url, state, created_at, updated_at)
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 4000)
    SELECT 'many ' || n, CASE WHEN n % 3 THEN 'user_2aNna' ELSE 'user_2bOtto' END, 'https://example.com/' || n,
      CASE WHEN n % 4 = 0 THEN 'QUEUED' WHEN n % 500 = 1 THEN 'FETCHING' ELSE 'COMPLETED' END,
      1700000000 + n, 1700000000 + n FROM n;
    UPDATE scan_jobs SET ready = 0, run_at = 1700000000000 + created_at WHERE state = 'QUEUED' AND created_at % 8 = 0;
    UPDATE scan_jobs SET reserved_for = 'w' WHERE state = 'QUEUED' AND created_at % 100 = 4;
    UPDATE scan_jobs SET lease_owner = 'w' WHERE state = 'FETCHING';
    INSERT INTO scan_results (job_id, risk_score, categories, content_hash, model_used, reasoning, indicators, created_at)
    SELECT id, 0, '[]', printf('%064d', 0), 'old', '', '[]', created_at FROM scan_jobs
    WHERE state = 'COMPLETED' AND id LIKE 'many %';
    INSERT INTO containers (name, engine_id, uid, worker, door, created_ms) VALUES ('c', 'e', 60600, 'w', '/', 0);";

async fn plan(store: &Store, sql: &str) -> String {
    let steps = store.rows(&format!("EXPLAIN QUERY PLAN {sql}")).await;
    let steps: Vec<_> = steps.iter().filter_map(|step| step.splitn(4, '|').nth(3)).collect();
    steps.join("; ")
}

/// A server makes no statistics.
async fn analyze(store: &Store) {
    if KIND == Kind::File {
        store.run("ANALYZE").await;
    }
}

#[tokio::test]
async fn every_hot_statement_uses_its_index_before_and_after_statistics() {
    let (_folder, store) = taken_over().await;
    store.run(MANY).await;
    let newest = listing::statement(&Search::default(), &Page::default()).sql;
    let behind = Page { after: Some(crate::domain::scan::ScanId::fresh()), ..Page::default() };
    let behind = listing::statement(&Search::default(), &behind).sql;
    let narrowed = Search {
        states: vec![State::Failed],
        user: Some("user_2aNna".to_owned()),
        domain: Some("example.com".to_owned()),
        since: Some(crate::domain::timestamp::Timestamp::from_seconds(1_700_000_100)),
        ..Search::default()
    };
    let narrowed = listing::statement(&narrowed, &Page::default()).sql;
    for statistics in [false, true] {
        if statistics {
            analyze(&store).await;
        }
        for (name, sql, expected) in [
            (
                "newest",
                newest.as_str(),
                "SCAN scan_jobs USING INDEX scan_jobs_recent; SEARCH scan_results USING",
            ),
            ("behind", behind.as_str(), "SEARCH scan_jobs USING INDEX scan_jobs_recent"),
            ("narrowed", narrowed.as_str(), "SEARCH scan_jobs USING INDEX scan_jobs_recent (created_at>?)"),
            (
                "beginning",
                WITH_PREFIX,
                "SEARCH scan_jobs USING COVERING INDEX sqlite_autoindex_scan_jobs_1 (id>? AND id<?)",
            ),
            ("next user", hosts::NEXT_USER, "SEARCH scan_jobs USING INDEX scan_jobs_claim (user_id>?)"),
            ("first user", hosts::FIRST_USER, "SCAN scan_jobs USING INDEX scan_jobs_claim"),
            (
                "reserved",
                claim::RESERVED,
                "SEARCH scan_jobs USING INDEX scan_jobs_reserved (reserved_for=? AND ready=?)",
            ),
            ("due", leases::SHARED_DUE, "SCAN scan_jobs USING INDEX scan_jobs_claim"),
            (
                "reserved due",
                leases::RESERVED_DUE,
                "SEARCH scan_jobs USING INDEX scan_jobs_reserved (reserved_for=? AND ready=?)",
            ),
            ("renewal", leases::RENEW, "SEARCH scan_jobs USING INDEX scan_jobs_leased (lease_owner=?)"),
            (
                "next delayed",
                leases::NEXT_DELAYED,
                "SEARCH scan_jobs USING COVERING INDEX scan_jobs_delayed (run_at>?)",
            ),
            (
                "promotion",
                leases::PROMOTE,
                "SEARCH scan_jobs USING COVERING INDEX scan_jobs_delayed (run_at<?)",
            ),
            (
                "orphans",
                recovery::ORPHANS,
                "SCAN scan_jobs USING INDEX scan_jobs_leased; \
                 SEARCH owner USING INDEX sqlite_autoindex_workers_1 (id=?) LEFT-JOIN; \
                 SEARCH c USING INDEX containers_container (container_id=?) LEFT-JOIN",
            ),
            (
                "one orphan",
                recovery::ORPHAN,
                "SEARCH scan_jobs USING INDEX sqlite_autoindex_scan_jobs_1 (id=?)",
            ),
            (
                "the row of a delivery",
                deliveries::FIND,
                "SEARCH scan_jobs USING INDEX sqlite_autoindex_scan_jobs_1 (id=?)",
            ),
            ("deliveries at work", deliveries::AT_WORK, "SCAN scan_jobs USING INDEX scan_jobs_leased"),
            ("oldest due", gauges::OLDEST_DUE, "SCAN scan_jobs USING INDEX scan_jobs_oldest_due"),
            ("kinds of jobs", gauges::COUNTED, "SCAN job_counts"),
            (
                "containers of an engine",
                gauges::CONTAINERS,
                "SEARCH containers USING COVERING INDEX sqlite_autoindex_containers_2 (engine_id=?)",
            ),
            (
                "an edge by its operation",
                transitions::WRITTEN,
                "SEARCH transitions USING INDEX transitions_job (job_id=? AND version=?)",
            ),
            (
                "behind a full host",
                hosts::NEXT_OF_USER,
                "SEARCH scan_jobs USING INDEX scan_jobs_claim (user_id=?)",
            ),
            (
                "holding back",
                hosts::HOLD_BACK,
                "SCAN held VIRTUAL TABLE INDEX 1:; SEARCH scan_jobs USING INTEGER PRIMARY KEY (rowid=?)",
            ),
            (
                "hosts with room",
                hosts::WITH_ROOM,
                "SEARCH hosts USING COVERING INDEX hosts_waiting (waiting=? AND next_ms<?); CORRELATED SCALAR SUBQUERY 1; \
                 SEARCH busy USING INDEX scan_jobs_at_host (host=?)",
            ),
            (
                "the next host with room",
                hosts::NEXT_ROOM,
                "SEARCH hosts USING COVERING INDEX hosts_waiting (waiting=?); CORRELATED SCALAR SUBQUERY 1; \
                 SEARCH busy USING INDEX scan_jobs_at_host (host=?)",
            ),
            ("forgotten hosts", hosts::FORGET, "SEARCH hosts USING PRIMARY KEY (host=?)"),
            ("listing", jobs::LIST, "SCAN scan_jobs USING INDEX scan_jobs_recent; LIST SUBQUERY"),
        ] {
            let plan = plan(&store, sql).await;
            assert!(plan.starts_with(expected), "{name}, statistics {statistics}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{name}, statistics {statistics}: {plan}");
        }
        for (name, sql, index) in [
            ("undelivered", deliveries::UNDELIVERED, "SCAN scan_jobs USING INDEX scan_jobs_claim"),
            ("undelivered because held back", deliveries::UNDELIVERED, "scan_jobs_held_back"),
            ("jobs at the host of the next row", hosts::NEXT_USER, "INDEX scan_jobs_at_host (host=?)"),
            ("jobs at the host of the first row", hosts::FIRST_USER, "INDEX scan_jobs_at_host (host=?)"),
            ("jobs at hosts", hosts::ROOMS, "SEARCH busy USING INDEX scan_jobs_at_host (host=?)"),
            ("what comes back", hosts::COULD_COME_BACK, "scan_jobs_held_back (host=?)"),
            ("the next user of a host", hosts::TURN, "scan_jobs_held_back (host=? AND user_id>?)"),
            ("hosts whose time is far away", hosts::BRING_NEAR, "hosts_waiting (waiting=? AND next_ms>?)"),
            ("the next host that is waited for", hosts::FIND_FORSAKEN, "scan_jobs_held_back (host>?)"),
            ("letting go", hosts::LET_GO, "scan_jobs_held_back (host=? AND user_id=?)"),
            ("whether rows wait", hosts::STILL_WAITED_FOR, "scan_jobs_held_back (host=?)"),
            ("undelivered by time", deliveries::UNDELIVERED, "scan_jobs_delayed (run_at<?)"),
            ("abandoned", recovery::ABANDONED, "scan_jobs_reserved"),
            (
                "reaping",
                containers::REMNANTS,
                "SEARCH scan_jobs USING INDEX scan_jobs_bound (container_id=?)",
            ),
            ("a bound container", containers::IS_BOUND, "INDEX scan_jobs_bound (container_id=?)"),
            ("what a worker holds", containers::HOLDS, "INDEX scan_jobs_leased (lease_owner=?)"),
            ("forgetting", workers::FORGET, "SEARCH scan_jobs USING INDEX scan_jobs_leased (lease_owner=?)"),
            ("counts", jobs::COUNTS, "COVERING INDEX"),
            ("states since", stats::STATES, "SEARCH scan_jobs USING INDEX scan_jobs_recent"),
            ("slowest", stats::SLOWEST, "SEARCH scan_jobs USING INDEX scan_jobs_recent"),
            ("audit of a job", audit::OF_JOB, "SEARCH audit_logs USING INDEX"),
        ] {
            let plan = plan(&store, sql).await;
            assert!(plan.contains(index), "{name}, statistics {statistics}: {plan}");
        }
    }
}

fn every_edge() -> Vec<Transition> {
    let refused = failure(FailureClass::Tls);
    let mut edges = Vec::new();
    for state in State::ALL {
        for event in [
            Event::Claim,
            Event::Refuse(refused.clone()),
            Event::Accept,
            Event::TakeOver,
            Event::Fail(refused.clone()),
            Event::Complete,
            Event::Retry { failure: refused.clone(), delay: std::time::Duration::from_secs(1) },
            Event::Lose(refused.clone()),
            Event::Release,
            Event::Replay,
        ] {
            if crate::domain::state::step(state, event.clone()).is_ok() {
                edges.push(edge(state, event));
            }
        }
    }
    edges
}

#[tokio::test]
async fn every_edge_finds_its_row_by_the_id() {
    let (_folder, store) = taken_over().await;
    store.run(MANY).await;
    analyze(&store).await;
    let edges = every_edge();
    assert_eq!(edges.len(), 16);
    let worker = WorkerId::fresh();
    for transition in edges {
        let grant =
            Grant { worker: worker.clone(), container: Some(ready(&worker)), serving: Serving::Nothing };
        let sql = statement(&transition, Some(&grant));
        assert_eq!(
            plan(&store, &sql).await,
            "SEARCH scan_jobs USING INDEX sqlite_autoindex_scan_jobs_1 (id=?)",
            "{sql}"
        );
        assert!(!sql.contains("id-") && !sql.contains("why"), "no value is in the text: {sql}");
    }
}
