//! The specification of a container, loosened one field at a time: for each field, what the inside shows of it.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HostConfigCgroupnsModeEnum,
    MountBindOptionsPropagationEnum,
};
use safeurl::sandbox::spec::{Cgroup, container_spec};
use safeurl::sandbox::{Engine, Request};
use serde_json::Value;

use crate::cell::{Cell, Change, Left, host, run, strict, unfiltered};

/// How a loosened field shows.
#[derive(Clone, Copy)]
enum Seen {
    /// One of these facts is another one; which of them depends on the generation of control groups.
    As(&'static [&'static str]),
    /// The container is not made or does not come to its job.
    Refused,
}

use Seen::{As, Refused};

type Row = (&'static str, Change, Seen);

async fn facts(change: Change) -> Option<Left> {
    let cell = Cell::new(change).await.ok()?;
    let left = cell.run("facts|exit 0", std::time::Duration::from_secs(20)).await.ok()?;
    (!left.facts().is_empty()).then_some(left)
}

async fn each_shows(rows: &[Row]) {
    let held = run("facts|exit 0", strict).await;
    assert_eq!(held.code, Some(0), "{held:?}");
    let again = run("facts|exit 0", strict).await;
    let mut unseen = Vec::new();
    for (field, change, seen) in rows {
        let loose = facts(*change).await;
        match (seen, &loose) {
            (Refused, None) => {}
            (As(names), Some(loose)) => {
                let differs = |name: &&str| {
                    assert_eq!(held.facts().get(name), again.facts().get(name), "{field}: {name} is no fact");
                    held.facts().get(name) != loose.facts().get(name)
                };
                if !names.iter().any(differs) {
                    unseen.push(format!(
                        "{field} does not show in {names:?}, but in {:?}",
                        changed(&held, loose)
                    ));
                }
            }
            (Refused, Some(loose)) => {
                unseen.push(format!("{field} is not refused: {:?}", changed(&held, loose)))
            }
            (As(_), None) => unseen.push(format!("{field}: the container does not come to its job")),
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
}

fn changed(held: &Left, loose: &Left) -> BTreeSet<String> {
    let (held, loose): (HashMap<_, _>, HashMap<_, _>) = (held.facts(), loose.facts());
    let names: BTreeSet<_> = held.keys().chain(loose.keys()).collect();
    names
        .into_iter()
        .filter(|name| held.get(**name) != loose.get(**name))
        .map(|name| (*name).to_owned())
        .collect()
}

/// What it is.
const SELF: &[Row] = &[
    (
        "Entrypoint",
        |spec| spec.entrypoint = Some(own_words(&["/safeurl-fetcher", "obedient", "more"])),
        As(&["args"]),
    ),
    ("Cmd", |spec| spec.cmd = Some(own_words(&["--serve", "--more"])), As(&["args"])),
    ("User", |spec| spec.user = Some("0:0".to_owned()), As(&["Uid"])),
    ("User", |spec| spec.user = Some("60700:0".to_owned()), As(&["Gid"])),
    ("Hostname", |spec| spec.hostname = None, As(&["hostname"])),
    ("Domainname", |spec| spec.domainname = Some("inside.test".to_owned()), As(&["domainname"])),
    ("WorkingDir", |spec| spec.working_dir = Some("/tmp".to_owned()), As(&["cwd"])),
    ("Env", |spec| spec.env = Some(own_words(&["TOKEN=secret"])), As(&["env"])),
    ("OpenStdin", |spec| spec.open_stdin = Some(false), Refused),
    ("Tty", |spec| spec.tty = Some(true), Refused),
    ("Volumes", |spec| spec.volumes = Some(own_words(&["/data"])), As(&["mount /data"])),
    ("NetworkDisabled", |spec| spec.network_disabled = Some(false), As(&["mount /etc/hosts"])),
    // It would be a process that starts another one, which the filter refuses.
    ("HostConfig.Init", |spec| host(spec).init = Some(true), Refused),
];

fn own_words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What it may.
const RIGHTS: &[Row] = &[
    ("HostConfig.Privileged", |spec| host(spec).privileged = Some(true), As(&["CapBnd"])),
    ("HostConfig.CapDrop", |spec| host(spec).cap_drop = None, As(&["CapBnd"])),
    ("HostConfig.CapAdd", |spec| host(spec).cap_add = Some(own_words(&["NET_RAW"])), As(&["CapBnd"])),
    ("HostConfig.GroupAdd", |spec| host(spec).group_add = Some(own_words(&["4"])), As(&["Groups"])),
    ("HostConfig.SecurityOpt", unfiltered, As(&["Seccomp"])),
    (
        "HostConfig.SecurityOpt",
        // Our filter alone would let nobody become another user after it is set.
        |spec| host(spec).security_opt = Some(own_words(&["seccomp=unconfined"])),
        As(&["NoNewPrivs"]),
    ),
    (
        "HostConfig.MaskedPaths",
        |spec| host(spec).masked_paths = Some(vec![]),
        As(&["mount /proc/kcore", "mount /proc/keys", "mount /proc/timer_list", "mount /sys/firmware"]),
    ),
    ("HostConfig.ReadonlyPaths", |spec| host(spec).readonly_paths = Some(vec![]), As(&["mount /proc/sys"])),
    (
        "HostConfig.Devices",
        |spec| {
            host(spec).devices = Some(vec![DeviceMapping {
                path_on_host: Some("/dev/zero".to_owned()),
                path_in_container: Some("/dev/extra".to_owned()),
                cgroup_permissions: Some("r".to_owned()),
            }]);
        },
        As(&["dev"]),
    ),
    (
        "HostConfig.DeviceRequests",
        |spec| {
            host(spec).device_requests =
                Some(vec![DeviceRequest { driver: Some("none".to_owned()), ..Default::default() }])
        },
        Refused,
    ),
    (
        "HostConfig.Sysctls",
        |spec| host(spec).sysctls = Some(HashMap::from([("kernel.msgmax".to_owned(), "9000".to_owned())])),
        As(&["msgmax"]),
    ),
];

/// Which files there are.
const FILES: &[Row] = &[
    ("HostConfig.ReadonlyRootfs", |spec| host(spec).readonly_rootfs = Some(false), As(&["mount /"])),
    ("HostConfig.Tmpfs", |spec| host(spec).tmpfs = None, As(&["mount /tmp"])),
    ("HostConfig.Tmpfs", |spec| without_option(spec, "noexec"), As(&["mount /tmp"])),
    ("HostConfig.Tmpfs", |spec| without_option(spec, "nosuid"), As(&["mount /tmp"])),
    ("HostConfig.Tmpfs", |spec| without_option(spec, "nodev"), As(&["mount /tmp"])),
    ("HostConfig.Tmpfs", |spec| without_option(spec, "size=32m"), As(&["mount /tmp"])),
    ("HostConfig.Tmpfs", |spec| without_option(spec, "nr_inodes=1k"), As(&["mount /tmp"])),
    ("HostConfig.Mounts", |spec| host(spec).mounts = None, As(&["mount /run/safeurl"])),
    ("HostConfig.Mounts", |spec| door(spec).read_only = Some(false), As(&["mount /run/safeurl"])),
    ("HostConfig.Binds", |spec| host(spec).binds = Some(own_words(&["/etc:/host:ro"])), As(&["mount /host"])),
];

/// Docker adds noexec, nosuid and nodev to every tmpfs by itself: only their opposites take them away.
fn without_option(spec: &mut ContainerCreateBody, option: &str) {
    let options = host(spec).tmpfs.as_mut().expect("there is one").get_mut("/tmp").expect("there is one");
    let opposite = match option {
        "noexec" => "exec",
        "nosuid" => "suid",
        "nodev" => "dev",
        _ => "rw",
    };
    assert!(options.contains(option), "{option} is asked for");
    *options = options.replace(option, opposite);
}

fn door(spec: &mut ContainerCreateBody) -> &mut bollard::models::Mount {
    &mut host(spec).mounts.as_mut().expect("the door")[0]
}

/// How much of everything.
const AMOUNTS: &[Row] = &[
    (
        "HostConfig.Memory",
        |spec| {
            host(spec).memory = Some(1 << 30);
            host(spec).memory_swap = Some(1 << 30);
        },
        As(&["limit memory.limit_in_bytes", "limit memory.max"]),
    ),
    (
        "HostConfig.MemorySwap",
        |spec| host(spec).memory_swap = Some(128 << 20),
        As(&["limit memory.memsw.limit_in_bytes", "limit memory.swap.max"]),
    ),
    (
        "HostConfig.MemoryReservation",
        |spec| host(spec).memory_reservation = Some(8 << 20),
        As(&["limit memory.soft_limit_in_bytes", "limit memory.low"]),
    ),
    ("HostConfig.OomScoreAdj", |spec| host(spec).oom_score_adj = Some(0), As(&["oom_score_adj"])),
    (
        "HostConfig.NanoCpus",
        |spec| host(spec).nano_cpus = None,
        As(&["limit cpu.cfs_quota_us", "limit cpu.max"]),
    ),
    (
        "HostConfig.CpuShares",
        |spec| host(spec).cpu_shares = None,
        As(&["limit cpu.shares", "limit cpu.weight"]),
    ),
    ("HostConfig.CpuQuota", |spec| host(spec).cpu_quota = Some(50_000), Refused),
    ("HostConfig.CpuPeriod", |spec| host(spec).cpu_period = Some(50_000), Refused),
    ("HostConfig.PidsLimit", |spec| host(spec).pids_limit = None, As(&["limit pids.max"])),
    ("HostConfig.Ulimits", |spec| without_limit(spec, "core"), As(&["limit Max core file size"])),
    ("HostConfig.Ulimits", |spec| without_limit(spec, "cpu"), As(&["limit Max cpu time"])),
    ("HostConfig.Ulimits", |spec| without_limit(spec, "memlock"), As(&["limit Max locked memory"])),
    ("HostConfig.Ulimits", |spec| without_limit(spec, "msgqueue"), As(&["limit Max msgqueue size"])),
    ("HostConfig.Ulimits", |spec| without_limit(spec, "nofile"), As(&["limit Max open files"])),
];

/// The same, where only control groups of the first generation show it.
const AMOUNTS_OF_V1: &[Row] = &[
    (
        "HostConfig.MemorySwappiness",
        |spec| host(spec).memory_swappiness = Some(60),
        As(&["limit memory.swappiness"]),
    ),
    (
        "HostConfig.OomKillDisable",
        |spec| host(spec).oom_kill_disable = Some(true),
        As(&["limit memory.oom_control"]),
    ),
    (
        "HostConfig.DeviceCgroupRules",
        |spec| host(spec).device_cgroup_rules = Some(own_words(&["c 10:229 rwm"])),
        As(&["limit devices.list"]),
    ),
];

fn without_limit(spec: &mut ContainerCreateBody, name: &str) {
    host(spec).ulimits.as_mut().expect("there are some").retain(|limit| limit.name.as_deref() != Some(name));
}

/// What it shares with the host and with others.
const NAMESPACES: &[Row] = &[
    ("HostConfig.IpcMode", |spec| host(spec).ipc_mode = Some("private".to_owned()), As(&["mount /dev/shm"])),
    ("HostConfig.PidMode", |spec| host(spec).pid_mode = Some("host".to_owned()), As(&["processes"])),
    (
        "HostConfig.UTSMode",
        |spec| {
            spec.hostname = None;
            spec.domainname = None;
            host(spec).uts_mode = Some("host".to_owned());
        },
        As(&["hostname"]),
    ),
    (
        "HostConfig.CgroupnsMode",
        |spec| host(spec).cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST),
        As(&["cgroup"]),
    ),
    (
        "HostConfig.NetworkMode",
        |spec| {
            spec.network_disabled = Some(false);
            host(spec).network_mode = Some("host".to_owned());
        },
        As(&["cards"]),
    ),
];

/// Fields that nothing inside shows on this engine, and why it need not. That they are as asked for is seen by the
/// engine's own description of a running container, field by field.
const UNSEEN: &[(&str, &str)] = &[
    ("Image", "which program it is, not what it may"),
    ("Labels", "how a container is found again; the inside has no way to read them"),
    ("StdinOnce", "ends a waiting container with its worker, which has a test of its own"),
    ("AttachStdin", "whom the engine connects, not what is inside"),
    ("AttachStdout", "whom the engine connects, not what is inside"),
    ("AttachStderr", "whom the engine connects, not what is inside"),
    ("Healthcheck", "a process from the outside, which a test of its own sees run where it is allowed"),
    ("StopSignal", "what a person's docker stop does, which a test of its own does"),
    ("StopTimeout", "what a person's docker stop does, which a test of its own does"),
    ("HostConfig.AutoRemove", "what the engine does afterwards"),
    ("HostConfig.RestartPolicy", "what the engine does afterwards"),
    ("HostConfig.LogConfig", "the host's disk, which a test of its own fills"),
    ("HostConfig.UsernsMode", "the same user namespace as the host's, unless the engine maps users"),
    ("HostConfig.PublishAllPorts", "without a network card there is nothing to publish"),
    ("HostConfig.PortBindings", "without a network card there is nothing to publish"),
    ("HostConfig.Links", "without a network card there is nothing to link"),
    ("HostConfig.Dns", "whom the engine's own resolver asks, which is there with a network card only"),
    (
        "HostConfig.DnsOptions",
        "without a network card the engine writes no resolv.conf; with one a test of its own reads it",
    ),
    (
        "HostConfig.DnsSearch",
        "without a network card the engine writes no resolv.conf; with one a test of its own reads it",
    ),
    (
        "HostConfig.ExtraHosts",
        "without a network card the engine writes no hosts; with one a test of its own reads it",
    ),
    ("HostConfig.VolumesFrom", "needs a container with volumes, of which ours have none"),
];

#[tokio::test]
async fn loosening_what_a_container_is_shows_inside() {
    each_shows(SELF).await;
}

#[tokio::test]
async fn loosening_a_right_shows_inside() {
    each_shows(RIGHTS).await;
}

#[tokio::test]
async fn loosening_a_file_system_shows_inside() {
    each_shows(FILES).await;
}

#[tokio::test]
async fn loosening_an_amount_shows_inside() {
    each_shows(AMOUNTS).await;
    match Engine::new(None).info().await.expect("the engine answers").cgroup {
        Cgroup::V1 => each_shows(AMOUNTS_OF_V1).await,
        Cgroup::V2 => {}
    }
}

#[tokio::test]
async fn loosening_a_namespace_shows_inside() {
    each_shows(NAMESPACES).await;
}

/// A mount that goes on with the host's later ones needs a host that shares them, and there the table of mounts says so.
#[tokio::test]
async fn a_door_that_follows_the_mounts_of_the_host_is_refused_or_shows() {
    let follow: Change = |spec| {
        let options = door(spec).bind_options.as_mut().expect("there are some");
        options.propagation = Some(MountBindOptionsPropagationEnum::RSLAVE);
    };
    let held = run("facts|exit 0", strict).await;
    assert!(held.fact("mount /run/safeurl").contains(" shared=0 "), "{}", held.fact("mount /run/safeurl"));
    if let Some(loose) = facts(follow).await {
        assert_ne!(held.fact("mount /run/safeurl"), loose.fact("mount /run/safeurl"));
    }
}

#[tokio::test]
async fn every_field_that_is_asked_for_shows_or_is_told_why_not() {
    let config = crate::cell::config().await;
    let request = Request { name: "x".to_owned(), uid: crate::cell::UID, door: "/x".into(), role: "fetcher" };
    let cgroup = Engine::new(None).info().await.expect("the engine answers").cgroup;
    let spec = container_spec(&request, &config, cgroup);
    let spec = serde_json::to_value(spec).expect("JSON");
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let host = keys(&spec["HostConfig"]).into_iter().map(|key| format!("HostConfig.{key}"));
    let asked: BTreeSet<_> = keys(&spec).into_iter().filter(|key| key != "HostConfig").chain(host).collect();
    let rows = [SELF, RIGHTS, FILES, AMOUNTS, AMOUNTS_OF_V1, NAMESPACES].concat();
    let told: BTreeSet<_> = rows
        .iter()
        .map(|row| row.0)
        .chain(UNSEEN.iter().map(|(field, _)| *field))
        .map(str::to_owned)
        .collect();
    assert_eq!(asked.difference(&told).collect::<Vec<_>>(), Vec::<&String>::new());
}
