//! The table of restrictions: for each what is tried, what must come of it, and what to do when it does not.

use std::fmt;

use super::Asked;
use crate::sandbox::Network;
use crate::sandbox::spec::{NOFILE, SCRATCH_BYTES, SCRATCH_FILES};

/// The user id that the container was asked to have, whichever it is.
pub(super) const ITS_OWN: &str = "its own";

/// What must come of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// This and nothing else.
    Exactly(String),
    /// An error, whichever.
    Refused,
    /// A number from one to this.
    AtMost(u64),
    /// A number from this on.
    AtLeast(u64),
    /// A list of these alone; none of them has to be there.
    Among(&'static [&'static str]),
}

impl Expected {
    pub(super) fn is_met(&self, saw: &str) -> bool {
        let number = saw.parse::<u64>();
        match self {
            Self::Exactly(expected) => saw == expected,
            Self::Refused => saw.split(", ").all(|each| each.starts_with("refused: ")),
            Self::AtMost(most) => number.is_ok_and(|number| number <= *most),
            Self::AtLeast(least) => number.is_ok_and(|number| number >= *least),
            Self::Among(known) => saw.split(", ").all(|item| item == "none" || known.contains(&item)),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(expected) => f.write_str(expected),
            Self::Refused => f.write_str("refused"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::Among(known) => write!(f, "none but {}", known.join(", ")),
        }
    }
}

/// One restriction.
pub(super) struct Restriction {
    pub(super) name: &'static str,
    pub(super) tried: &'static str,
    pub(super) applies: fn(Network) -> bool,
    pub(super) expected: fn(&Asked) -> Expected,
    hint: Hint,
}

/// Who has to do something.
#[derive(Clone, Copy)]
enum Hint {
    /// The engine or its runtime leaves out what it is asked for.
    Engine,
    /// The kernel or its control groups.
    Kernel,
    /// The image or the program in it.
    Image,
    /// The socket between container and gateway.
    Door,
}

/// What to do when it does not hold.
pub(super) fn hint(known: &Restriction, runtime: &str) -> String {
    let cure = match known.hint {
        Hint::Engine => format!("the engine or its runtime {runtime} did not keep to what it was asked; use one that does"),
        Hint::Kernel => "the kernel needs the control groups memory, pids and cpu, with swap accounting; see `docker info`".to_owned(),
        Hint::Image => "build the image of this program with `safeurl image build`, and name no other".to_owned(),
        Hint::Door => door(runtime),
    };
    format!("{cure}; to run without it, name {} in sandbox.accept", known.name)
}

/// What is known of runtimes and sockets of the host.
fn door(runtime: &str) -> String {
    let known = if runtime.contains("runsc") || runtime.contains("gvisor") {
        "gVisor lets containers connect to sockets of the host only with the runtime argument --host-uds=open"
    } else if runtime.contains("kata") {
        "Kata's containers cannot reach a unix socket of the host; use another runtime, or sandbox.network = \"bridge\""
    } else {
        "the gateway knows a container by its user id, which user-namespace remapping and rootless engines shift: use \
         an engine without them, or sandbox.network = \"bridge\"; and the engine has to see sandbox.run_dir at the same \
         place"
    };
    known.to_owned()
}

const fn always(_: Network) -> bool {
    true
}

const fn without_network(network: Network) -> bool {
    match network {
        Network::None => true,
        Network::Bridge => false,
    }
}

/// What the engine puts there for every container, on old and new kernels.
const DEVICES: &[&str] = &[
    "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
    "stdout", "tty", "urandom", "zero",
];

const fn refused(_: &Asked) -> Expected {
    Expected::Refused
}

fn none(_: &Asked) -> Expected {
    Expected::Exactly("none".to_owned())
}

fn yes(_: &Asked) -> Expected {
    Expected::Exactly("yes".to_owned())
}

fn zero(_: &Asked) -> Expected {
    Expected::Exactly("0".to_owned())
}

fn read_only(_: &Asked) -> Expected {
    Expected::Exactly("refused: EROFS".to_owned())
}

macro_rules! table {
    ($($name:literal $applies:ident $hint:ident $tried:literal => $expected:expr;)*) => {
        &[$(Restriction { name: $name, tried: $tried, applies: $applies, expected: $expected, hint: Hint::$hint }),*]
    };
}

/// In the order of [`safeurl_protocol::probe::RESTRICTIONS`].
pub(super) const TABLE: &[Restriction] = table! {
    "user" always Engine "read its user and group ids" => |_| Expected::Exactly(ITS_OWN.to_owned());
    "groups" always Engine "read its groups" => |_| Expected::Among(&[ITS_OWN]);
    "capabilities" always Engine "read its five sets of capabilities" => none;
    "no-new-privileges" always Engine "read whether programs with set-id bits gain rights" => |_| Expected::Exactly("1".to_owned());
    "seccomp" always Engine "read whether its system calls are filtered (2: by a list)" => |_| Expected::Exactly("2".to_owned());
    "seccomp-profile" always Engine "ask the engine whether the list is ours" => yes;
    "as-asked" always Engine "ask the engine which of the protections asked for it left out" => none;
    "masked-paths" always Engine "ask the engine whether it hides parts of /proc and /sys" => yes;
    "user-ids" without_network Door "ask the engine whether the host sees containers under other user ids" => none;
    "inet-sockets" without_network Engine "make a socket for IPv4" => refused;
    "inet6-sockets" without_network Engine "make a socket for IPv6" => refused;
    "netlink-sockets" always Engine "make a socket to the kernel's network settings" => refused;
    "packet-sockets" always Engine "make a socket for raw packets" => refused;
    "vsock-sockets" always Engine "make a socket to the hypervisor" => refused;
    "alg-sockets" always Engine "make a socket to the kernel's ciphers" => refused;
    "socket-pairs" always Engine "make a pair of sockets" => refused;
    "network-cards" without_network Engine "list its network cards" => |_| Expected::Among(&["lo"]);
    "routes" without_network Engine "list its routes" => none;
    "engine-socket" always Engine "look for sockets of container engines" => none;
    "door" without_network Door "ask the gateway for a connection before there is a job" => |_| Expected::Exactly("closed without an answer".to_owned());
    "root-file-system" always Engine "make a file in /" => read_only;
    "door-files" without_network Engine "make a file beside the gateway's socket" => read_only;
    "scratch-flags" always Engine "read how /tmp is mounted" => |_| Expected::Exactly("nodev, noexec, nosuid".to_owned());
    "scratch-bytes" always Engine "write to /tmp and ask how large it is" => |_| Expected::AtMost(SCRATCH_BYTES);
    "scratch-files" always Engine "ask how many files /tmp can hold" => |_| Expected::AtMost(SCRATCH_FILES);
    "mounts" always Engine "list what else is mounted" => |asked| match asked.network {
        Network::None => Expected::Among(&["/run/safeurl ro", "/etc/hosts ro", "/etc/hostname ro", "/etc/resolv.conf ro"]),
        Network::Bridge => Expected::Among(&["/etc/hosts ro", "/etc/hostname ro", "/etc/resolv.conf ro"]),
    };
    "devices" always Engine "list its devices" => |_| Expected::Among(DEVICES);
    "masked-proc" always Engine "read what /proc and /sys tell of the host's hardware and keys" => none;
    "kernel-settings" always Engine "open kernel settings and the magic key for writing" => refused;
    "processes" always Engine "start another process" => refused;
    "threads" always Kernel "start threads until there are no more" => |asked| Expected::AtMost(asked.pids);
    "descriptors" always Engine "open files until there are no more" => |_| Expected::AtMost(NOFILE);
    "core-files" always Engine "read the limit of core files" => zero;
    "locked-memory" always Engine "read the limit of memory that is never swapped out" => zero;
    "message-queues" always Engine "read the limit of message queues" => zero;
    "processor-time" always Engine "read the limit of processor time, in seconds" => |asked| Expected::AtMost(asked.cpu_seconds);
    "memory" always Kernel "read the limit of memory, in bytes" => |asked| Expected::AtMost(asked.memory_bytes);
    "swap" always Kernel "read the limit of swap, in bytes" => zero;
    "processor-share" always Kernel "read the share of processors, in thousandths of one" => |asked| Expected::AtMost(asked.millicpus);
    "out-of-memory-first" always Engine "read how early the kernel kills it when memory is short" => |_| Expected::AtLeast(500);
    "mounting" always Engine "mount a file system" => refused;
    "new-namespaces" always Engine "make a user namespace" => refused;
    "joining-namespaces" always Engine "join a namespace" => refused;
    "changing-root" always Engine "change its root" => refused;
    "signals" always Engine "send a signal" => refused;
    "process-handles" always Engine "get a handle of a process" => refused;
    "memory-files" always Engine "make a file in memory, to run a program from" => refused;
    "kernel-modules" always Engine "load a kernel module" => refused;
    "host-name" always Engine "read the host's name" => |_| Expected::Exactly("fetcher".to_owned());
    "process-ids" always Engine "list processes" => |_| Expected::Exactly("1".to_owned());
    "shared-memory" always Engine "look for shared memory" => none;
    "control-groups" always Engine "read where it is among the control groups" => |_| Expected::Exactly("/".to_owned());
    "environment" always Image "list the names of its environment" => |_| Expected::Among(&["HOME", "HOSTNAME", "PATH"]);
};
