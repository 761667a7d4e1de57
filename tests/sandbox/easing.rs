//! What a container that runs on has of the processor.

use std::future::pending;
use std::time::{Duration, Instant};

use bollard::models::HostConfig;
use bollard::query_parameters::InspectContainerOptions;
use safeurl::sandbox::easing::{LEFT, PATIENCE};
use safeurl::sandbox::{Docker, Outcome, Sandbox as _, SandboxConfig, Waiting as _};

use super::support::{ATTEMPT, LONG, Place, allowed, client, filled, go_on, report};

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
