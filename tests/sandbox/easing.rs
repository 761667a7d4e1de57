//! What a container that runs on has of the processor.

use std::future::pending;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bollard::models::HostConfig;
use bollard::query_parameters::{CreateContainerOptionsBuilder, InspectContainerOptions};
use safeurl::sandbox::easing::{LEFT, PATIENCE};
use safeurl::sandbox::spec::container_spec;
use safeurl::sandbox::{Docker, Outcome, Sandbox as _, SandboxConfig, Waiting as _};

use super::support::{ATTEMPT, LONG, Place, allowed, client, filled, go_on, report};
use crate::log::Log;

/// All limits, as the engine says.
async fn limits(id: &str) -> HostConfig {
    let found = client().await.inspect_container(id, None::<InspectContainerOptions>).await;
    found.expect("it is there").host_config.expect("limits")
}

/// Billionths of a processor.
async fn limit(id: &str) -> i64 {
    limits(id).await.nano_cpus.expect("a limit")
}

async fn wait_for(id: &str, nano: i64) {
    let until = Instant::now() + LONG;
    while limit(id).await != nano {
        assert!(Instant::now() < until, "{} is left", limit(id).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Of what the place's containers are made with.
fn less(place: &Place) -> (i64, i64) {
    let nano = |cpus: f64| (cpus * 1e9) as i64;
    (nano(place.config.cpus), nano(place.config.cpus * LEFT))
}

#[tokio::test]
async fn a_container_that_runs_on_gets_less_of_the_processor_and_reports_as_ever() {
    let place = Place::new().await;
    let (whole, less) = less(&place);
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    let before = limits(&id).await;
    // Without a job it may wait for as long as it likes: only time shows that nothing happens.
    tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
    assert_eq!(limit(&id).await, whole);
    // The engine writes a new limit down before the kernel has it. A tenth of a second is the kernel's period.
    let steps = format!("until-quota {}|meet|{}", less / 10_000, report(10));
    let then = async {
        let socket = place.met().await;
        assert_eq!(limits(&id).await, HostConfig { nano_cpus: Some(less), ..before });
        go_on(&socket);
    };
    let (ran, ()) = tokio::join!(waiting.run(&steps, ATTEMPT, LONG, pending(), allowed()), then);
    assert_eq!(ran.outcome, Outcome::Reported(filled(10)));
}

#[tokio::test]
async fn one_that_is_followed_gets_less_too() {
    let place = Place::new().await;
    let (whole, less) = less(&place);
    let (id, socket) = place.orphaned(&format!("meet|{}", report(10))).await;
    assert_eq!(limit(&id).await, whole);
    let then = async {
        wait_for(&id, less).await;
        go_on(&socket);
    };
    let (ran, ()) = tokio::join!(place.follow(&id), then);
    assert_eq!(ran.outcome, Outcome::Reported(filled(10)));
}

#[tokio::test]
async fn nobody_gives_one_more_than_it_was_made_with() {
    let place = Place::new().await;
    let (id, socket) = place.orphaned(&format!("meet|{}", report(10))).await;
    let made = limit(&id).await;
    let generous = SandboxConfig { cpus: place.config.cpus * 8.0, ..place.config.clone() };
    let then = async {
        tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
        assert_eq!(limit(&id).await, made);
        go_on(&socket);
    };
    let never = async { unreachable!("nobody has to kill it") };
    let other = Docker::new(generous);
    let (ran, ()) = tokio::join!(other.follow(&id, ATTEMPT, LONG, pending(), never), then);
    assert_eq!(ran.outcome, Outcome::Reported(filled(10)));
}

#[tokio::test]
async fn a_probe_keeps_its_share_however_long_it_takes() {
    let place = Place::with("slow", |_| {}).await;
    let (whole, _) = less(&place);
    let request = place.request();
    let then = async {
        let socket = place.met().await;
        // Only time shows that nothing happens.
        tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
        assert_eq!(limit(&request.name).await, whole);
        go_on(&socket);
    };
    let (probed, ()) = tokio::join!(place.docker.probe(&request), then);
    probed.expect("it is probed");
}

/// A container as for a job, but with its limit in words that the engine does not change to others. Handed over.
async fn unchangeable(place: &Place) -> (String, UnixStream) {
    let client = client().await;
    let (request, info) = (place.request(), place.docker.engine().info().await.expect("the engine answers"));
    let mut body = container_spec(&request, &place.config, info.cgroup);
    let host = body.host_config.as_mut().expect("limits");
    (host.nano_cpus, host.cpu_period, host.cpu_quota) = (None, Some(100_000), Some(100_000));
    let options = CreateContainerOptionsBuilder::default().name(&request.name).build();
    let id = client.create_container(Some(options), body).await.expect("a container").id;
    let waiting = place.docker.start(&id).await.expect("the puppet is ready");
    let steps = format!("meet|{}", report(10));
    let socket = tokio::select! {
        ran = waiting.run(&steps, ATTEMPT, LONG, pending(), allowed()) => panic!("it waits to be met: {ran:?}"),
        socket = place.met() => socket,
    };
    (id, socket)
}

#[tokio::test]
async fn an_engine_that_refuses_to_change_limits_is_told_of_once() {
    let log = Log::default();
    let into = log.clone();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
    let _logged = tracing::subscriber::set_default(lines.with_writer(move || into.clone()).finish());
    let place = Place::new().await;
    let told = |level: &str| {
        let log = log.text();
        log.lines().filter(|line| line.contains(level) && line.contains("Conflicting options")).count()
    };
    for (warnings, others) in [(1, 0), (1, 1)] {
        let (id, socket) = unchangeable(&place).await;
        let then = async {
            let until = Instant::now() + LONG;
            while (told(" WARN "), told(" DEBUG ")) != (warnings, others) {
                assert!(Instant::now() < until, "{} and {} are told", told(" WARN "), told(" DEBUG "));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            go_on(&socket);
        };
        let (ran, ()) = tokio::join!(place.follow(&id), then);
        assert_eq!(ran.outcome, Outcome::Reported(filled(10)), "and it reports as ever");
    }
}
