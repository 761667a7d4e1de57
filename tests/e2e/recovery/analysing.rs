//! A worker that dies between the two edges of a report: it was accepted and is not judged yet.

use std::time::Duration;

use super::{LONG, adopted, count, id_of, requeued, stop};
use crate::leftovers;
use crate::site::{Answer, Site};
use crate::stage::{Stage, on_database};

/// Long enough to read that somebody comes in between the edges; some 60 KB.
fn long_page(title: &str) -> Answer {
    let links: String =
        (0..800).map(|n| format!("<p>Sentence {n} of a <a href='/{n}'>long page</a>, and on.</p>")).collect();
    Answer::Html(format!(
        "<!doctype html><html lang=en><head><title>{title}</title></head><body>{links}</body></html>"
    ))
}

/// Kills once a row says ANALYZING, with the database locked, so that nothing is written after that edge.
fn kill_between_the_edges(stage: &Stage, kill: impl Fn()) {
    let found = on_database(&stage.database(), async |connection| {
        for _ in 0..60_000 {
            let change = connection.transaction_with_behavior(libsql::TransactionBehavior::Immediate).await;
            let change = change.expect("nobody else holds it for long");
            let mut rows =
                change.query("SELECT 1 FROM scan_jobs WHERE state = 'ANALYZING'", ()).await.expect("a query");
            let analysing = rows.next().await.expect("a row").is_some();
            drop(rows);
            if analysing {
                kill();
            }
            change.rollback().await.expect("nothing was changed");
            if analysing {
                return true;
            }
            // Others get their turn.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    });
    assert!(found, "no job was seen in ANALYZING\n{}", stage.log());
}

#[test]
fn a_report_that_was_accepted_is_judged_by_the_next_worker() {
    let site = Site::start(long_page);
    let stage = Stage::new();
    let mut victim = stage.worker(&["--concurrency", "1"]);
    let dead = id_of(&stage, &victim);
    let ran = stage.run(["submit", &site.url("/page")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    kill_between_the_edges(&stage, || victim.signal("-KILL"));
    assert_eq!(victim.end(), None);
    assert_eq!(stage.query(&count("ANALYZING")), [["1"]], "it died in between");

    let next = stage.worker(&[]);
    let heir = id_of(&stage, &next);
    stage.wait_for(&count("COMPLETED"), "1", LONG);
    let edges = stage
        .query("SELECT from_state, to_state, worker FROM transitions WHERE worker IS NOT NULL ORDER BY seq");
    let expected = [
        ["QUEUED", "FETCHING", dead.as_str()],
        ["FETCHING", "ANALYZING", &dead],
        ["ANALYZING", "ANALYZING", &heir],
        ["ANALYZING", "COMPLETED", &heir],
    ];
    assert_eq!(edges, expected);
    assert_eq!(site.hits("/page"), 1);
    assert_eq!(adopted(&stage), [("/page".to_owned(), "1".to_owned())]);
    assert!(requeued(&stage).is_empty());
    leftovers::none_but_of(&next, &stage, LONG);
    stop(next, &stage);
    leftovers::none_within(&stage, LONG);
}
