//! A supervisor in a process of its own, with a terminal of its own, that can be killed.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use safeurl::gateway::{Budgets, DoorFiles};

use crate::world::{PLENTY, RunDir, bound_for, gateway, own_uid};

/// Set in the process that plays the supervisor: the container's uid, the deadline, the run directory.
const ROLE: &str = "SAFEURL_TEST_SUPERVISOR";

pub(crate) fn process(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process id")
}

/// Waits for the end of a process that is not our child.
pub(crate) fn wait_for_end(pidfd: &impl AsFd) {
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut ended, Some(&limit)), Ok(1), "the process has not ended");
}

/// What the process that plays the supervisor is to do.
pub(crate) struct Role {
    uid: u32,
    deadline_ms: u64,
    run_dir: PathBuf,
}

/// `None` in the test itself.
pub(crate) fn role() -> Option<Role> {
    let role = std::env::var(ROLE).ok()?;
    let mut words = role.splitn(3, ' ');
    let mut word = || words.next().expect("three words");
    Some(Role {
        uid: word().parse().expect("a number"),
        deadline_ms: word().parse().expect("a number"),
        run_dir: word().into(),
    })
}

/// Opens a bound and an unbound door, says so, and waits for its death.
pub(crate) async fn supervise(role: Role) {
    let run_dir = std::mem::ManuallyDrop::new(RunDir(role.run_dir));
    let gateway = gateway(&run_dir).await;
    let door = bound_for(&gateway, role.uid, Budgets { deadline_ms: role.deadline_ms, ..PLENTY }).await;
    let unbound = gateway.open(gateway.new_door(), own_uid()).await.expect("a door");
    println!("doors {} {} {}", door.id, unbound.id, gateway.pid().expect("a process"));
    std::future::pending::<()>().await;
}

/// The process, and what it told.
pub(crate) struct Supervisor {
    process: Child,
    pub(crate) bound: DoorFiles,
    pub(crate) unbound: DoorFiles,
    /// Handle and id of its gateway.
    pub(crate) gateway: OwnedFd,
    pub(crate) gateway_pid: Pid,
    _terminal: OwnedFd,
}

impl Supervisor {
    /// Runs the named test as the supervisor of a container with this uid.
    pub(crate) fn start(test: &str, run_dir: &RunDir, uid: u32, deadline: Duration) -> Self {
        let terminal =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&terminal).expect("granted");
        unlockpt(&terminal).expect("unlocked");
        let name = ptsname(&terminal, Vec::new()).expect("a name");
        let screen = std::fs::File::open(name.to_str().expect("text")).expect("the terminal's other side");
        let mut process = Command::new("setsid")
            .arg("--ctty")
            .arg(std::env::current_exe().expect("this test"))
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, format!("{uid} {} {}", deadline.as_millis(), run_dir.0.display()))
            .stdin(screen)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let told = lines
            .map(|line| line.expect("text"))
            .find_map(|line| line.split_once("doors ").map(|(_, told)| told.to_owned()))
            .expect("the supervisor says what it opened");
        let told: Vec<&str> = told.split(' ').collect();
        let [bound, unbound, pid] = told.as_slice() else { panic!("three words: {told:?}") };
        let files = |id: &&str| DoorFiles::of(&Path::new(&run_dir.0).join(id)).expect("a door");
        let gateway_pid = self::process(pid.parse().expect("a number"));
        Self {
            process,
            bound: files(bound),
            unbound: files(unbound),
            gateway: rustix::process::pidfd_open(gateway_pid, PidfdFlags::empty()).expect("the gateway runs"),
            gateway_pid,
            _terminal: terminal,
        }
    }

    /// Stops it as a debugger or an overloaded machine does.
    pub(crate) fn stop(&self) {
        rustix::process::kill_process(process(self.process.id()), Signal::STOP).expect("stopped");
    }

    /// Kills it for good. Nothing of it may be held open by its gateway.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("gone");
        let mut messages = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut messages).expect("the gateway does not keep the pipe open");
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
