//! What the engine would do to a container, or write into it, beside running its program: health checks, patience with
//! who is stopped, names and resolvers, and what is mounted below the door.

use std::time::Duration;

use bollard::models::ContainerCreateBody;
use safeurl::sandbox::{Engine, Network, Sandbox as _, SandboxConfig, image};

use crate::cell::{Cell, Change, LONG, Left, config, host, ordinary, run, strict};
use crate::support::{Place, puppet};

/// Shorter than the ten seconds that an engine gives to who is stopped, and long for a kill.
const AT_ONCE: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_health_check_that_an_image_brings_never_runs_inside() {
    let puppet = puppet("obedient").await;
    let tag = format!("{puppet}-checked");
    let dockerfile =
        format!("FROM {puppet}\nHEALTHCHECK --interval=100ms CMD [\"/safeurl-fetcher\", \"short-lived\"]\n");
    image::build(&Engine::new(None), &tag, &dockerfile, b"").await.expect("the image builds");
    let cell = async |change: Change| {
        let config = SandboxConfig { image: tag.clone(), ..config().await };
        Cell::with(config, change).await.expect("the engine creates")
    };
    let (held, loose) = (cell(strict).await, cell(|spec| spec.healthcheck = None).await);
    let _waits = held.start().await.expect("it starts");
    let _waits_too = loose.start().await.expect("it starts");
    // The one without our word is checked again and again; the other is as old, and was not once.
    let checked = async {
        while checks(&loose).await < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, checked).await.expect("the engine checks it");
    assert_eq!(checks(&held).await, 0);
    assert_eq!(held.inspect().await.state.and_then(|state| state.running), Some(true));
}

async fn checks(cell: &Cell) -> usize {
    let state = cell.inspect().await.state.expect("a state");
    state.health.and_then(|health| health.log).map_or(0, |log| log.len())
}

#[tokio::test]
async fn who_stops_a_container_kills_it_without_grace() {
    let stopped = async |change: Change| {
        let cell = Cell::new(change).await.expect("the engine creates");
        let _waits = cell.start().await.expect("it starts");
        cell.stopped_within(AT_ONCE).await
    };
    // The first process of a container takes no signal that it did not ask for, but the one that kills.
    let polite: Change = |spec| spec.stop_signal = Some("SIGTERM".to_owned());
    let patient: Change = |spec| spec.stop_timeout = Some(600);
    assert!(stopped(strict).await);
    assert!(stopped(patient).await, "the signal alone kills");
    assert!(stopped(polite).await, "without patience any signal is followed by the one that kills");
    let both: Change = |spec| {
        spec.stop_signal = Some("SIGTERM".to_owned());
        spec.stop_timeout = Some(600);
    };
    assert!(!stopped(both).await, "the control shows nothing");
}

/// What an ordinary container on the same network has in these two files is the engine's own.
#[tokio::test]
async fn nobody_s_names_and_resolvers_come_with_a_network_card() {
    let place = Place::with("obedient", |config| config.network = Network::Bridge).await;
    // The network is made with the first container on it.
    place.docker.create(&place.request()).await.expect("the engine creates");
    let told = async |change: Change| {
        let config = SandboxConfig { timeout: Duration::from_secs(60), ..place.config.clone() };
        let cell = Cell::with(config, change).await.expect("the engine creates");
        cell.run("facts|exit 0", LONG).await.expect("the engine runs it")
    };
    let (held, plain) = (told(strict).await, told(ordinary).await);
    assert_eq!(held.fact("resolv"), plain.fact("resolv"));
    assert_eq!(names(&held), names(&plain));
    assert!(names(&held).contains(&"localhost".to_owned()), "{held:?}");

    let loose = told(|spec| {
        host(spec).extra_hosts = Some(vec!["inside.test:10.0.0.1".to_owned()]);
        host(spec).dns_search = Some(vec!["inside.test".to_owned()]);
        host(spec).dns_options = Some(vec!["timeout:7".to_owned()]);
    });
    let loose = loose.await;
    assert!(names(&loose).contains(&"inside.test".to_owned()), "{loose:?}");
    for word in ["search inside.test", "timeout:7"] {
        assert!(
            loose.fact("resolv").contains(word) && !held.fact("resolv").contains(word),
            "{word}: {loose:?}"
        );
    }
}

/// The names that the table of hosts knows, but the container's own.
fn names(left: &Left) -> Vec<String> {
    let lines = left.fact("hosts").split(';').filter(|line| !line.contains("fetcher"));
    let words = lines.flat_map(|line| line.split_whitespace().skip(1));
    // An ordinary container is called by its id, of twelve hexadecimal digits.
    let own = |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    words.filter(|word| !own(word)).map(str::to_owned).collect()
}

/// A folder of every Linux host that has mounts below it stands in for the door's.
#[tokio::test]
async fn what_is_mounted_below_the_door_on_the_host_is_not_inside() {
    let below = async |change: Change| {
        let left = run("facts|exit 0", change).await;
        let facts = left.facts();
        assert!(facts.contains_key("mount /run/safeurl"), "{left:?}");
        facts.keys().filter(|name| name.starts_with("mount /run/safeurl/")).count()
    };
    assert_eq!(below(onto_devices).await, 0);
    let loose = below(|spec| {
        onto_devices(spec);
        let door = &mut host(spec).mounts.as_mut().expect("the door")[0];
        door.bind_options.as_mut().expect("there are some").non_recursive = Some(false);
    });
    assert!(loose.await > 0, "the control shows nothing");
}

fn onto_devices(spec: &mut ContainerCreateBody) {
    host(spec).mounts.as_mut().expect("the door")[0].source = Some("/dev".to_owned());
}
