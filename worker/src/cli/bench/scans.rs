//! One scan after the other, in turns with the engine without us.

use std::time::Duration;

use anyhow::Context as _;

use super::docker_run::DockerRun;
use super::installation::{Installation, Scan};
use super::report::Report;
use super::series::{Series, Unit};
use super::stage::Bench;
use super::submitter::Submitter;
use crate::sandbox::bare::{self, BareCycle};
use crate::sandbox::{Docker, Request};

/// What one turn of each kind took.
#[derive(Default)]
struct Turns {
    docker_run: Vec<Duration>,
    bare: Vec<BareCycle>,
    cold: Vec<Scan>,
    warm: Vec<Scan>,
    warm_by_another: Vec<Scan>,
}

/// Measures so many turns, after one that does not count: the first of everything reads files and makes tables.
pub(super) async fn measure(bench: &Bench, runs: usize, report: &mut Report) -> anyhow::Result<()> {
    let docker_run = DockerRun::find(bench).await?;
    if docker_run.is_none() {
        report.not_measured("dockerRun", "there is no docker client on this machine");
    }
    let engine = Docker::new(bench.own_config());
    let mut cold = Installation::start(bench, "cold", 0).await?;
    let mut warm = Installation::start(bench, "warm", 1).await?;
    let mut another = Submitter::start(&warm.path).await?;
    let mut turns = Turns::default();
    for turn in 0..=runs {
        let mut took = Turns::default();
        let quiet = async || {
            cold.quiet().await?;
            warm.quiet().await
        };
        quiet().await?;
        if let Some(docker_run) = &docker_run {
            took.docker_run.push(run(bench, docker_run).await?);
        }
        took.bare.push(drive(bench, &engine).await?);
        took.cold.push(cold.scan(bench, None).await?);
        cold.quiet().await?;
        warm.quiet().await?;
        took.warm.push(warm.scan(bench, None).await?);
        warm.quiet().await?;
        took.warm_by_another.push(warm.scan(bench, Some(&mut another)).await?);
        if turn > 0 {
            turns.add(took);
        }
    }
    for (kind, installation) in [("coldScan", &cold), ("warmScan", &warm)] {
        if let Some(container) = installation.book.kept() {
            bench.keep(kind, container);
        }
    }
    cold.stop().await?;
    warm.stop().await?;
    turns.tell(report);
    Ok(())
}

async fn run(bench: &Bench, docker_run: &DockerRun) -> anyhow::Result<Duration> {
    let (request, keep) = (bench.own_request("run")?, bench.is_to_keep("dockerRun"));
    let (docker_run, of) = (docker_run.clone(), request.clone());
    let took = bench.under_way().begin(async move { docker_run.once(&of, keep).await }).wait().await??;
    if keep {
        bench.keep("dockerRun", request.name);
    }
    Ok(took)
}

async fn drive(bench: &Bench, engine: &Docker) -> anyhow::Result<BareCycle> {
    let (request, keep) = (bench.own_request("bare")?, bench.is_to_keep("bare"));
    let took = bare_cycle(bench, engine, &request, keep).await?;
    if keep {
        bench.keep("bare", request.name);
    }
    Ok(took)
}

/// One container that is seen to its end.
pub(super) async fn bare_cycle(
    bench: &Bench,
    engine: &Docker,
    request: &Request,
    keep: bool,
) -> anyhow::Result<BareCycle> {
    let (engine, request) = (engine.clone(), request.clone());
    let mut driven = bench.under_way().begin(async move { bare::cycle(&engine, &request, keep).await });
    driven.wait().await?.context("cannot drive the engine bare")
}

fn millis<T>(of: &[T], duration: impl Fn(&T) -> Duration) -> Vec<f64> {
    of.iter().map(|one| duration(one).as_secs_f64() * 1e3).collect()
}

impl Turns {
    fn add(&mut self, took: Self) {
        self.docker_run.extend(took.docker_run);
        self.bare.extend(took.bare);
        self.cold.extend(took.cold);
        self.warm.extend(took.warm);
        self.warm_by_another.extend(took.warm_by_another);
    }

    fn tell(&self, report: &mut Report) {
        let warm: Vec<_> = self.warm.iter().chain(&self.warm_by_another).copied().collect();
        let all = [
            ("dockerRun", "docker run --rm, no job", millis(&self.docker_run, |took| *took)),
            (
                "bareReady",
                "engine driven bare: create, attach, start, ready",
                millis(&self.bare, |cycle| cycle.ready),
            ),
            ("bareDead", "  and until it was dead", millis(&self.bare, |cycle| cycle.dead)),
            ("bareGone", "  and until it was removed", millis(&self.bare, |cycle| cycle.gone)),
            ("coldScan", "cold scan: submit to COMPLETED read", millis(&self.cold, |scan| scan.whole)),
            ("warmScan", "warm scan: submit to COMPLETED read", millis(&self.warm, |scan| scan.whole)),
            (
                "warmScanByAnother",
                "warm scan, submitted by another process",
                millis(&self.warm_by_another, |scan| scan.whole),
            ),
            ("claimToWrite", "claim committed to invocation written", millis(&warm, |scan| scan.to_write)),
            (
                "handOver",
                "claim committed to connection at the page, so later than the invocation read",
                millis(&warm, |scan| scan.to_connection),
            ),
            ("fetch", "invocation written to report whole", millis(&warm, |scan| scan.fetch)),
        ];
        for (name, what, samples) in all {
            if !samples.is_empty() {
                report.measured(Series::new(name, what, Unit::Millis, samples));
            }
        }
        report.ratio(
            "dockerRunToWarm",
            "docker run takes so many times a warm scan",
            "dockerRun",
            &["warmScan"],
        );
        report.ratio(
            "dockerRunToWarmByAnother",
            "  and one submitted by another process",
            "dockerRun",
            &["warmScanByAnother"],
        );
        report.ratio(
            "coldToBare",
            "a cold scan takes so many times the bare start and the fetch",
            "coldScan",
            &["bareReady", "fetch"],
        );
    }
}
