//! What /proc and /sys show to a container: no secret, and of the host only what any container of Docker sees.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use safeurl::sandbox::SandboxConfig;

use crate::cell::{Cell, Change, Left, config, host, strict};

const LONG: Duration = Duration::from_secs(120);

/// A process of the host with secrets in its arguments and its environment.
struct Neighbour(Child);

impl Neighbour {
    fn start(argument: &str, variable: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", "read line", argument])
            .env("SAFEURL_DATABASE_AUTH_TOKEN", variable)
            .stdin(Stdio::piped())
            .spawn();
        Self(child.expect("a shell"))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Walked {
    left: Left,
}

impl Walked {
    /// Walks with marks: an argument and a variable of a process of the host, the engine's socket, the folder of the
    /// door on the host.
    async fn through(change: Change) -> Self {
        let [argument, variable] = [(); 2].map(|()| format!("mark-{}", uuid::Uuid::new_v4().simple()));
        let _neighbour = Neighbour::start(&argument, &variable);
        // Reading all of it takes longer than the other acts.
        let patient = SandboxConfig { timeout: LONG, ..config().await };
        let cell = Cell::with(patient, change).await.expect("the engine creates");
        let marks = [argument, variable, "docker.sock".to_owned(), cell.door_on_the_host()];
        // The steps stand in the memory of the container alone, and not even there as they are looked for.
        let hex = |mark: &String| mark.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let steps = format!("walk {}|exit 0", marks.iter().map(hex).collect::<Vec<_>>().join(" "));
        let left = cell.run(&steps, LONG).await.expect("it runs");
        assert_eq!(left.fact("walked"), "yes");
        Self { left }
    }

    fn of(&self, what: &str) -> BTreeSet<&str> {
        self.left.err.lines().filter_map(|line| line.strip_prefix(what)?.strip_prefix('=')).collect()
    }
}

#[tokio::test]
async fn proc_and_sys_show_no_secret_and_of_the_host_only_what_docker_always_shows() {
    let walked = Walked::through(strict).await;
    for secret in ["mark 0", "mark 1", "mark 2"] {
        assert_eq!(walked.of(secret), BTreeSet::new(), "{secret}");
    }
    // Where a mount comes from is in the table of mounts, of every container.
    assert_eq!(walked.of("mark 3"), ["/proc/<pid>/mountinfo", "/proc/<pid>/task"].into());
    let strange: Vec<_> = walked
        .of("readable")
        .into_iter()
        .filter(|path| !SHOWN.iter().any(|shown| fits(path, shown)))
        .collect();
    assert_eq!(strange, Vec::<&str>::new());

    // With the processes of the host in sight, their arguments are: the walk would have found them.
    let loose = Walked::through(|spec| host(spec).pid_mode = Some("host".to_owned())).await;
    assert!(loose.of("mark 0").contains("/proc/<pid>/cmdline"), "{:?}", loose.of("mark 0"));
    assert_eq!(loose.of("mark 1"), BTreeSet::new(), "the environment of another user stays closed");
}

fn fits(path: &str, shown: &str) -> bool {
    match shown.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == shown,
    }
}

/// Everything that can be read there: about the container itself, and of the host its kernel, its load, its memory and
/// its hardware. A kernel may have less of it; more is a decision.
const SHOWN: &[&str] = &[
    // Itself. The table of mounts names where they come from: the engine's folders and the folder of the door.
    "/proc/<pid>/*",
    // Which kernel it is, how it was built and started, and what it can do.
    "/proc/bootconfig",
    "/proc/cgroups",
    "/proc/cmdline",
    "/proc/config.gz",
    "/proc/consoles",
    "/proc/crypto",
    "/proc/devices",
    "/proc/execdomains",
    "/proc/filesystems",
    "/proc/fs/*",
    "/proc/kallsyms",
    "/proc/misc",
    "/proc/modules",
    "/proc/sys/*",
    "/proc/tty/*",
    "/proc/version",
    "/proc/version_signature",
    // How busy it is.
    "/proc/buddyinfo",
    "/proc/diskstats",
    "/proc/interrupts",
    "/proc/loadavg",
    "/proc/locks",
    "/proc/meminfo",
    "/proc/pressure/*",
    "/proc/schedstat",
    "/proc/softirqs",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/vmstat",
    "/proc/zoneinfo",
    // Its hardware.
    "/proc/bus/*",
    "/proc/cpuinfo",
    "/proc/dma",
    "/proc/driver/*",
    "/proc/fb",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/irq/*",
    "/proc/mdstat",
    "/proc/mtrr",
    "/proc/partitions",
    "/sys/block",
    "/sys/bus",
    "/sys/class",
    "/sys/dev",
    "/sys/devices",
    "/sys/fs",
    "/sys/hypervisor",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
    // Of its own user and namespaces.
    "/proc/key-users",
    "/proc/sysvipc/*",
];
