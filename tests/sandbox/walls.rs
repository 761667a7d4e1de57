//! What a container is and may do, seen by the engine and from the inside.

use std::collections::HashMap;

use bollard::query_parameters::InspectContainerOptions;
use safeurl::sandbox::spec::{Cgroup, container_spec};
use safeurl::sandbox::{Network, Sandbox as _, Waiting as _};
use serde_json::{Value, json};

use super::support::{MIB, Place, client};

#[tokio::test]
async fn a_running_container_is_what_was_asked_for_field_by_field() {
    let place = Place::new().await;
    let request = place.request();
    let id = place.docker.create(&request).await.expect("the engine creates");
    let waiting = place.docker.start(&id).await.expect("the puppet is ready");
    let info = place.docker.engine().info().await.expect("the engine answers");
    let asked = serde_json::to_value(container_spec(&request, &place.config, info.cgroup)).expect("JSON");
    let made = client().await.inspect_container(waiting.id(), None::<InspectContainerOptions>).await;
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

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Everything asked for is there; nothing asked for as empty is anything else.
fn compare(asked: &Value, made: &Value, place: &str, except: &[&str]) {
    for (field, value) in asked.as_object().expect("an object") {
        if !except.contains(&field.as_str()) {
            let found = &made[field];
            assert!(found == value || (empty(value) && empty(found)), "{place}.{field}: {value} is {found}");
        }
    }
}

/// What the engine says of a container that runs, written out: the test above would follow a specification that asks
/// for less. Empty is also what is not there.
fn written_out(place: &Place, uid: u32) -> [Value; 4] {
    let config = json!({
        "Image": place.config.image, "Cmd": ["--serve"], "User": format!("{uid}:{uid}"),
        "Hostname": "fetcher", "Domainname": "", "WorkingDir": "/",
        "Entrypoint": ["/safeurl-fetcher", "obedient"],
        "OpenStdin": true, "StdinOnce": true, "Tty": false,
        "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
        "Healthcheck": {"Test": ["NONE"]}, "StopSignal": "SIGKILL", "StopTimeout": 0,
        "NetworkDisabled": true, "ExposedPorts": null, "Volumes": null, "OnBuild": null, "Shell": null,
    });
    let rights = json!({
        "Privileged": false, "CapDrop": ["ALL"], "CapAdd": [], "GroupAdd": [],
        "NetworkMode": "none", "PublishAllPorts": false, "PortBindings": {}, "Links": [],
        "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": [],
        "IpcMode": "none", "PidMode": "", "UTSMode": "", "UsernsMode": "", "CgroupnsMode": "private",
        "Cgroup": "", "CgroupParent": "",
        "Devices": [], "DeviceRequests": null, "DeviceCgroupRules": null, "Sysctls": null,
    });
    let files = json!({
        "ReadonlyRootfs": true,
        "Tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=32m,nr_inodes=1k,mode=1777"},
        "Mounts": [{
            "Type": "bind", "Source": place.door, "Target": "/run/safeurl", "ReadOnly": true,
            "BindOptions": {"Propagation": "rprivate", "NonRecursive": true},
        }],
        "Binds": [], "VolumesFrom": [], "VolumeDriver": "", "StorageOpt": null,
    });
    let limit = |name: &str, most: u64| json!({"Name": name, "Soft": most, "Hard": most});
    let amounts = json!({
        "Memory": 64 * MIB, "MemorySwap": 64 * MIB, "MemoryReservation": 0, "OomScoreAdj": 500,
        "NanoCpus": 1_000_000_000, "CpuShares": 512, "CpuPeriod": 0, "CpuQuota": 0,
        "CpusetCpus": "", "CpusetMems": "", "BlkioWeight": 0,
        "PidsLimit": 64,
        "Ulimits": [
            limit("core", 0), limit("cpu", 120), limit("memlock", 0), limit("msgqueue", 0), limit("nofile", 256),
        ],
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": false, "Init": false,
        "LogConfig": {"Type": "local", "Config": {
            "max-size": (18 * MIB + MIB / 2).to_string(), "max-file": "1", "compress": "false",
        }},
    });
    [config, rights, files, amounts]
}

/// Fields that depend on the engine or are looked at one by one below.
const NOT_WRITTEN_OUT: &[&str] =
    &["Labels", "Env", "HostConfig", "SecurityOpt", "MemorySwappiness", "OomKillDisable", "Runtime"];

#[tokio::test]
async fn a_running_container_is_exactly_what_is_written_here() {
    let place = Place::new().await;
    let request = place.request();
    let id = place.docker.create(&request).await.expect("the engine creates");
    let waiting = place.docker.start(&id).await.expect("the puppet is ready");
    let made = client().await.inspect_container(waiting.id(), None::<InspectContainerOptions>).await;
    let made = serde_json::to_value(made.expect("it runs")).expect("JSON");
    assert_eq!(made["State"]["Running"], true);
    let [config, host @ ..] = written_out(&place, request.uid);
    compare(&config, &made["Config"], "Config", &[]);
    for part in &host {
        compare(part, &made["HostConfig"], "HostConfig", &[]);
    }

    // A field that is asked for has its place above, so that a new one gets it too.
    let cgroup = place.docker.engine().info().await.expect("the engine answers").cgroup;
    let asked = serde_json::to_value(container_spec(&request, &place.config, cgroup)).expect("JSON");
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    for field in [fields(&asked), fields(&asked["HostConfig"])].concat() {
        let mut parts = host.iter().chain([&config]);
        let written = parts.any(|part| part.get(&field).is_some());
        assert!(written || NOT_WRITTEN_OUT.contains(&field.as_str()), "{field}");
    }

    let host = &made["HostConfig"];
    assert_eq!(host["SecurityOpt"].as_array().map(Vec::len), Some(2));
    assert_eq!(host["SecurityOpt"][0], "no-new-privileges:true");
    let filter = host["SecurityOpt"][1].as_str().and_then(|option| option.strip_prefix("seccomp="));
    let filter: Value = serde_json::from_str(filter.expect("a filter")).expect("JSON");
    assert_eq!(filter["defaultAction"], "SCMP_ACT_ERRNO");
    // Where they are not there the kernel has none of it.
    assert!(empty(&host["OomKillDisable"]) || host["OomKillDisable"] == false, "{}", host["OomKillDisable"]);
    let swaps = if cgroup == Cgroup::V1 { json!(0) } else { Value::Null };
    assert_eq!(host["MemorySwappiness"], swaps);
    for (field, least) in [("MaskedPaths", MASKED), ("ReadonlyPaths", READONLY)] {
        let paths = host[field].as_array().expect("a list");
        for path in least {
            assert!(paths.contains(&json!(path)), "{field}: {path} is not among {paths:?}");
        }
    }
}

/// What every engine hides by default; newer ones hide more.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];

/// What every engine makes read-only by default.
const READONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

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
