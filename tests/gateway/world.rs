//! A run directory of one test's own, the real gateway process on it, and both sides of its doors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Uid;
use safeurl::gateway::{Budgets, Door, Gateway, GatewayConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

/// Enough of everything.
pub(crate) const PLENTY: Budgets = Budgets {
    deadline_ms: 120_000,
    max_connections: 100,
    max_concurrent: 10,
    max_hosts: 10,
    bytes_in: 10_000_000,
    bytes_in_at_once: u64::MAX,
    bytes_in_rate: 1,
    bytes_out: 10_000_000,
};

/// A run directory that is removed at the end of the test.
pub(crate) struct RunDir(pub(crate) PathBuf);

impl RunDir {
    pub(crate) fn new() -> Self {
        // Short: a socket's path has at most 107 bytes.
        Self(
            std::env::temp_dir()
                .join(format!("safeurl-gw-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])),
        )
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The settings of most tests: 127.0.0.1 may be dialled, nothing else on loopback.
pub(crate) fn config(run_dir: &RunDir) -> GatewayConfig {
    GatewayConfig {
        program: env!("CARGO_BIN_EXE_safeurl").into(),
        run_dir: run_dir.0.clone(),
        user: None,
        allow_networks: vec!["127.0.0.1".parse().expect("a network")],
        nat64_recheck: false,
        // Nobody is asked unless a test says so.
        resolvers: vec![(Ipv4Addr::LOCALHOST, 1).into()],
        hosts: BTreeMap::new(),
        dns_timeout: Duration::from_secs(20),
        connect_timeout: Duration::from_secs(20),
    }
}

pub(crate) async fn gateway(run_dir: &RunDir) -> Gateway {
    Gateway::spawn(config(run_dir)).await.expect("a gateway")
}

pub(crate) fn own_uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The user of a container that is not this process's.
pub(crate) const CONTAINER: u32 = 60_600;

/// A door for this very process, bound with these budgets.
pub(crate) async fn bound(gateway: &Gateway, budgets: Budgets) -> Door {
    bound_for(gateway, own_uid(), budgets).await
}

/// A door for a container of this user, bound with these budgets.
pub(crate) async fn bound_for(gateway: &Gateway, uid: u32, budgets: Budgets) -> Door {
    let door = gateway.open(gateway.new_door(), uid).await.expect("a door");
    door.bind("job/1", budgets).await.expect("bound");
    door
}

/// What the gateway answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) stream: UnixStream,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Status and the fields that say why, with the ledger's number.
    pub(crate) fn summary(&self) -> (u16, Option<&str>, Option<&str>) {
        let why = self.field("Safeurl-Rule").or(self.field("Safeurl-Error"));
        (self.status, why, self.field("Safeurl-Connection"))
    }

    /// The rest, as far as it comes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = self.stream.read(&mut chunk).await {
            rest.extend_from_slice(&chunk[..read]);
        }
        rest
    }
}

pub(crate) async fn knock(door: &Door) -> io::Result<UnixStream> {
    UnixStream::connect(door.mount_dir.join("gw.sock")).await
}

/// Connects as a process of another user does that has the folder mounted. Needs root.
pub(crate) fn knock_as(uid: u32, mount_dir: &Path) -> io::Result<UnixStream> {
    let folder = File::open(mount_dir)?;
    let connecting = std::thread::spawn(move || {
        rustix::thread::set_thread_uid(Uid::from_raw(uid)).expect("only root may become a container's user");
        // Not by its path: the run directory above it is closed to this user.
        StdUnixStream::connect(format!("/proc/thread-self/fd/{}/gw.sock", folder.as_raw_fd()))
    });
    let stream = connecting.join().expect("no panic")?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Sends a head as it is. `None` when the connection is closed without an answer.
pub(crate) async fn send(door: &Door, head: &str) -> Option<Reply> {
    send_over(knock(door).await.expect("a socket"), head).await
}

/// The same over a connection that is there.
pub(crate) async fn send_over(mut stream: UnixStream, head: &str) -> Option<Reply> {
    // A gateway that closes at once may do so before this is written.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => return None,
        }
    }
    let head = String::from_utf8(answer).expect("an ASCII head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    Some(Reply { status, head, stream })
}

pub(crate) async fn connect(door: &Door, target: &str) -> Reply {
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    send(door, &head).await.expect("an answer")
}

/// Asks for a connection as a process of the container does.
pub(crate) async fn ask(mount_dir: &Path, target: &str) -> Option<Reply> {
    let stream = knock_as(CONTAINER, mount_dir).expect("a socket");
    send_over(stream, &format!("CONNECT {target} HTTP/1.1\r\n\r\n")).await
}

/// What is in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("listed");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// A server on 127.0.0.1 that gives back what it gets, as long as this value lives.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
        let address = listener.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.expect("a client");
                clients.spawn(async move {
                    let (mut from, mut to) = client.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Self { address, _tasks: tasks }
    }
}

/// A listener that proves whether anybody came.
pub(crate) struct Trap(StdListener);

impl Trap {
    pub(crate) fn at(address: [u8; 4]) -> Self {
        let listener = StdListener::bind((Ipv4Addr::from(address), 0)).expect("a listener");
        listener.set_nonblocking(true).expect("not blocking");
        Self(listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// The kernel completes a connection before its dialler hears of it, so after an answer this is certain.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}
