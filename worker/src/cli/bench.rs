//! `safeurl bench`: how fast this machine scans, measured against what its engine does without us.
//!
//! Everything happens in one run and in turns, so that the rest of the machine slows down all of it alike: what is
//! said are ratios. Databases, sockets and pages are a measurement's own, in a folder that goes with it; nothing but
//! loopback is fetched. Owns no part of what it measures but the rival ways to the same end.

mod docker_run;
mod empty;
mod gateway;
mod installation;
mod observed;
mod queue;
mod report;
mod resources;
mod rows;
mod scans;
mod series;
mod site;
mod stage;
mod submitter;
mod throughput;
mod under_way;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::exit::Exit;
use super::output::Output;
use super::problem::Annotate as _;
use super::settings::ImageArgs;
use crate::shutdown::Signals;
use crate::telemetry;
use report::Report;
use stage::Bench;

pub use submitter::{SubmitterArgs, run as submit};

/// This very program, also after another version was put in its place.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The hidden command that another process of this program runs as.
const SUBMITTER: &str = "bench-submitter";

/// Measure how fast this machine scans, beside `docker run` and the engine driven bare
///
/// Cold and warm scans of a small page on loopback, the hand-over, and many scans at once, in turns with `docker run
/// --rm` of the same image and limits and with the engine driven bare, by our own container specification and nothing
/// else; the queue with an empty sandbox, claims and listings among a million rows, processor time and memory, and the
/// gateway. A table of medians and tails, and of ratios. Databases are made in the folder named by --dir, because a disk
/// that has to keep what it is told is part of what is measured; nothing else is touched, and nothing but loopback is
/// fetched. On a machine with other work to do only the ratios mean something.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  safeurl bench
  safeurl bench --only scans --runs 100
  safeurl bench --json > bench.json
  docker inspect $(safeurl bench --only scans --runs 1 --keep --json | jq -r '.kept[].container')")]
pub struct Args {
    /// How often each way of starting is measured, 1 to 10000
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = count(10_000))]
    pub runs: usize,

    /// How many scans each way of doing many does, 1 to 100000
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = count(100_000))]
    pub scans: usize,

    /// Measure this part only; may be given again
    #[arg(long, value_name = "PART", value_enum)]
    pub only: Vec<Part>,

    /// Rows at which claims and listings are measured at most: 1000, 100000 and 1000000 are
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = count(1_000_000))]
    pub most_rows: usize,

    /// MiB that go through the gateway, 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = count(65_536))]
    pub volume: usize,

    /// One compact JSON document with every sample: {"machine", "measurements", "ratios", "notMeasured", "kept"}
    #[arg(long)]
    pub json: bool,

    /// Leave one container of each kind, ended, to look at, and name it
    #[arg(long)]
    pub keep: bool,

    /// Folder in which databases are made, in one of their own; on the disk that is to be measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,

    #[command(flatten)]
    pub settings: ImageArgs,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// One scan after the other, cold and warm, and the hand-over
    Scans,
    /// Many scans at once
    Throughput,
    /// The embedded queue with a sandbox that is empty, ten jobs for each of --scans
    Queue,
    /// A claim and a listing with few rows and with many
    Rows,
    /// Processor time and memory of a worker and its gateway
    Resources,
    /// Bytes and connections through the gateway
    Gateway,
    /// The queue in the Redis of the settings, alone and with the database: only where named, because it fills that Redis
    Bullmq,
}

fn count(most: usize) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(format!("a whole number from 1 to {most}")),
    }
}

/// Runs it.
///
/// # Errors
/// Wrong settings; an engine or image that cannot be used; a scan that does not end as it must.
pub async fn run(args: Args) -> anyhow::Result<Exit> {
    let (settings, _) = args.settings.load()?;
    telemetry::init(&stage::quiet(&settings.log)).context("cannot set up log lines")?;
    if !args.dir.is_dir() {
        let missing = || bail!("there is no folder {}", args.dir.display());
        return missing().hint("name one that is there with --dir");
    }
    let (_signals, signals) = Signals::listen().context("cannot listen to signals")?;
    let bench = Bench::new(settings, &args).await?;
    if cfg!(debug_assertions) {
        eprintln!(
            "warning: this is a debug build, which is many times slower; `make build` makes the other one"
        );
    }
    let measured = tokio::select! {
        measured = measure(&bench, &args) => Some(measured),
        () = signals.draining() => None,
    };
    // Whatever came of it; what a signal cut short has left something.
    let swept = bench.sweep().await;
    let Some(measured) = measured else {
        swept?;
        return Ok(signals.signal().map_or(Exit::Failed, Exit::Aborted));
    };
    let report = measured?;
    swept?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&report)?
    } else {
        output.text(&report.table())?
    }
    Ok(Exit::Done)
}

async fn measure(bench: &Bench, args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::of(bench, args).await?;
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    if wanted(Part::Scans) {
        scans::measure(bench, args.runs, &mut report).await?;
    }
    if wanted(Part::Throughput) {
        throughput::measure(bench, args.scans, &mut report).await?;
    }
    if wanted(Part::Queue) {
        queue::measure(bench, args.scans, &mut report).await?;
    }
    if wanted(Part::Rows) {
        rows::measure(bench, args.runs, args.most_rows, &mut report).await?;
    }
    if wanted(Part::Resources) {
        resources::measure(bench, args.scans, &mut report).await?;
    }
    if wanted(Part::Gateway) {
        let bytes = u64::try_from(args.volume).unwrap_or(u64::MAX) << 20;
        gateway::measure(bench, args.runs, bytes, &mut report).await?;
    }
    if args.only.contains(&Part::Bullmq) {
        queue::measure_redis(bench, args.scans, &mut report).await?;
    }
    report.kept = bench.kept();
    Ok(report)
}
