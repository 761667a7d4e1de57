//! What a probe container is asked and what it answers.
//!
//! A probe is the fetcher, started with `--probe` in place of `--serve`, in a container that is otherwise one for a
//! job. It tries what a fetcher that was taken over would try and says what happened; it judges nothing. The
//! conversation is that of a job: a ready line, one line in, one framed answer out.

use serde::{Deserialize, Serialize};

/// The name of every restriction that a container is under, in the order in which they are shown. Settings and
/// attestations use these names, so one that was released keeps its meaning.
pub const RESTRICTIONS: &[&str] = &[
    "user",
    "groups",
    "capabilities",
    "no-new-privileges",
    "seccomp",
    "seccomp-profile",
    "as-asked",
    "masked-paths",
    "user-ids",
    "inet-sockets",
    "inet6-sockets",
    "netlink-sockets",
    "packet-sockets",
    "vsock-sockets",
    "alg-sockets",
    "socket-pairs",
    "network-cards",
    "routes",
    "engine-socket",
    "door",
    "root-file-system",
    "door-files",
    "scratch-flags",
    "scratch-bytes",
    "scratch-files",
    "mounts",
    "devices",
    "masked-proc",
    "kernel-settings",
    "processes",
    "threads",
    "descriptors",
    "core-files",
    "locked-memory",
    "message-queues",
    "processor-time",
    "memory",
    "swap",
    "processor-share",
    "out-of-memory-first",
    "mounting",
    "new-namespaces",
    "joining-namespaces",
    "changing-root",
    "signals",
    "process-handles",
    "memory-files",
    "kernel-modules",
    "host-name",
    "process-ids",
    "shared-memory",
    "control-groups",
    "environment",
];

/// What a probe is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeOrder {
    /// Names the answer's frame.
    pub attempt: String,
    /// Try for so many threads at most, and for so many descriptors: one more than there may be.
    pub threads: u64,
    /// The same for open files.
    pub descriptors: u64,
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Always 1.
    pub probe: u32,
    /// One entry for each thing tried.
    pub seen: Vec<Seen>,
}

/// What came of one thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// One of [`RESTRICTIONS`].
    pub name: String,
    /// `done`, `refused: ` with the error's name, a number, or a list with commas.
    pub saw: String,
}
