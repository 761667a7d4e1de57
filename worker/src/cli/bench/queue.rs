//! The queue with nothing in it that takes time: jobs that are reported the moment they are handed over.
//!
//! Each job is claimed, analysed and settled as any other, with every row of a real scan, on a disk that has to keep
//! what was committed. Only the container is missing.

use std::time::Instant;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;

use super::empty::Empty;
use super::installation::{Installation, Working, database, job};
use super::report::Report;
use super::series::{Series, Unit};
use super::stage::Bench;
use super::throughput::per_second;
use crate::cli::{assemble, bullmq};
use crate::domain::scan::{ScanId, WorkerId};
use crate::domain::state::State;
use crate::metrics::Metrics;
use crate::queue::bullmq::consumer::{Consumer, ConsumerConfig, Taken};
use crate::queue::bullmq::producer::{NewEntry, Producer};
use crate::queue::bullmq::{BullMqConfig, Keys, Link};
use crate::supervisor::{Parts, Progress};

/// Jobs for each scan that is asked for: they are that much faster.
const JOBS_A_SCAN: usize = 10;

/// Jobs that are put into the queue at once.
const BLOCK: usize = 500;

/// Every number at once has so many turns; one is one sample, because jobs end in bursts.
const TURNS: usize = 3;

/// Hosts that the jobs are for by turns, as those of a queue are for many, and how many of one host's may be at work: none is
/// full, and that is looked at with each claim.
const HOSTS: usize = 256;
const PER_HOST: u32 = 8;

/// Jobs at once.
const AT_ONCE: [usize; 2] = [5, 100];

/// The embedded queue.
pub(super) async fn measure(bench: &Bench, scans: usize, report: &mut Report) -> anyhow::Result<()> {
    let empty = empty(bench).await?;
    let mut rates = AT_ONCE.map(|at_once| (at_once, Vec::new()));
    for turn in 0..TURNS {
        for (at_once, rates) in &mut rates {
            rates.push(settled(bench, &empty, (*at_once, turn), scans * JOBS_A_SCAN, None).await?);
        }
    }
    for (at_once, rates) in rates {
        let what = format!("embedded queue, empty sandbox, {at_once} at once, claim to settled");
        report.measured(Series::new(format!("queue{at_once}"), what, Unit::PerSecond, rates));
    }
    Ok(())
}

/// The queue in Redis that the settings name, alone and with the database behind it. The queue in it is one of this
/// run's own, which stays there.
pub(super) async fn measure_redis(bench: &Bench, scans: usize, report: &mut Report) -> anyhow::Result<()> {
    let Some(config) = bullmq::config(bench.settings(), "bench")? else {
        bail!("no Redis is named; set REDIS_URL to one that may be filled");
    };
    let empty = empty(bench).await?;
    let (jobs, mut all) = (scans * JOBS_A_SCAN, AT_ONCE.map(|at_once| (at_once, Vec::new(), Vec::new())));
    for turn in 0..TURNS {
        let own = |kind: &str| {
            let name = format!("{kind}-{}", uuid::Uuid::new_v4());
            BullMqConfig { keys: Keys::new(&bench.settings().queue.prefix, &name), ..config.clone() }
        };
        for (at_once, alone, behind) in &mut all {
            alone.push(taken_and_completed(own("alone"), *at_once, jobs).await?);
            behind.push(settled(bench, &empty, (*at_once, turn), jobs, Some(own("behind"))).await?);
        }
    }
    for (at_once, alone, behind) in all {
        let what = format!("queue in Redis alone, {at_once} at once, take to complete");
        report.measured(Series::new(format!("bullmq{at_once}"), what, Unit::PerSecond, alone));
        let what = format!("queue in Redis and database, empty sandbox, {at_once} at once");
        report.measured(Series::new(format!("bullmqDatabase{at_once}"), what, Unit::PerSecond, behind));
    }
    Ok(())
}

/// A sandbox that repeats what a container said of the page.
async fn empty(bench: &Bench) -> anyhow::Result<Empty> {
    let mut installation = Installation::start(bench, "sample", 0).await?;
    installation.scan(bench, None).await?;
    let said = installation.book.report().context("the scan of the page has no report")?;
    installation.stop().await?;
    let address = bench.site().address();
    Empty::repeating(&said, &address.ip().to_string(), address.port())
}

/// Jobs a second from the first claim to the last end.
async fn settled(
    bench: &Bench,
    empty: &Empty,
    (at_once, turn): (usize, usize),
    jobs: usize,
    bullmq: Option<BullMqConfig>,
) -> anyhow::Result<f64> {
    let kind = if bullmq.is_some() { "redis" } else { "embedded" };
    let name = format!("queue-{kind}-{at_once}-{turn}");
    let (store, _) = database(bench, &name).await?;
    let mut numbers = (0..HOSTS).cycle();
    let mut url = || format!("http://host{}.invalid/queue", numbers.next().unwrap_or_default());
    match &bullmq {
        None => {
            for block in blocks(jobs) {
                store.submit((0..block).map(|_| job(&url())).collect()).await?;
            }
        }
        Some(config) => {
            let entry = || NewEntry::scan(&ScanId::fresh(), "local", &url(), 1);
            fill(config, jobs, entry).await?;
        }
    }
    let worker = WorkerId::fresh();
    let real = assemble::parts(bench.settings(), store, worker, true, Metrics::new()).await?;
    let mut config = real.config;
    // There is no container whose walls could be tried, and no engine whose uids could be taken.
    (config.slots, config.walls, config.engine.id) = (at_once, None, "empty".to_owned());
    config.politeness.per_host = PER_HOST;
    let parts = Parts {
        store: real.store,
        sandbox: empty.clone(),
        gateway: real.gateway,
        rules: real.rules,
        config,
        worker: real.worker,
        run_base: real.run_base,
        reserved_only: false,
        bullmq,
        metrics: real.metrics,
    };
    let mut working = Working::start(bench, parts).await?;
    let mut begun = None;
    let mut left = jobs;
    let took = loop {
        match (working.next().await?, begun) {
            ((at, Progress::Fetching(_)), None) => begun = Some(at),
            ((at, Progress::Ended(_, State::Completed)), Some(begun)) => {
                left -= 1;
                if left == 0 {
                    break at.saturating_duration_since(begun);
                }
            }
            ((_, Progress::Ended(id, state)), _) => {
                bail!("job {id} ended {state}, unclaimed or not COMPLETED")
            }
            _ => {}
        }
    };
    working.stop().await?;
    Ok(per_second(jobs, took))
}

fn blocks(jobs: usize) -> impl Iterator<Item = usize> {
    (0..jobs).step_by(BLOCK).map(move |from| BLOCK.min(jobs - from))
}

async fn fill(config: &BullMqConfig, jobs: usize, mut entry: impl FnMut() -> NewEntry) -> anyhow::Result<()> {
    let producer = Producer::new(Link::new(&config.redis, config.keys.clone())?.into());
    for block in blocks(jobs) {
        let entries: Vec<_> = (0..block).map(|_| entry()).collect();
        producer.add(&entries).await.context("cannot fill the queue in Redis")?;
    }
    Ok(())
}

/// Our consumer with jobs that are nothing, as BullMQ's own worker with an empty processor.
async fn taken_and_completed(config: BullMqConfig, at_once: usize, jobs: usize) -> anyhow::Result<f64> {
    let entry = || NewEntry {
        name: "empty".to_owned(),
        data: serde_json::json!({}),
        id: None,
        opts: serde_json::Map::new(),
    };
    fill(&config, jobs, entry).await?;
    let link = Link::new(&config.redis, config.keys.clone())?;
    let settings = ConsumerConfig {
        name: None,
        lock: config.lock,
        stalled_interval: config.stalled_interval,
        max_stalled: config.max_stalled,
    };
    let consumer = std::sync::Arc::new(Consumer::new(link.into(), settings));
    // A worker of BullMQ is connected before it runs, too.
    consumer.look(1).await.context("cannot use the queue in Redis")?;
    let begun = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..at_once {
        let consumer = std::sync::Arc::clone(&consumer);
        lanes.spawn(async move {
            let (token, mut done) = (format!("bench:{lane}"), 0);
            while let Taken::Entry(entry) = consumer.take(&token).await? {
                consumer.complete(&entry, &token, "null").await?;
                done += 1;
            }
            Ok::<_, crate::queue::RedisError>(done)
        });
    }
    let mut done = 0;
    while let Some(lane) = lanes.join_next().await {
        done += lane.context("taking entries failed")?.context("cannot use the queue in Redis")?;
    }
    let took = begun.elapsed();
    if done != jobs {
        bail!("{done} of {jobs} entries were completed");
    }
    Ok(per_second(jobs, took))
}
