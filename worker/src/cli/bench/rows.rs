//! A claim and a listing, with few rows and with many.

use std::time::Instant;

use anyhow::Context as _;

use super::installation::{database, job, renamed};
use super::report::Report;
use super::series::{Series, Unit};
use super::stage::Bench;
use crate::domain::scan::WorkerId;
use crate::store::{Claim, NewJob, Obligation, Page, Ready, Search, Store, WorkerRow};

/// How many rows there are at each look.
const ROWS: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Rows that are made at once.
const BLOCK: usize = 5_000;

/// Users that the rows belong to, by turns.
const USERS: usize = 100;

/// Measures, with so many rows at most.
pub(super) async fn measure(
    bench: &Bench,
    runs: usize,
    most: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (store, _) = database(bench, "rows").await?;
    let worker = registered(&store).await?;
    let container = obliged(&store, &worker).await?;
    let mut made = 0;
    let mut measured = Vec::new();
    for rows in ROWS.into_iter().filter(|rows| *rows <= most) {
        while made < rows {
            let block = BLOCK.min(rows - made);
            store.submit((made..made + block).map(row).collect()).await.context("cannot make rows")?;
            made += block;
        }
        let (mut claims, mut lists) = (Vec::new(), Vec::new());
        for run in 0..=runs {
            let begun = Instant::now();
            let claim = Claim { worker: &worker, container: &container, reserved: false };
            let lease = store.claim(claim).await.context("cannot claim a job")?.context("no job is due")?;
            let claimed = begun.elapsed();
            drop(lease);
            let begun = Instant::now();
            store.find_jobs(Search::default(), Page::default()).await.context("cannot list jobs")?;
            let listed = begun.elapsed();
            // The first of each finds nothing in memory.
            if run > 0 {
                claims.push(claimed.as_secs_f64() * 1e3);
                lists.push(listed.as_secs_f64() * 1e3);
            }
        }
        let what = format!("claim with {rows} rows");
        report.measured(Series::new(format!("claim{rows}"), what, Unit::Millis, claims));
        let what = format!("jobs list with {rows} rows");
        report.measured(Series::new(format!("list{rows}"), what, Unit::Millis, lists));
        measured.push(rows);
    }
    if let [few, .., many] = measured[..] {
        let by = |kind: &str, rows: usize| format!("{kind}{rows}");
        let (many_claims, few_claims) = (by("claim", many), by("claim", few));
        report.ratio(
            "claimGrowth",
            "a claim with the most rows takes so many times one with the fewest",
            &many_claims,
            &[&few_claims],
        );
        let (many_lists, few_lists) = (by("list", many), by("list", few));
        report.ratio("listGrowth", "a listing with the most rows, likewise", &many_lists, &[&few_lists]);
    }
    Ok(())
}

fn row(number: usize) -> NewJob {
    let url = format!("http://host-{}.example/{number}", number % 1000);
    NewJob { user: format!("user-{}", number % USERS), ..renamed(job(&url)) }
}

/// A container that is written down, and is not there.
async fn obliged(store: &Store, worker: &WorkerId) -> anyhow::Result<Ready> {
    let ready = Ready { name: "bench".to_owned(), id: "bench".to_owned() };
    let obligation = Obligation {
        name: ready.name.clone(),
        engine_id: "none".to_owned(),
        worker: worker.clone(),
        door: String::new(),
        attestation: None,
    };
    store.oblige(obligation).await.context("cannot write a container down")?;
    Ok(ready)
}

async fn registered(store: &Store) -> anyhow::Result<WorkerId> {
    let id = WorkerId::fresh();
    let row = WorkerRow {
        id: id.clone(),
        host: "bench".to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine_id: "none".to_owned(),
        slots: 1,
    };
    store.register(&row).await.context("cannot register a worker")?;
    Ok(id)
}
