//! Section 5 of the CIS Docker Benchmark, as the engine describes a container that runs; each item beside a description
//! with the fault in it, which the check must find.

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use safeurl::sandbox::{Engine, Waiting as _, image};

use serde_json::{Value, json};

use crate::support::{Place, client};

/// One item: its number, what it asks for, the check, and where in the description to put which fault.
pub(crate) struct Item {
    pub(crate) id: &'static str,
    asks: &'static str,
    holds: fn(&Value) -> bool,
    place: &'static str,
    fault: fn() -> Value,
}

/// Items that say nothing of a single container, and why.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("5.1", "swarm mode is the engine's"),
    ("5.2", "AppArmor's own profile is the engine's default where the kernel has AppArmor"),
    ("5.3", "SELinux labels are the engine's default where the kernel has SELinux"),
    ("5.23", "nothing is ever executed in a container from the outside"),
    ("5.24", "nothing is ever executed in a container from the outside"),
    ("5.27", "a container lives for one job, and a health check would be one more process in it"),
    ("5.28", "the image is named by the digest of what is in it"),
];

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_i64() == Some(0),
    }
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn mounts(container: &Value) -> impl Iterator<Item = &Value> {
    container["Mounts"].as_array().into_iter().flatten()
}

pub(crate) const ITEMS: &[Item] = &[
    Item {
        id: "5.4",
        asks: "no capabilities but those needed, which are none",
        holds: |it| words(&it["HostConfig"]["CapDrop"]) == ["ALL"] && empty(&it["HostConfig"]["CapAdd"]),
        place: "/HostConfig/CapAdd",
        fault: || json!(["NET_RAW"]),
    },
    Item {
        id: "5.5",
        asks: "not privileged",
        holds: |it| it["HostConfig"]["Privileged"] == false,
        place: "/HostConfig/Privileged",
        fault: || json!(true),
    },
    Item {
        id: "5.6",
        asks: "no folder of the host but the door, and that read-only",
        holds: |it| mounts(it).all(|mount| mount["Destination"] == "/run/safeurl" && mount["RW"] == false),
        place: "/Mounts/0/Destination",
        fault: || json!("/etc"),
    },
    Item {
        id: "5.7",
        asks: "one program and no server to log in to",
        holds: |it| it["Path"] == "/safeurl-fetcher",
        place: "/Path",
        fault: || json!("/usr/sbin/sshd"),
    },
    Item {
        id: "5.8",
        asks: "no privileged port is mapped",
        holds: |it| empty(&it["HostConfig"]["PortBindings"]),
        place: "/HostConfig/PortBindings",
        fault: || json!({"80/tcp": [{"HostPort": "80"}]}),
    },
    Item {
        id: "5.9",
        asks: "no port is open",
        holds: |it| empty(&it["Config"]["ExposedPorts"]) && empty(&it["HostConfig"]["PublishAllPorts"]),
        place: "/HostConfig/PublishAllPorts",
        fault: || json!(true),
    },
    Item {
        id: "5.10",
        asks: "not the host's network",
        holds: |it| it["HostConfig"]["NetworkMode"] == "none",
        place: "/HostConfig/NetworkMode",
        fault: || json!("host"),
    },
    Item {
        id: "5.11",
        asks: "memory is limited, swap included",
        holds: |it| {
            !empty(&it["HostConfig"]["Memory"])
                && it["HostConfig"]["Memory"] == it["HostConfig"]["MemorySwap"]
        },
        place: "/HostConfig/Memory",
        fault: || json!(0),
    },
    Item {
        id: "5.12",
        asks: "a weight of its own for the processor",
        holds: |it| !matches!(it["HostConfig"]["CpuShares"].as_i64(), None | Some(0 | 1024)),
        place: "/HostConfig/CpuShares",
        fault: || json!(1024),
    },
    Item {
        id: "5.13",
        asks: "the root file system is read-only",
        holds: |it| it["HostConfig"]["ReadonlyRootfs"] == true,
        place: "/HostConfig/ReadonlyRootfs",
        fault: || json!(false),
    },
    Item {
        id: "5.14",
        asks: "no port is bound to every interface",
        holds: |it| empty(&it["NetworkSettings"]["Ports"]),
        place: "/NetworkSettings/Ports",
        fault: || json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}]}),
    },
    Item {
        id: "5.15",
        asks: "it is not started again and again",
        holds: |it| it["HostConfig"]["RestartPolicy"]["Name"] == "no",
        place: "/HostConfig/RestartPolicy/Name",
        fault: || json!("always"),
    },
    Item {
        id: "5.16",
        asks: "not the host's processes",
        holds: |it| empty(&it["HostConfig"]["PidMode"]),
        place: "/HostConfig/PidMode",
        fault: || json!("host"),
    },
    Item {
        id: "5.17",
        asks: "not the host's shared memory",
        holds: |it| it["HostConfig"]["IpcMode"] == "none",
        place: "/HostConfig/IpcMode",
        fault: || json!("host"),
    },
    Item {
        id: "5.18",
        asks: "no device of the host",
        holds: |it| {
            let fields = ["Devices", "DeviceRequests", "DeviceCgroupRules"];
            fields.iter().all(|field| empty(&it["HostConfig"][field]))
        },
        place: "/HostConfig/Devices",
        fault: || json!([{"PathOnHost": "/dev/sda"}]),
    },
    Item {
        id: "5.19",
        asks: "limits of its own for descriptors and cores",
        holds: |it| {
            let limits: Vec<_> = it["HostConfig"]["Ulimits"].as_array().into_iter().flatten().collect();
            ["nofile", "core"].iter().all(|name| limits.iter().any(|limit| limit["Name"] == *name))
        },
        place: "/HostConfig/Ulimits",
        fault: || json!([]),
    },
    Item {
        id: "5.20",
        asks: "no mount is shared with the host",
        holds: |it| mounts(it).all(|mount| mount["Propagation"] == "rprivate"),
        place: "/Mounts/0/Propagation",
        fault: || json!("shared"),
    },
    Item {
        id: "5.21",
        asks: "not the host's name",
        holds: |it| empty(&it["HostConfig"]["UTSMode"]),
        place: "/HostConfig/UTSMode",
        fault: || json!("host"),
    },
    Item {
        id: "5.22",
        asks: "system calls are filtered",
        holds: |it| {
            let options = words(&it["HostConfig"]["SecurityOpt"]);
            options.iter().any(|option| option.starts_with("seccomp={\"archMap\""))
        },
        place: "/HostConfig/SecurityOpt",
        fault: || json!(["no-new-privileges:true", "seccomp=unconfined"]),
    },
    Item {
        id: "5.25",
        asks: "no control group but the engine's",
        holds: |it| empty(&it["HostConfig"]["CgroupParent"]),
        place: "/HostConfig/CgroupParent",
        fault: || json!("/system.slice"),
    },
    Item {
        id: "5.26",
        asks: "no new privileges",
        holds: |it| words(&it["HostConfig"]["SecurityOpt"]).contains(&"no-new-privileges:true"),
        place: "/HostConfig/SecurityOpt",
        fault: || json!([]),
    },
    Item {
        id: "5.29",
        asks: "processes are limited",
        holds: |it| it["HostConfig"]["PidsLimit"].as_i64().is_some_and(|limit| limit > 0),
        place: "/HostConfig/PidsLimit",
        fault: || json!(0),
    },
    Item {
        id: "5.30",
        asks: "not the engine's default bridge",
        holds: |it| it["NetworkSettings"]["Networks"].get("bridge").is_none(),
        place: "/NetworkSettings/Networks",
        fault: || json!({"bridge": {}}),
    },
    Item {
        id: "5.31",
        asks: "not the host's users where the engine maps them",
        holds: |it| empty(&it["HostConfig"]["UsernsMode"]),
        place: "/HostConfig/UsernsMode",
        fault: || json!("host"),
    },
    Item {
        id: "5.32",
        asks: "the engine's socket is not in it",
        holds: |it| {
            !mounts(it).any(|mount| mount["Source"].as_str().is_none_or(|at| at.contains("docker.sock")))
        },
        place: "/Mounts/0/Source",
        fault: || json!("/var/run/docker.sock"),
    },
];

/// A container with the fetcher itself in it, made and started as a worker does it, while it waits for its job.
async fn running() -> ContainerInspectResponse {
    let fetcher = image::build_embedded(&Engine::new(None)).await.expect("the embedded image");
    let place = Place::with("obedient", |config| config.image = fetcher.id).await;
    let waiting = place.waiting().await;
    let described = client().await.inspect_container(waiting.id(), None::<InspectContainerOptions>).await;
    let described = described.expect("it is there");
    assert_eq!(described.state.as_ref().and_then(|state| state.running), Some(true));
    described
}

#[tokio::test]
async fn a_container_passes_what_the_docker_benchmark_asks_of_containers() {
    let described = serde_json::to_value(running().await).expect("JSON");
    for item in ITEMS {
        assert!((item.holds)(&described), "{}: {}", item.id, item.asks);
        let mut faulty = described.clone();
        *faulty.pointer_mut(item.place).unwrap_or_else(|| panic!("{}: {}", item.id, item.place)) =
            (item.fault)();
        assert!(!(item.holds)(&faulty), "{}: the check does not see {}", item.id, (item.fault)());
    }
}

#[test]
fn every_item_of_the_section_is_checked_or_told_why_not() {
    let mut ids: Vec<_> =
        ITEMS.iter().map(|item| item.id).chain(ELSEWHERE.iter().map(|(id, _)| *id)).collect();
    ids.sort_by_key(|id| id[2..].parse::<u32>().expect("a number"));
    assert_eq!(ids, (1..=32).map(|n| format!("5.{n}")).collect::<Vec<_>>());
    assert!(ELSEWHERE.iter().all(|(_, reason)| reason.len() > 10));
}
