//! What is left to somebody who takes the gateway's process over.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use safeurl::gateway::{Door, Gateway, GatewayConfig, GatewayError};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::world::{
    CONTAINER, Echo, PLENTY, RunDir, ask, bound, bound_for, config, connect, gateway, knock_as, names,
    send_over,
};

/// The user of a gateway that root starts.
const OWN: u32 = 60_599;

const TRESPASSER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/puppet/trespasser.rs");

/// What the kernel answers to what it does not permit: `EPERM`.
pub(crate) const REFUSED: &str = "1";

/// What serving takes.
pub(crate) const SERVES: [&str; 4] = ["getpid", "socket tcp", "socket family 2", "socket family 10"];

/// The program that makes others take system calls; compiled when it is not there. Tests run in processes of their
/// own, so a lock on a file makes them take turns.
fn trespasser() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let turn = std::fs::File::create(folder.join("trespasser.lock")).expect("a folder of ours");
    turn.lock().expect("a file system with locks");
    let source = Sha256::digest(std::fs::read(TRESPASSER).expect("its source"));
    let program = folder
        .join(format!("trespasser-{:02x}{:02x}{:02x}{:02x}", source[0], source[1], source[2], source[3]));
    if !program.exists() {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut compile = Command::new(rustc);
        compile.args(["--edition=2024", "-Copt-level=1", TRESPASSER, "-o"]).arg(&program);
        assert!(compile.status().expect("rustc runs").success(), "the trespasser does not compile");
    }
    program
}

/// A folder with one file, both open to everybody: what cannot be done in there is not for want of a right to it.
pub(crate) struct Open(pub(crate) RunDir);

impl Open {
    pub(crate) fn new() -> Self {
        let open = Self(RunDir::new());
        std::fs::create_dir(&open.0.0).expect("made");
        std::fs::write(open.0.0.join("file"), "text").expect("made");
        for (path, mode) in [(open.0.0.clone(), 0o777), (open.0.0.join("file"), 0o666)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
        }
        open
    }

    pub(crate) fn text(&self) -> String {
        std::fs::read_to_string(self.0.0.join("file")).expect("it is there")
    }
}

/// Each act by its name, and what the kernel said to it.
pub(crate) fn trespass(pid: u32, open: &Open) -> BTreeMap<String, String> {
    let mut command = Command::new(trespasser());
    let output = command.arg("attach").arg(pid.to_string()).arg(&open.0.0).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("text");
    said.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(act, answer)| (act.into(), answer.into()))
        .collect()
}

/// A process of this user that nothing was taken from.
pub(crate) struct Free(pub(crate) Child);

impl Free {
    fn start(uid: u32) -> Self {
        let child = Command::new("sleep").arg("600").uid(uid).gid(uid).spawn().expect("sleep runs");
        // It sleeps in a system call (nanosleep or clock_nanosleep), once it does.
        let call = format!("/proc/{}/syscall", child.id());
        let sleeps = |call: String| call.starts_with("35 ") || call.starts_with("230 ");
        while !std::fs::read_to_string(&call).is_ok_and(sleeps) {
            std::thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn a_gateway_that_was_taken_over_can_do_nothing_but_serve() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let door = bound(&gateway, PLENTY).await;
    assert_eq!(connect(&door, &echo.address.to_string()).await.status, 200);
    let open = Open::new();
    let tried = trespass(gateway.pid().expect("a process"), &open);
    for (act, answer) in &tried {
        assert_eq!(answer, if SERVES.contains(&act.as_str()) { "ok" } else { REFUSED }, "{act}");
    }
    assert_eq!((names(&open.0.0), open.text()), (vec!["file".to_owned()], "text".to_owned()));
    // It did not notice, and serves.
    assert_eq!(connect(&door, &echo.address.to_string()).await.status, 200);
    assert!(door.close().await.expect("closed").complete);
    door.discard().expect("removed");

    // The same acts of the same user, and of root, without the lock-down: none is refused to both of them.
    let as_user = Open::new();
    let user = trespass(Free::start(OWN).0.id(), &as_user);
    let root = trespass(Free::start(0).0.id(), &Open::new());
    assert_eq!(as_user.text(), "", "a file was opened, and cut to nothing");
    assert!(tried.len() > 100 && tried.keys().eq(user.keys()) && tried.keys().eq(root.keys()));
    for act in tried.keys() {
        assert!(
            user[act] != REFUSED || root[act] != REFUSED,
            "{act} proves nothing: {REFUSED} without it as well"
        );
    }
    let done =
        ["socket family 1", "socketpair unix", "open to write", "kill", "fork", "unshare", "memfd_create"];
    assert_eq!(done.map(|act| user[act].as_str()), ["ok"; 7], "{user:?}");
}

/// A line of the process's status, without its key.
pub(crate) fn status(pid: u32, key: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.expect("a line of that name").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_process_is_a_user_of_its_own_without_any_right_and_nobody_of_it_looks_inside() {
    let run_dir = RunDir::new();
    for (user, uid, gid) in
        [(None, OWN, OWN), (Some("59998:59997"), 59_998, 59_997), (Some("59998"), 59_998, 59_998)]
    {
        let config = GatewayConfig { user: user.map(str::to_owned), ..config(&run_dir) };
        let gateway = Gateway::spawn(config).await.expect("a gateway");
        let pid = gateway.pid().expect("a process");
        assert_eq!(status(pid, "Uid"), [uid; 4].map(|id| id.to_string()).join(" "));
        assert_eq!(status(pid, "Gid"), [gid; 4].map(|id| id.to_string()).join(" "));
        assert_eq!((status(pid, "Groups").as_str(), status(pid, "Threads").as_str()), ("", "1"));
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status(pid, set), "0000000000000000", "{set}");
        }
        assert_eq!((status(pid, "NoNewPrivs").as_str(), status(pid, "Seccomp").as_str()), ("1", "2"));
        // Of a process that may be dumped, and so traced by its user, these are that user's.
        let inside = std::fs::metadata(format!("/proc/{pid}/environ")).expect("there");
        assert_eq!(inside.uid(), 0);
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_user_that_cannot_be_taken_is_refused_before_anything_is_started() {
    let run_dir = RunDir::new();
    for user in ["root", "0:1", "60600", "65533:7", "4294967295", "no-such-user-here"] {
        let config = GatewayConfig { user: Some(user.to_owned()), ..config(&run_dir) };
        let error = Gateway::spawn(config).await.expect_err("refused");
        let GatewayError::User { user: told, reason } = &error else { panic!("{error}") };
        assert!(told == user && !reason.is_empty() && !error.may_pass(), "{error}");
    }
    assert!(!run_dir.0.exists(), "not even its folder is made");
}

#[tokio::test]
async fn the_gateway_s_own_user_closes_no_door_and_is_not_served() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let gateway = gateway(&run_dir).await;
    let door = bound_for(&gateway, CONTAINER, PLENTY).await;
    let head = format!("CONNECT {} HTTP/1.1\r\n\r\n", echo.address);
    let visit = knock_as(OWN, &door.mount_dir).expect("a socket");
    assert!(send_over(visit, &head).await.is_none(), "a stranger");
    assert_eq!(ask(&door.mount_dir, &echo.address.to_string()).await.map(|reply| reply.status), Some(200));
    assert_eq!(door.close().await.expect("closed").entries.len(), 1);
    door.discard().expect("removed");
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn without_a_filter_of_system_calls_it_refuses_to_run_and_says_why() {
    let (run_dir, folder) = (RunDir::new(), Open::new());
    let program = folder.0.0.join("program");
    std::fs::copy(trespasser(), &program).expect("copied");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_safeurl"), folder.0.0.join("real")).expect("linked");
    let spawned = Gateway::spawn(GatewayConfig { program, ..config(&run_dir) }).await;
    let error = spawned.expect_err("the kernel has none");
    let GatewayError::Refused { command: "configure", reason } = &error else { panic!("{error}") };
    assert!(reason.contains("cannot give up system calls"), "{reason}");
    assert!(!error.may_pass(), "another try would end the same");
}

#[tokio::test]
async fn a_process_that_is_locked_down_asks_name_servers_over_udp_and_tcp() {
    let (run_dir, echo) = (RunDir::new(), Echo::start().await);
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")).await {
            break (udp, tcp);
        }
    };
    let mut config = config(&run_dir);
    config.resolvers = vec![udp.local_addr().expect("bound")];
    let door: Door = bound(&Gateway::spawn(config).await.expect("a gateway"), PLENTY).await;
    let over_udp = async {
        let mut query = [0; 2048];
        loop {
            let (length, client) = udp.recv_from(&mut query).await.expect("a query");
            // "long" is cut short, so that it is asked for again.
            let cut = query[13..].starts_with(b"long");
            udp.send_to(&answered(&query[..length], cut), client).await.expect("answered");
        }
    };
    let over_tcp = async {
        loop {
            let (mut client, _) = tcp.accept().await.expect("a client");
            let mut query = vec![0; client.read_u16().await.expect("a length").into()];
            client.read_exact(&mut query).await.expect("a query");
            let answer = answered(&query, false);
            client.write_u16(answer.len().try_into().expect("short")).await.expect("answered");
            client.write_all(&answer).await.expect("answered");
        }
    };
    let asking = async {
        for name in ["brief.example", "long.example"] {
            let mut reply = connect(&door, &format!("{name}:{}", echo.address.port())).await;
            assert_eq!(reply.status, 200, "{name}");
            reply.stream.write_all(b"hello").await.expect("sent");
            let mut back = [0; 5];
            reply.stream.read_exact(&mut back).await.expect("received");
            assert_eq!(&back, b"hello", "{name}");
        }
    };
    tokio::select! {
        () = over_udp => {}
        () = over_tcp => {}
        () = asking => {}
    }
    assert_eq!(door.close().await.expect("closed").entries.len(), 2);
    door.discard().expect("removed");
}

/// The answer to a query: 127.0.0.1, no IPv6 address, or that it does not fit (RFC 1035 section 4.1).
fn answered(query: &[u8], cut: bool) -> Vec<u8> {
    let name = 12 + query[12..].iter().position(|byte| *byte == 0).expect("a name ends") + 1;
    let mut answer = query[..name + 4].to_vec();
    (answer[2], answer[3]) = (if cut { 0x83 } else { 0x81 }, 0x80);
    let found = !cut && query[name + 1] == 1;
    answer[6..12].copy_from_slice(&[0, u8::from(found), 0, 0, 0, 0]);
    if found {
        // A pointer to the name, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    answer
}
