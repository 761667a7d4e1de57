//! What the tools look for that are made to break out of containers, a row a line of their lists: which check of ours
//! holds it inside of a container that runs, or why there is nothing to hold. Each check is also made where every wall
//! is down, and must find it.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerCreateBody, DeviceMapping, HostConfigCgroupnsModeEnum};

use crate::cell::{Left, host, run, strict};

/// Says what is wrong.
pub(crate) type Check = fn(&Left) -> Result<(), String>;

/// What becomes of a line.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    By(&'static [Check]),
    Elsewhere(&'static str),
}

use Held::{By, Elsewhere};

pub(crate) type Row = (&'static str, Held);

/// `cdk evaluate`, by what it prints above each of its findings.
pub(crate) const EVALUATE: &[Row] = &[
    (
        "Critical - SYS_ADMIN Capability Found. Try 'cdk run rewrite-cgroup-devices/mount-cgroup/...'.",
        By(&[no_capability]),
    ),
    ("Critical - Possible Privileged Container Found.", By(&[no_capability, no_device, filtered])),
    ("Information Gathering - System Info", By(&[own_name, no_root])),
    ("Information Gathering - Services", By(&[own_processes, plain_environment])),
    ("Information Gathering - Commands and Capabilities", By(&[no_files, no_capability])),
    ("Information Gathering - Mounts", By(&[known_mounts])),
    ("Information Gathering - Net Namespace", By(&[own_network])),
    ("Information Gathering - Sysctl Variables", By(&[settings_closed])),
    ("Information Gathering - DNS-Based Service Discovery", By(&[no_names, no_network])),
    ("Discovery - K8s API Server", By(&[no_network, plain_environment])),
    ("Discovery - K8s Service Account", By(&[no_files])),
    ("Discovery - Cloud Provider Metadata API", By(&[no_network])),
    (
        "Exploit Pre - Kernel Exploits",
        Elsewhere("the kernel is the host's; the README says that its holes are not covered"),
    ),
    ("Information Gathering - Sensitive Files", By(&[no_files])),
    ("Information Gathering - ASLR", By(&[settings_closed])),
    ("Information Gathering - Cgroups", By(&[own_groups])),
];

const KUBERNETES: Held = By(&[no_network, no_files, plain_environment]);

/// The tables of its README: what it evaluates, what it exploits, and its tools.
pub(crate) const FEATURES: &[Row] = &[
    ("OS Basic Info", By(&[own_name, no_root])),
    ("Available Capabilities", By(&[no_capability])),
    ("Available Linux Commands", By(&[no_files])),
    ("Mounts", By(&[known_mounts])),
    ("Net Namespace", By(&[own_network])),
    ("Sensitive ENV", By(&[plain_environment])),
    ("Sensitive Process", By(&[own_processes])),
    ("Sensitive Local Files", By(&[no_files])),
    ("Kube-proxy Route Localnet(CVE-2020-8558)", By(&[no_network, own_network])),
    ("DNS-Based Service Discovery", By(&[no_names, no_network])),
    ("K8s Api-server Info", By(&[no_network, plain_environment])),
    ("K8s Service-account Info", By(&[no_files])),
    ("Cloud Provider Metadata API", By(&[no_network])),
    // Overwrites the engine's program from inside, as root.
    ("runc-pwn", By(&[no_root, root_closed, no_new_rights])),
    // Its sockets have no place in the file system but in the host's network.
    ("shim-pwn", By(&[own_network])),
    ("docker-sock-check", By(&[no_files])),
    ("docker-sock-pwn", By(&[no_files])),
    ("docker-api-pwn", By(&[no_network])),
    ("mount-disk", By(&[mounting_refused, no_device])),
    ("lxcfs-rw", By(&[known_mounts, making_devices_refused])),
    ("mount-cgroup", By(&[mounting_refused, own_groups])),
    ("abuse-unpriv-userns", By(&[namespaces_refused, mounting_refused])),
    ("mount-procfs", By(&[known_mounts, settings_closed, mounting_refused])),
    ("check-ptrace", By(&[tracing_refused, own_processes])),
    ("rewrite-cgroup-devices", By(&[own_groups, making_devices_refused])),
    ("cap-dac-read-search", By(&[no_capability, handles_refused])),
    ("service-probe", By(&[no_network])),
    ("istio-check", By(&[no_network])),
    ("k8s-psp-dump", KUBERNETES),
    ("reverse-shell", By(&[no_network, no_new_process, no_files])),
    ("kubelet-exec", KUBERNETES),
    ("registry-brute", By(&[no_network])),
    ("ak-leakage", By(&[no_files, plain_environment])),
    ("etcd-get-k8s-token", KUBERNETES),
    ("k8s-secret-dump", KUBERNETES),
    ("k8s-configmap-dump", KUBERNETES),
    ("k8s-get-sa-token", KUBERNETES),
    ("webshell-deploy", By(&[root_closed, no_files])),
    ("k8s-backdoor-daemonset", KUBERNETES),
    ("k8s-shadow-apiserver", KUBERNETES),
    ("k8s-mitm-clusterip", KUBERNETES),
    ("k8s-cronjob", KUBERNETES),
    ("nc", By(&[no_network])),
    ("ps", By(&[own_processes])),
    ("netstat", By(&[own_network])),
    ("ifconfig", By(&[own_network])),
    ("vi", By(&[root_closed])),
    ("ectl", By(&[no_network])),
    ("kcurl", By(&[no_network])),
    ("dcurl", By(&[no_network])),
    ("ucurl", By(&[no_files])),
    ("rcurl", By(&[no_network])),
    ("probe", By(&[no_network])),
];

/// Section 4 of the Docker benchmark, as far as a container shows what its image is, and what its community adds. An item
/// by its number.
pub(crate) const BENCH: &[Row] = &[
    ("4", Elsewhere("the heading")),
    ("4.1", By(&[no_root])),
    ("4.2", Elsewhere("the image is made from nothing: there is no base image")),
    ("4.3", By(&[no_files])),
    ("4.4", Elsewhere("one program of our own is in it and no package; its crates are audited")),
    ("4.5", Elsewhere("the image is built where it is used and named by its digest, never pulled")),
    ("4.6", Elsewhere("a health check would be a process from the outside; a container lives for one job")),
    ("4.7", Elsewhere("no package is installed")),
    ("4.8", By(&[no_files, no_new_rights])),
    ("4.9", Elsewhere("the recipe has one COPY and no ADD, see images/fetcher/Dockerfile")),
    ("4.10", By(&[plain_environment, no_files])),
    ("4.11", Elsewhere("no package is installed")),
    ("4.12", Elsewhere("nothing is loaded from elsewhere")),
    ("C.1", Elsewhere("an example of the list's own")),
    ("C.1.1", Elsewhere("an example of the list's own")),
    ("C.2", Elsewhere("a setting of engines that are no more; nothing is pulled")),
    ("C.5.3.1", By(&[no_capability, handles_refused])),
    ("C.5.3.2", By(&[no_capability])),
    ("C.5.3.3", By(&[no_capability, mounting_refused])),
    ("C.5.3.4", By(&[no_capability, tracing_refused])),
];

fn equal(left: &Left, name: &str, value: &str) -> Result<(), String> {
    let found = left.fact(name);
    if found == value { Ok(()) } else { Err(format!("{name} is {found}")) }
}

fn no_capability(left: &Left) -> Result<(), String> {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    sets.iter().try_for_each(|set| equal(left, set, "0000000000000000"))
}

fn no_root(left: &Left) -> Result<(), String> {
    let ids = [left.fact("Uid"), left.fact("Gid"), left.fact("Groups")];
    let root = ids.iter().any(|ids| ids.split(',').any(|id| id == "0"));
    if root { Err(format!("{ids:?} are root's")) } else { Ok(()) }
}

fn filtered(left: &Left) -> Result<(), String> {
    equal(left, "Seccomp", "2")
}

fn no_new_rights(left: &Left) -> Result<(), String> {
    equal(left, "NoNewPrivs", "1")
}

fn own_name(left: &Left) -> Result<(), String> {
    equal(left, "hostname", "fetcher")
}

fn no_device(left: &Left) -> Result<(), String> {
    let usual = "core fd full mqueue null ptmx pts random stderr stdin stdout tty urandom zero";
    only(left.fact("dev").split(','), &usual.split(' ').collect::<Vec<_>>())
}

fn only<'a>(found: impl Iterator<Item = &'a str>, known: &[&str]) -> Result<(), String> {
    let strange: BTreeSet<_> = found.filter(|name| !name.is_empty() && !known.contains(name)).collect();
    if strange.is_empty() { Ok(()) } else { Err(format!("there are {strange:?}")) }
}

/// After it tried to start another one.
fn own_processes(left: &Left) -> Result<(), String> {
    equal(left, "processes", "1")
}

fn no_new_process(left: &Left) -> Result<(), String> {
    equal(left, "process", "PermissionDenied")
}

fn plain_environment(left: &Left) -> Result<(), String> {
    let variables = left.fact("env").split(';').filter(|variable| !variable.starts_with("PATH="));
    only(variables, &["HOME=/", "HOSTNAME=fetcher"])
}

/// No shell, no tool, no key: its own program, the door, and what the engine puts into every container, of which the
/// tables of names are empty.
fn no_files(left: &Left) -> Result<(), String> {
    let files = left.fact("files").split(',');
    only(files.filter(|file| !file.starts_with("/tmp/")), FILES)
}

const FILES: &[&str] = &[
    "/safeurl-fetcher",
    "/run/safeurl/gw.sock",
    "/.dockerenv",
    "/etc/mtab",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
];

fn known_mounts(left: &Left) -> Result<(), String> {
    let facts = left.facts();
    let points = facts.keys().filter_map(|name| name.strip_prefix("mount "));
    let below = |point: &&str| ["/proc/", "/sys/", "/dev/"].iter().all(|top| !point.starts_with(top));
    let known = ["/", "/proc", "/sys", "/dev", "/tmp", "/run/safeurl", "/etc/hostname"];
    only(points.filter(below), &known)
}

fn root_closed(left: &Left) -> Result<(), String> {
    equal(left, "write root", "ReadOnlyFilesystem")
}

fn settings_closed(left: &Left) -> Result<(), String> {
    equal(left, "write sysctl", "ReadOnlyFilesystem")
}

fn own_network(left: &Left) -> Result<(), String> {
    equal(left, "cards", "lo")
}

fn no_network(left: &Left) -> Result<(), String> {
    ["tcp", "udp", "udp6"].iter().try_for_each(|kind| equal(left, kind, "PermissionDenied"))
}

fn no_names(left: &Left) -> Result<(), String> {
    ["resolv", "hosts"].iter().try_for_each(|file| equal(left, file, ""))
}

/// The control groups it sees are its own, as the root of all, and cannot be written to.
fn own_groups(left: &Left) -> Result<(), String> {
    let groups = left.fact("cgroup");
    if let Some(group) = groups.split(';').find(|group| !group.ends_with(":/")) {
        return Err(format!("it sees where it is: {group}"));
    }
    match left.fact("write groups") {
        "ReadOnlyFilesystem" | "PermissionDenied" => Ok(()),
        other => Err(format!("writing there is {other}")),
    }
}

fn mounting_refused(left: &Left) -> Result<(), String> {
    equal(left, "mount", "1")
}

fn namespaces_refused(left: &Left) -> Result<(), String> {
    ["unshare", "setns"].iter().try_for_each(|call| equal(left, call, "1"))
}

fn tracing_refused(left: &Left) -> Result<(), String> {
    equal(left, "ptrace", "1")
}

fn handles_refused(left: &Left) -> Result<(), String> {
    equal(left, "open_by_handle_at", "1")
}

fn making_devices_refused(left: &Left) -> Result<(), String> {
    equal(left, "mknod", "1")
}

/// Tries first, then looks. Where nothing holds the calls do no harm: they name nothing that is there.
const STEPS: &str = "probe|facts|call mount 165 0 1 0 0 0|call unshare 272 1024|call setns 308 -1 0|call ptrace 101 0|\
                     call open_by_handle_at 304 -1 0 0|call mknod 133 1 0 0|exit 0";

fn walls_down(spec: &mut ContainerCreateBody) {
    let door = host(spec).mounts.as_ref().expect("the door")[0].source.clone().expect("a folder");
    spec.user = Some("0:0".to_owned());
    spec.hostname = Some("another".to_owned());
    spec.env = Some(vec!["TOKEN=secret".to_owned()]);
    spec.network_disabled = Some(false);
    let host = host(spec);
    // Not a privileged one: an engine that is itself in a container may have less to give.
    host.cap_drop = None;
    host.cap_add = Some(vec!["DAC_READ_SEARCH".to_owned()]);
    host.readonly_paths = Some(vec![]);
    host.devices = Some(vec![DeviceMapping {
        path_on_host: Some("/dev/zero".to_owned()),
        path_in_container: Some("/dev/extra".to_owned()),
        cgroup_permissions: Some("r".to_owned()),
    }]);
    host.security_opt = Some(vec!["seccomp=unconfined".to_owned()]);
    host.readonly_rootfs = Some(false);
    // What each tool looks for first, as far as its name goes.
    host.binds = Some(vec![format!("{door}/gw.sock:/var/run/docker.sock")]);
    host.network_mode = Some("host".to_owned());
    host.ipc_mode = Some("private".to_owned());
    host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST);
}

#[tokio::test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "the numbers of its calls are others")]
async fn nothing_that_tools_for_escapes_look_for_is_found() {
    let (held, loose) = (run(STEPS, strict).await, run(STEPS, walls_down).await);
    assert_eq!((held.code, loose.code), (Some(0), Some(0)), "{held:?} {loose:?}");
    let mut wrong = Vec::new();
    for (line, held_by) in [EVALUATE, FEATURES, BENCH].concat() {
        match held_by {
            By(checks) => {
                assert!(!checks.is_empty(), "{line}");
                for check in checks {
                    wrong.extend(check(&held).err().map(|found| format!("{line}: {found}")));
                    if check(&loose).is_ok() {
                        wrong.push(format!("{line}: a check finds nothing where no wall is"));
                    }
                }
            }
            Elsewhere(reason) => assert!(reason.len() > 10 || line.len() == 1, "{line}"),
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong:#?}\nloose: {:?}",
        loose.facts().into_iter().collect::<HashMap<_, _>>()
    );
}
