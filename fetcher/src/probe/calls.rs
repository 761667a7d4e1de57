//! System calls that a fetcher has no use for.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::mount::MountFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket, socketpair};
use rustix::process::{PidfdFlags, getpid};
use rustix::thread::UnshareFlags;
use safeurl_protocol::SOCKET_PATH;
use safeurl_protocol::probe::Seen;

use super::{name, seen, tried};

/// Families of sockets besides that of the door, with a type that each has. One of VSOCK is made and never
/// connected. 38 is AF_ALG.
const FAMILIES: [(&str, AddressFamily, SocketType); 6] = [
    ("inet-sockets", AddressFamily::INET, SocketType::STREAM),
    ("inet6-sockets", AddressFamily::INET6, SocketType::STREAM),
    ("netlink-sockets", AddressFamily::NETLINK, SocketType::RAW),
    ("packet-sockets", AddressFamily::PACKET, SocketType::DGRAM),
    ("vsock-sockets", AddressFamily::VSOCK, SocketType::STREAM),
    ("alg-sockets", AddressFamily::from_raw(38), SocketType::SEQPACKET),
];

/// How often it is looked whether the last thread is gone, and the time between two looks.
const LAST_THREADS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// How long the door may take to close.
const DOOR: Duration = Duration::from_secs(2);

/// What is tried here, in its order.
#[cfg(test)]
pub(super) const NAMES: [&str; 16] = [
    "inet-sockets",
    "inet6-sockets",
    "netlink-sockets",
    "packet-sockets",
    "vsock-sockets",
    "alg-sockets",
    "socket-pairs",
    "signals",
    "process-handles",
    "memory-files",
    "kernel-modules",
    "door",
    "joining-namespaces",
    "mounting",
    "changing-root",
    "new-namespaces",
];

/// Everything that is called.
pub(super) fn look() -> Vec<Seen> {
    let sockets = FAMILIES.map(|(name, family, kind)| seen(name, tried(socket(family, kind, None))));
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None);
    let others = [
        seen("socket-pairs", tried(pair)),
        seen("signals", tried(rustix::process::test_kill_process(getpid()))),
        seen("process-handles", tried(rustix::process::pidfd_open(getpid(), PidfdFlags::empty()))),
        seen("memory-files", tried(rustix::fs::memfd_create("probe", MemfdFlags::empty()))),
        // No module at all: who may load one is told that it is none.
        seen("kernel-modules", modules()),
        seen("door", door()),
        seen("joining-namespaces", tried(join())),
        seen("mounting", tried(rustix::mount::mount("none", "/tmp", "tmpfs", MountFlags::empty(), None))),
        seen("changing-root", tried(rustix::process::chroot("/"))),
        seen("new-namespaces", if alone() { tried(unshare()) } else { "not tried".to_owned() }),
    ];
    sockets.into_iter().chain(others).collect()
}

fn modules() -> String {
    match rustix::system::init_module(b"", c"") {
        Ok(()) => "done".to_owned(),
        // The kernel looked at it.
        Err(error) if error.raw_os_error() == 8 => "done".to_owned(),
        Err(error) => tried::<(), _>(Err(error)),
    }
}

fn join() -> std::io::Result<()> {
    let own = File::open("/proc/self/ns/uts")?;
    Ok(rustix::thread::move_into_link_name_space(own.as_fd(), None)?)
}

/// Whether this is the only thread, which a try at a user namespace wants to be told from one that may not: whoever has
/// another one is refused whatever its rights. Threads that are over are there until the kernel has let go of them.
fn alone() -> bool {
    for _ in 0..LAST_THREADS {
        if fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1) {
            return true;
        }
        thread::sleep(PAUSE);
    }
    false
}

#[expect(deprecated, reason = "unsafe where it unshares open files, and a user namespace is something else")]
fn unshare() -> rustix::io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWUSER)
}

/// What the gateway does with somebody who has no job.
fn door() -> String {
    let (says, said) = mpsc::channel();
    let knocks = move || {
        // Nobody waits for it any more when it took too long.
        let _ = says.send(knock());
    };
    match thread::Builder::new().spawn(knocks) {
        Ok(_) => said.recv_timeout(DOOR).unwrap_or_else(|_| "open, and silent".to_owned()),
        Err(error) => format!("not tried: {}", name(&error)),
    }
}

fn knock() -> String {
    let mut socket = match UnixStream::connect(SOCKET_PATH) {
        Ok(socket) => socket,
        Err(error) => return tried::<(), _>(Err(error)),
    };
    // It may be closed by now, which reading tells.
    let _ = socket.write_all(b"CONNECT probe.invalid:80 HTTP/1.1\r\nHost: probe.invalid:80\r\n\r\n");
    match socket.read(&mut [0; 64]) {
        Ok(0) => "closed without an answer".to_owned(),
        Ok(_) => "answered".to_owned(),
        Err(_) => "closed without an answer".to_owned(),
    }
}
