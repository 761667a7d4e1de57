//! What a container that runs on has of the processor.

use std::future::pending;
use std::time::{Duration, Instant};

use bollard::query_parameters::InspectContainerOptions;
use safeurl::sandbox::easing::{LEFT, PATIENCE};
use safeurl::sandbox::{Outcome, Waiting as _};

use super::support::{ATTEMPT, LONG, Place, allowed, client, filled, go_on, report};

/// Billionths of a processor, as the engine says.
async fn limit(id: &str) -> i64 {
    let client = client().await;
    let found = client.inspect_container(id, None::<InspectContainerOptions>).await.expect("it is there");
    found.host_config.and_then(|host| host.nano_cpus).expect("a limit")
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
    // Without a job it may wait for as long as it likes.
    tokio::time::sleep(PATIENCE + Duration::from_secs(1)).await;
    assert_eq!(limit(&id).await, whole);
    let steps = format!("meet|{}", report(10));
    let then = async {
        let socket = place.met().await;
        wait_for(&id, less).await;
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
