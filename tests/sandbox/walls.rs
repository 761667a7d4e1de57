//! What a container is and may do, seen by the engine and from the inside.

use std::collections::HashMap;

use bollard::query_parameters::InspectContainerOptions;
use safeurl::sandbox::spec::container_spec;
use safeurl::sandbox::{Network, Sandbox as _, Waiting as _};
use serde_json::Value;

use super::support::Place;

#[tokio::test]
async fn a_running_container_is_what_was_asked_for_field_by_field() {
    let place = Place::new().await;
    let request = place.request();
    let id = place.docker.create(&request).await.expect("the engine creates");
    let waiting = place.docker.start(&id).await.expect("the puppet is ready");
    let info = place.docker.engine().info().await.expect("the engine answers");
    let asked = serde_json::to_value(container_spec(&request, &place.config, info.cgroup)).expect("JSON");
    let client = bollard::Docker::connect_with_unix_defaults().expect("a socket");
    let client = client.negotiate_version().await.expect("an engine");
    let made = client.inspect_container(waiting.id(), None::<InspectContainerOptions>).await;
    let made = serde_json::to_value(made.expect("it runs")).expect("JSON");

    compare(&asked["HostConfig"], &made["HostConfig"], "HostConfig", &[]);
    // The engine keeps the image's labels beside ours, and sets the rest of these by itself.
    compare(&asked, &made["Config"], "Config", &["HostConfig", "Labels", "Env"]);
    for (label, value) in asked["Labels"].as_object().expect("labels") {
        assert_eq!(&made["Config"]["Labels"][label], value, "{label}");
    }
    for paths in ["MaskedPaths", "ReadonlyPaths"] {
        assert!(made["HostConfig"][paths].as_array().is_some_and(|paths| paths.len() > 3), "{paths}");
    }
    let environment = made["Config"]["Env"].as_array().expect("a list");
    assert!(environment.iter().all(|item| item.as_str().is_some_and(|item| item.starts_with("PATH="))));
    let mounts = made["Mounts"].as_array().expect("a list");
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0]["RW"], false);
    assert_eq!(mounts[0]["Propagation"], "rprivate");
}

/// Everything asked for is there; nothing asked for as empty is anything else.
fn compare(asked: &Value, made: &Value, place: &str, except: &[&str]) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    for (field, value) in asked.as_object().expect("an object") {
        if !except.contains(&field.as_str()) {
            let found = &made[field];
            assert!(found == value || (empty(value) && empty(found)), "{place}.{field}: {value} is {found}");
        }
    }
}

#[tokio::test]
async fn the_walls_hold_from_the_inside() {
    let place = Place::new().await;
    let request = place.request();
    let facts = probe(&place).await;
    let uid = [request.uid.to_string().as_str(); 4].join(",");
    let expected = [
        ("Uid", uid.as_str()),
        ("Gid", uid.as_str()),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("cards", "lo"),
        ("tcp", "PermissionDenied"),
        ("udp", "PermissionDenied"),
        ("udp6", "PermissionDenied"),
        ("datagram", "PermissionDenied"),
        ("process", "PermissionDenied"),
        ("thread", "ok"),
        ("unix", "ok"),
        ("write root", "ReadOnlyFilesystem"),
        ("write door", "ReadOnlyFilesystem"),
        ("write tmp", "ok"),
        ("write sysctl", "ReadOnlyFilesystem"),
    ];
    for (fact, value) in expected {
        assert_eq!(facts.get(fact).map(String::as_str), Some(value), "{fact}");
    }
}

#[tokio::test]
async fn a_bridge_gives_network_sockets_and_takes_the_door_away() {
    let place = Place::with("obedient", |config| config.network = Network::Bridge).await;
    let facts = probe(&place).await;
    let expected = [
        ("udp", "ok"),
        ("tcp", "ConnectionRefused"),
        ("unix", "NotFound"),
        ("process", "PermissionDenied"),
        ("CapEff", "0000000000000000"),
    ];
    for (fact, value) in expected {
        assert_eq!(facts.get(fact).map(String::as_str), Some(value), "{fact}");
    }
    assert!(facts["cards"].contains("eth0"), "{}", facts["cards"]);
}

async fn probe(place: &Place) -> HashMap<String, String> {
    let ran = place.run("probe|exit 0").await;
    ran.stderr_tail
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(fact, value)| (fact.to_owned(), value.to_owned()))
        .collect()
}
