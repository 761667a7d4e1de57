//! Everything a container is and is not allowed, as one value for the engine's create call.
//!
//! Pure: the same input gives the same container, and a snapshot of it stands beside the tests, so that a
//! loosened setting is a red diff. Every field of the engine's structure is named here; none is left to a
//! default of the client library, so a new field of a new release is a compile error and a decision.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountType,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use super::output::STDERR_BUDGET_BYTES;
use super::{Network, Request, SandboxConfig, bridge, seccomp};

/// Where the directory with the gateway's socket is mounted; the parent of `safeurl_protocol::SOCKET_PATH`.
/// Not under `/tmp`: the tmpfs there would hide it.
pub const DOOR: &str = "/run/safeurl";

/// Label: the installation.
pub const LABEL_INSTANCE: &str = "safeurl.instance";
/// Label: the process that made it.
pub const LABEL_WORKER: &str = "safeurl.worker";
/// Label: what it is for.
pub const LABEL_ROLE: &str = "safeurl.role";

/// Size of the scratch space at `/tmp`; it counts towards the memory limit.
pub(super) const SCRATCH_BYTES: u64 = 32 << 20;
/// Files that fit into it; these do not count, so there is a limit of its own.
pub(super) const SCRATCH_FILES: u64 = 1 << 10;
/// Open files of one process.
pub(super) const NOFILE: u64 = 256;

/// The generation of the kernel's control groups the engine uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroup {
    /// Also the hybrid layout.
    V1,
    /// The unified hierarchy.
    V2,
}

/// The create call of one container.
#[must_use]
pub fn container_spec(request: &Request, config: &SandboxConfig, cgroup: Cgroup) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(config.image.clone()),
        // The image's own program; only the mode is ours.
        entrypoint: None,
        cmd: Some(vec!["--serve".to_owned()]),
        args_escaped: None,
        shell: None,
        // Numeric, because the image has no /etc/passwd; never 0 (CIS 5.x of docker-bench, 4.1).
        user: Some(format!("{0}:{0}", request.uid)),
        // The engine would put the container's id here; it is nobody's business in there.
        hostname: Some("fetcher".to_owned()),
        domainname: Some(String::new()),
        working_dir: Some("/".to_owned()),
        // No secret, no setting: the job comes on standard input.
        env: Some(vec![]),
        // The end of our attach connection ends standard input: a waiting fetcher whose worker died exits.
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        // A terminal would merge the streams and drop their frames.
        tty: Some(false),
        // A health check of an image would be one more process, started by the engine again and again.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            interval: None,
            timeout: None,
            retries: None,
            start_period: None,
            start_interval: None,
        }),
        // Without it the engine still makes a network namespace sandbox: twice the start time for nothing.
        network_disabled: Some(config.network == Network::None),
        networking_config: None,
        exposed_ports: None,
        volumes: None,
        on_build: None,
        // Whoever stops a container by hand gets no grace period for hostile code either.
        stop_signal: Some("SIGKILL".to_owned()),
        stop_timeout: Some(0),
        labels: Some(HashMap::from([
            (LABEL_INSTANCE.to_owned(), config.instance.clone()),
            (LABEL_WORKER.to_owned(), config.worker.clone()),
            (LABEL_ROLE.to_owned(), request.role.to_owned()),
        ])),
        host_config: Some(host_config(request, config, cgroup)),
    }
}

fn host_config(request: &Request, config: &SandboxConfig, cgroup: Cgroup) -> HostConfig {
    let memory = signed(config.memory_bytes);
    HostConfig {
        // Rights.
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(vec![]),
        group_add: Some(vec![]),
        security_opt: Some(vec![
            "no-new-privileges:true".to_owned(),
            format!("seccomp={}", seccomp::profile(config.network)),
        ]),
        // The engine's defaults, which hide what a container must not see of /proc and /sys.
        masked_paths: None,
        readonly_paths: None,

        // Network.
        network_mode: Some(match config.network {
            Network::None => "none".to_owned(),
            Network::Bridge => bridge::name(&config.instance),
        }),
        publish_all_ports: Some(false),
        port_bindings: Some(HashMap::new()),
        links: Some(vec![]),
        dns: Some(vec![]),
        dns_options: Some(vec![]),
        dns_search: Some(vec![]),
        extra_hosts: Some(vec![]),

        // Files.
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([(
            "/tmp".to_owned(),
            format!(
                "rw,noexec,nosuid,nodev,size={}m,nr_inodes={}k,mode=1777",
                SCRATCH_BYTES >> 20,
                SCRATCH_FILES >> 10
            ),
        )])),
        mounts: Some(match config.network {
            Network::None => vec![door(&request.door)],
            Network::Bridge => vec![],
        }),
        // Not used: with `binds` a missing source is made, as root, where `mounts` answers with an error.
        binds: Some(vec![]),
        volumes_from: Some(vec![]),
        volume_driver: None,
        // A size of the root file system needs a quota of the storage driver; ours is read-only.
        storage_opt: None,

        // Memory: no swap to escape to, and the fetcher dies before the host's own processes do.
        memory: Some(memory),
        memory_swap: Some(memory),
        memory_swappiness: match cgroup {
            Cgroup::V1 => Some(0),
            Cgroup::V2 => None,
        },
        memory_reservation: None,
        oom_kill_disable: Some(false),
        oom_score_adj: Some(500),

        // Processor: half the default weight, so that the worker can renew its leases on a busy host.
        nano_cpus: Some(nano(config.cpus)),
        cpu_shares: Some(512),
        cpu_period: None,
        cpu_quota: None,
        cpu_realtime_period: None,
        cpu_realtime_runtime: None,
        cpuset_cpus: None,
        cpuset_mems: None,
        blkio_weight: None,
        blkio_weight_device: None,
        blkio_device_read_bps: None,
        blkio_device_write_bps: None,
        blkio_device_read_iops: None,
        blkio_device_write_iops: None,

        // Numbers of things.
        pids_limit: Some(signed(config.pids)),
        ulimits: Some(ulimits(config)),

        // Namespaces: nothing is shared with the host or another container.
        ipc_mode: Some("none".to_owned()),
        shm_size: None,
        pid_mode: Some(String::new()),
        uts_mode: Some(String::new()),
        userns_mode: Some(String::new()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        cgroup: None,
        // Its spelling depends on the engine's driver (a path for cgroupfs, a slice for systemd) and the
        // wrong one fails every start: a common parent is set in the engine's own configuration.
        cgroup_parent: None,

        // Devices and kernel settings.
        devices: Some(vec![]),
        device_requests: Some(vec![]),
        device_cgroup_rules: Some(vec![]),
        sysctls: Some(HashMap::new()),

        // Life: one run, and what is left of it stays until its job's row is final.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: Some(0),
        }),
        auto_remove: Some(false),
        init: Some(false),
        runtime: config.runtime.clone(),
        log_config: Some(log_config(config)),
        container_id_file: None,
        console_size: None,
        annotations: None,

        // Windows.
        cpu_count: None,
        cpu_percent: None,
        io_maximum_iops: None,
        io_maximum_bandwidth: None,
        isolation: None,
    }
}

/// The directory, not the socket file: a file mounted alone goes stale when the listener is bound anew. A
/// socket can be connected to on a read-only mount.
fn door(source: &Path) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(DOOR.to_owned()),
        read_only: Some(true),
        bind_options: Some(MountBindOptions {
            // Nothing mounted later on the host appears inside, and nothing mounted below it now.
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            non_recursive: Some(true),
            create_mountpoint: None,
            read_only_non_recursive: None,
            read_only_force_recursive: None,
        }),
        consistency: None,
        volume_options: None,
        image_options: None,
        tmpfs_options: None,
    }
}

/// Never `nproc`: it is counted per user id over all containers, so one would starve the others.
fn ulimits(config: &SandboxConfig) -> Vec<ResourcesUlimits> {
    // A backstop for the time when no worker lives to end it; it takes the longer, the smaller the share.
    let cpu = signed(cpu_seconds(config.timeout));
    [("core", 0), ("cpu", cpu), ("memlock", 0), ("msgqueue", 0), ("nofile", signed(NOFILE))]
        .map(|(name, limit)| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(limit),
            hard: Some(limit),
        })
        .into()
}

/// Processor time of a container whose jobs take so long at most.
pub(super) fn cpu_seconds(timeout: Duration) -> u64 {
    let whole_seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    whole_seconds.saturating_mul(2)
}

/// The log is the second copy of the report, so it holds twice the longest one, and no more: the default
/// driver would fill the host's disk. One file cannot be compressed, and the engine refuses to try.
fn log_config(config: &SandboxConfig) -> HostConfigLogConfig {
    let bytes = config.output_bytes.saturating_mul(2).saturating_add(2 * STDERR_BUDGET_BYTES);
    HostConfigLogConfig {
        typ: Some("local".to_owned()),
        config: Some(HashMap::from([
            ("max-size".to_owned(), bytes.to_string()),
            ("max-file".to_owned(), "1".to_owned()),
            ("compress".to_owned(), "false".to_owned()),
        ])),
    }
}

/// The protections asked for that a created container does not have: an engine may ignore what it does not
/// know, and answers as if all were well.
#[must_use]
pub fn weakened(asked: &ContainerCreateBody, made: &ContainerInspectResponse) -> Vec<&'static str> {
    let (Some(want), Some(have)) = (&asked.host_config, &made.host_config) else {
        return vec!["HostConfig"];
    };
    let user = made.config.as_ref().and_then(|config| config.user.as_ref());
    let hidden = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
    [
        ("User", user == asked.user.as_ref()),
        ("Privileged", have.privileged == Some(false)),
        ("CapDrop", have.cap_drop == want.cap_drop),
        ("CapAdd", have.cap_add.as_ref().is_none_or(Vec::is_empty)),
        ("SecurityOpt", have.security_opt == want.security_opt),
        ("NetworkMode", have.network_mode == want.network_mode),
        ("ReadonlyRootfs", have.readonly_rootfs == Some(true)),
        ("Mounts", have.mounts == want.mounts || want.mounts.as_ref().is_some_and(Vec::is_empty)),
        ("Memory", have.memory == want.memory),
        ("PidsLimit", have.pids_limit == want.pids_limit),
        ("IpcMode", have.ipc_mode == want.ipc_mode),
        ("MaskedPaths", hidden(&have.masked_paths)),
        ("ReadonlyPaths", hidden(&have.readonly_paths)),
    ]
    .into_iter()
    .filter_map(|(field, holds)| (!holds).then_some(field))
    .collect()
}

/// The engine's numbers are signed, where negative means unlimited.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The engine counts in billionths of a processor.
pub(super) fn nano(cpus: f64) -> i64 {
    // Truncation and saturation are what `as` does; a processor count is small and positive.
    (cpus * 1e9) as i64
}

#[cfg(test)]
mod tests;
