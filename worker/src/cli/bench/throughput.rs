//! Many scans at once, in blocks by turns with the engine driven bare, at the number at once that suits it best.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::installation::Installation;
use super::report::Report;
use super::scans::bare_cycle;
use super::series::{Series, Unit};
use super::stage::Bench;
use crate::sandbox::Docker;

/// How many containers at once the engine is tried with.
const AT_ONCE: [usize; 5] = [1, 2, 3, 4, 6];

/// Containers that each of these is tried with.
const TRIED_WITH: usize = 24;

/// Each way does its scans in so many blocks, by turns.
const BLOCKS: usize = 4;

/// Measures.
pub(super) async fn measure(bench: &Bench, scans: usize, report: &mut Report) -> anyhow::Result<()> {
    let engine = Docker::new(bench.own_config());
    let mut best = (0, 0.0);
    for at_once in AT_ONCE {
        let tries = TRIED_WITH.min(scans);
        let rate = per_second(tries, drive(bench, &engine, tries, at_once).await?);
        if rate > best.1 {
            best = (at_once, rate);
        }
    }
    let (at_once, _) = best;
    let mut ours = Installation::start(bench, "many", 0).await?;
    ours.quiet().await?;
    let (mut bare_rates, mut our_rates) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS {
        // The rest goes to the first blocks.
        let size = scans / BLOCKS + usize::from(block < scans % BLOCKS);
        if size > 0 {
            bare_rates.push(per_second(size, drive(bench, &engine, size, at_once).await?));
            our_rates.push(per_second(size, ours.scan_many(bench, size).await?));
        }
    }
    ours.stop().await?;
    let what = format!("engine driven bare, {at_once} at once, containers until they are removed");
    report.measured(Series::new("bareThroughput", what, Unit::PerSecond, bare_rates));
    let slots = bench.settings().worker.concurrency;
    let what = format!("cold scans, {slots} at once, until their containers are removed");
    report.measured(Series::new("throughput", what, Unit::PerSecond, our_rates));
    report.ratio(
        "throughputToBare",
        "scans for each container of the engine",
        "throughput",
        &["bareThroughput"],
    );
    Ok(())
}

/// Drives the engine through so many containers, each seen to its end.
async fn drive(bench: &Bench, engine: &Docker, count: usize, at_once: usize) -> anyhow::Result<Duration> {
    let requests: Vec<_> = (0..count).map(|_| bench.own_request("bare")).collect::<Result<_, _>>()?;
    let begun = Instant::now();
    let driven = stream::iter(&requests).map(|request| bare_cycle(bench, engine, request, false));
    driven.buffer_unordered(at_once).try_for_each(|_| async { Ok(()) }).await?;
    Ok(begun.elapsed())
}

/// A rate; a count is far below where a float has no fractions.
pub(super) fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::EPSILON)
}
