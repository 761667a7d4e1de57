//! What there is of files, devices and networks, and what can be written.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::statvfs;
use safeurl_protocol::SOCKET_PATH;
use safeurl_protocol::probe::Seen;

use super::{list, seen, tried};

/// Sockets by which a host is ruled.
const ENGINES: [&str; 6] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/systemd/private",
];

/// What an engine hides, because it is the host's and not the container's.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];

/// Kernel settings and switches that root of a container without protection could turn.
const SETTINGS: [&str; 3] =
    ["/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"];

/// Everything about files.
pub(super) fn look() -> Vec<Seen> {
    let mounts = Mounts::read();
    let door = Path::new(SOCKET_PATH).parent().unwrap_or(Path::new("/"));
    vec![
        seen("network-cards", cards()),
        seen("routes", routes()),
        seen(
            "engine-socket",
            list(
                ENGINES
                    .iter()
                    .filter(|path| UnixStream::connect(path).is_ok() || Path::new(path).exists())
                    .map(ToString::to_string)
                    .collect(),
            ),
        ),
        seen("root-file-system", tried(File::create("/probe"))),
        seen("door-files", tried(File::create(door.join("probe")))),
        seen("scratch-flags", mounts.flags("/tmp")),
        seen("scratch-bytes", scratch(|scratch| scratch.f_blocks.saturating_mul(scratch.f_frsize))),
        seen("scratch-files", scratch(|scratch| scratch.f_files)),
        seen("mounts", mounts.foreign()),
        seen("shared-memory", shared_memory(&mounts)),
        seen("devices", devices()),
        seen(
            "masked-proc",
            list(MASKED.iter().filter(|path| shows(Path::new(path))).map(ToString::to_string).collect()),
        ),
        seen(
            "kernel-settings",
            list(SETTINGS.iter().map(|path| tried(OpenOptions::new().write(true).open(path))).collect()),
        ),
    ]
}

fn cards() -> String {
    let table = fs::read_to_string("/proc/net/dev").unwrap_or_default();
    let names = table.lines().skip(2).filter_map(|line| line.split_once(':'));
    list(names.map(|(name, _)| name.trim().to_owned()).collect())
}

/// Of both families, without those of the loopback.
fn routes() -> String {
    let of = |path, from: usize, skipped| {
        let table = fs::read_to_string(path).unwrap_or_default();
        let lines = table.lines().skip(skipped).map(str::to_owned).collect::<Vec<_>>();
        lines.into_iter().filter_map(move |line| line.split_whitespace().nth(from).map(str::to_owned))
    };
    let cards = of("/proc/net/route", 0, 1).chain(of("/proc/net/ipv6_route", 9, 0));
    list(cards.filter(|card| card != "lo").collect())
}

/// A number of the file system at `/tmp`, once something was written there.
fn scratch(read: impl FnOnce(&rustix::fs::StatVfs) -> u64) -> String {
    match fs::write("/tmp/probe", "probe").and_then(|()| Ok(statvfs("/tmp")?)) {
        Ok(found) => read(&found).to_string(),
        Err(error) => tried::<(), _>(Err(error)),
    }
}

fn devices() -> String {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    list(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Whether there is anything to be read there.
fn shows(path: &Path) -> bool {
    if path.is_dir() {
        return fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    }
    File::open(path).and_then(|mut file| file.read(&mut [0; 16])).is_ok_and(|bytes| bytes > 0)
}

/// Segments of System V, and a file system for those of POSIX.
fn shared_memory(mounts: &Mounts) -> String {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let segments = segments.lines().skip(1).map(|_| "a segment of somebody else".to_owned());
    let file_system = mounts.0.iter().filter(|mount| mount.at == "/dev/shm").map(|_| "/dev/shm".to_owned());
    list(segments.chain(file_system).collect())
}

/// A line of `/proc/self/mountinfo`, as far as it matters.
struct Mount {
    at: String,
    flags: String,
}

struct Mounts(Vec<Mount>);

impl Mounts {
    fn read() -> Self {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = table.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(4);
            Some(Mount { at: fields.next()?.to_owned(), flags: fields.next()?.to_owned() })
        });
        Self(mounts.collect())
    }

    /// The flags of the mount at this place that are about rights.
    fn flags(&self, at: &str) -> String {
        let Some(mount) = self.0.iter().rfind(|mount| mount.at == at) else {
            return "no file system of its own".to_owned();
        };
        let rights = ["noexec", "nosuid", "nodev"];
        list(mount.flags.split(',').filter(|flag| rights.contains(flag)).map(str::to_owned).collect())
    }

    /// What is mounted besides the root, the scratch space and the engine's own file systems.
    fn foreign(&self) -> String {
        let own = |at: &str| {
            let below =
                |top: &str| at == top || at.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'));
            at == "/" || at == "/tmp" || ["/proc", "/sys", "/dev"].into_iter().any(below)
        };
        let foreign = self.0.iter().filter(|mount| !own(&mount.at));
        list(
            foreign
                .map(|mount| format!("{} {}", mount.at, mount.flags.split(',').next().unwrap_or_default()))
                .collect(),
        )
    }
}
