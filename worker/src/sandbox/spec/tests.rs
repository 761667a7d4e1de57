//! The create call as a snapshot, and what its variants change.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::*;

fn config() -> SandboxConfig {
    SandboxConfig {
        docker_host: None,
        instance: "the-installation".to_owned(),
        worker: "the-process".to_owned(),
        image: "safeurl-fetcher:0123456789ab".to_owned(),
        network: Network::None,
        runtime: None,
        memory_bytes: 512 * 1024 * 1024,
        cpus: 0.5,
        pids: 64,
        timeout: Duration::from_secs(30),
        output_bytes: 8 * 1024 * 1024,
        accept: Vec::new(),
    }
}

fn request() -> Request {
    Request {
        name: "safeurl-x".to_owned(),
        uid: 60600,
        door: PathBuf::from("/run/user/0/safeurl/4f1d"),
        role: "fetcher",
    }
}

fn spec(config: &SandboxConfig, cgroup: Cgroup) -> Value {
    serde_json::to_value(container_spec(&request(), config, cgroup)).expect("serialisable")
}

/// As text with sorted keys. The profile is a file of its own and would hide every other change in a line.
fn text(mut spec: Value) -> String {
    for option in spec["HostConfig"]["SecurityOpt"].as_array_mut().expect("a list") {
        if option.as_str().is_some_and(|option| option.starts_with("seccomp=")) {
            *option = "seccomp=(config/seccomp.json)".into();
        }
    }
    serde_json::to_string_pretty(&spec).expect("serialisable")
}

/// The lines that only the second one has.
fn added(before: &str, after: &str) -> Vec<String> {
    after.lines().filter(|line| !before.contains(*line)).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_container_is_created_exactly_like_this() {
    insta::assert_snapshot!(text(spec(&config(), Cgroup::V1)));
}

#[test]
fn the_profile_goes_to_the_engine_by_value() {
    let spec = spec(&config(), Cgroup::V1);
    let option = spec["HostConfig"]["SecurityOpt"][1].as_str().expect("text");
    assert_eq!(option.strip_prefix("seccomp="), Some(seccomp::profile(Network::None).as_str()));
}

#[test]
fn swappiness_is_left_out_where_the_kernel_has_none() {
    assert_eq!(spec(&config(), Cgroup::V2)["HostConfig"].get("MemorySwappiness"), None);
    assert_eq!(spec(&config(), Cgroup::V1)["HostConfig"]["MemorySwappiness"], 0);
}

#[test]
fn a_bridge_adds_a_network_and_takes_the_door_away_and_nothing_else() {
    let none = text(spec(&config(), Cgroup::V1));
    let bridge = text(spec(&SandboxConfig { network: Network::Bridge, ..config() }, Cgroup::V1));
    assert_eq!(
        added(&none, &bridge),
        ["\"Mounts\": [],", "\"NetworkMode\": \"safeurl-the-installation\",", "\"NetworkDisabled\": false,"]
    );
}

#[test]
fn another_runtime_is_passed_on() {
    let none = text(spec(&config(), Cgroup::V1));
    let runsc = text(spec(&SandboxConfig { runtime: Some("runsc".to_owned()), ..config() }, Cgroup::V1));
    assert_eq!(added(&none, &runsc), ["\"Runtime\": \"runsc\","]);
}

#[test]
fn the_door_is_where_the_fetcher_looks_for_the_socket() {
    assert_eq!(Path::new(safeurl_protocol::SOCKET_PATH).parent(), Some(Path::new(DOOR)));
}

#[test]
fn a_container_made_with_less_than_asked_for_is_noticed() {
    let asked = container_spec(&request(), &config(), Cgroup::V1);
    let mut host_config = asked.host_config.clone().expect("set");
    host_config.masked_paths = Some(vec!["/proc/kcore".to_owned()]);
    host_config.readonly_paths = Some(vec!["/proc/sys".to_owned()]);
    let made = ContainerInspectResponse {
        config: Some(bollard::models::ContainerConfig { user: asked.user.clone(), ..Default::default() }),
        host_config: Some(host_config.clone()),
        ..Default::default()
    };
    assert_eq!(weakened(&asked, &made), Vec::<&str>::new());

    host_config.privileged = Some(true);
    host_config.security_opt = Some(vec!["no-new-privileges:true".to_owned()]);
    host_config.masked_paths = Some(vec![]);
    host_config.pids_limit = None;
    let made =
        ContainerInspectResponse { host_config: Some(host_config), config: None, ..Default::default() };
    assert_eq!(weakened(&asked, &made), ["User", "Privileged", "SecurityOpt", "PidsLimit", "MaskedPaths"]);
}
