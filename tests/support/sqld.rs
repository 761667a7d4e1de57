//! A real `sqld` of a test's own, on an address of its own on loopback. Goes with the value.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running server, or one that was killed and may be started again on the same files and address.
pub(crate) struct Sqld {
    folder: PathBuf,
    address: SocketAddr,
    more: Vec<String>,
    process: Option<Child>,
}

impl Sqld {
    /// Starts one on the files of this folder, and waits until it listens.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with these arguments more.
    pub(crate) fn start_with(folder: &Path, more: &[&str]) -> Self {
        let more = more.iter().map(|text| (*text).to_owned()).collect();
        let mut server = Self { folder: folder.to_owned(), address: own_address(), more, process: None };
        server.go_on();
        server
    }

    /// The file that it keeps its database in, for those who want to look behind its back.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join("dbs/default/data")
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it lived");
            process.wait().expect("it ends");
        }
    }

    /// Starts it again after a kill.
    pub(crate) fn go_on(&mut self) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/sqld");
        assert!(program.exists(), "there is no {}; hint: tests/support/ensure-sqld.sh", program.display());
        // A test that is killed leaves no server behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg("--no-welcome");
        command.arg("--db-path").arg(&self.folder).arg("--http-listen-addr").arg(self.address.to_string());
        command.args(&self.more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("setpriv of util-linux");
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = process.try_wait().expect("a child") {
                panic!("sqld ended with {status}");
            }
            assert!(began.elapsed() < Duration::from_secs(60), "sqld does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.process = Some(process);
    }

    /// Stops it without closing anything: it takes connections and answers none.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().expect("it runs").id();
        let pid = Pid::from_raw(i32::try_from(id).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("it lives");
    }
}

impl Drop for Sqld {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// An address that no other process uses: the whole of 127.0.0.0/8 is loopback, and process ids are unique.
fn own_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Not the network's own names at the ends.
    let host = Ipv4Addr::new(127, 64 + high, middle, low);
    SocketAddr::from((host, NEXT.fetch_add(1, Ordering::Relaxed)))
}
