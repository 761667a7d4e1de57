//! A network of a test's own in which every address there is leads to this machine.
//!
//! A network namespace with nothing but its loopback interface, on which all of IPv4 and IPv6 is local: whatever is
//! dialled in it arrives at a listener in it, and nothing can leave. It goes when its value and the sockets in it go.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Makes every address local, says so, and holds the namespace until standard input is closed.
const SETUP: &str = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && \
                     ip -6 route add local ::/0 dev lo && echo ready && exec cat";

/// The namespace, held by a process in it.
pub(crate) struct Island(Child);

impl Island {
    pub(crate) fn new() -> Self {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", SETUP])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is there");
        let mut line = String::new();
        let told = BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut line);
        let island = Self(holder);
        assert!(told.is_ok() && line == "ready\n", "a network namespace needs root, unshare and ip");
        let devices = island.file("dev");
        let interfaces: Vec<&str> =
            devices.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
        assert_eq!(interfaces, ["lo"], "nothing leaves a network that has no other interface");
        assert_ne!(
            fs::read_link("/proc/self/ns/net").expect("a link"),
            fs::read_link(island.path("ns/net")).expect("a link"),
            "this is not the network of the machine"
        );
        island
    }

    /// Does something in a thread inside; processes and threads started by it are inside as well.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.path("ns/net")).expect("the holder lives");
        let enter_and_work = move || {
            let moved = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
            moved.expect("only root may enter a network namespace");
            work()
        };
        let done = std::thread::scope(|scope| scope.spawn(enter_and_work).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// How many TCP connections were begun in here, whatever came of them.
    pub(crate) fn dialled(&self) -> u64 {
        self.count("Tcp", "ActiveOpens")
    }

    /// How many datagrams were sent in here.
    pub(crate) fn datagrams(&self) -> u64 {
        self.count("Udp", "OutDatagrams")
    }

    /// How many packets of any kind were sent in here.
    pub(crate) fn packets(&self) -> u64 {
        let devices = self.file("dev");
        let lo = devices.lines().find_map(|line| line.trim().strip_prefix("lo:")).expect("a loopback");
        // Eight columns of what was received, then those of what was sent: bytes, packets (proc_pid_net(5)).
        lo.split_whitespace().nth(9).and_then(|count| count.parse().ok()).expect("a number")
    }

    /// A counter of the kernel for this namespace alone.
    fn count(&self, protocol: &str, name: &str) -> u64 {
        let counters = self.file("snmp");
        let mut lines = counters.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
        let names = lines.next().expect("the names").split(' ');
        let values = lines.next().expect("the values").split(' ');
        let value = names.zip(values).find_map(|(found, value)| (found == name).then_some(value));
        value.and_then(|value| value.parse().ok()).expect("a number")
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("net/{name}"))).expect("the kernel's counters")
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.id())
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
