//! A disk that is full, and a gateway that does not get to run.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;
use safeurl::gateway::{Gateway, GatewayConfig, GatewayError, leftovers};

use crate::supervisor::process;
use crate::world::{CONTAINER, PLENTY, RunDir, Trap, ask, bound_for, config, gateway, names};

/// A run directory on a small disk of its own.
struct SmallDisk(RunDir);

impl SmallDisk {
    /// `options` as `tmpfs(5)` has them. Needs root.
    fn new(options: &str) -> Self {
        let run_dir = RunDir::new();
        std::fs::create_dir(&run_dir.0).expect("made");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "safeurl-test"]).arg(&run_dir.0);
        assert!(mount.status().expect("run").success(), "only root can mount a disk");
        Self(run_dir)
    }

    /// Takes all the room there is, until the file is removed.
    fn fill(&self) -> Filler {
        let path = self.0.0.join("filler");
        let mut file = File::create(&path).expect("made");
        let full = loop {
            if let Err(error) = file.write_all(&[0; 1024]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        Filler(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0.0).status();
    }
}

struct Filler(std::path::PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("removed");
    }
}

#[tokio::test]
async fn what_cannot_be_written_down_does_not_happen_and_the_ledger_never_ends() {
    let disk = SmallDisk::new("size=16k");
    let (denied, allowed) = (Trap::at([127, 0, 0, 2]), Trap::at([127, 0, 0, 1]));
    let gateway = gateway(&disk.0).await;
    let door = bound_for(&gateway, CONTAINER, PLENTY).await;
    let filler = disk.fill();

    // The page that holds the ledger's first line has room for some more.
    let mut answered = 0;
    while let Some(reply) = ask(&door.mount_dir, &format!("127.0.0.2:{}", denied.port())).await {
        answered += 1;
        assert_eq!(reply.status, 403);
        assert!(answered < 100, "4 KiB do not hold a hundred lines");
    }
    assert!(answered > 0);
    let target = format!("127.0.0.1:{}", allowed.port());
    assert!(ask(&door.mount_dir, &target).await.is_none(), "closed without an answer");
    drop(filler);
    assert!(ask(&door.mount_dir, &target).await.is_none(), "room does not mend half a line");
    assert!(allowed.is_untouched(), "nor was it dialled");

    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), false), "a lost attempt");
    assert_eq!(ledger.entries.len(), answered);
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_door_is_not_bound_on_a_full_disk_and_the_next_one_is_when_there_is_room() {
    let disk = SmallDisk::new("size=16k");
    let gateway = gateway(&disk.0).await;
    let filler = disk.fill();
    let door = gateway.open(gateway.new_door(), CONTAINER).await.expect("empty files need no room");
    let refused = door.bind("job/1", PLENTY).await.expect_err("no room for the first line");
    let GatewayError::Refused { command: "bind", reason } = &refused else { panic!("{refused}") };
    assert_eq!(reason, "the ledger cannot be written: no storage space");
    drop(door);
    drop(filler);
    assert!(names(&disk.0.0).is_empty(), "nothing was bound, so nothing is kept");
    let door = bound_for(&gateway, CONTAINER, PLENTY).await;
    assert!(door.close().await.expect("closed").complete);
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_door_that_cannot_be_made_says_which_file_and_leaves_none() {
    const FILES: usize = 8;
    // The folder itself is one more.
    let disk = SmallDisk::new(&format!("nr_inodes={}", FILES + 1));
    let gateway = gateway(&disk.0).await;
    let others: Vec<String> = (0..FILES).map(|n| format!("other-{n}")).collect();
    for other in &others {
        File::create(disk.0.0.join(other)).expect("made");
    }
    // A ledger, a folder and a socket: there is room for none of them, then for one, then for two.
    for free in 0..3 {
        let files = gateway.new_door();
        let missing = if free == 0 { &files.ledger_path } else { &files.mount_dir };
        let error = gateway.open(files.clone(), CONTAINER).await.expect_err("no room");
        let GatewayError::Files { path, source } = &error else { panic!("{error}") };
        assert_eq!((path, source.kind()), (missing, io::ErrorKind::StorageFull), "{free} free");
        assert_eq!(names(&disk.0.0), others[free..], "{free} free");
        std::fs::remove_file(disk.0.0.join(&others[free])).expect("removed");
    }
    let door = bound_for(&gateway, CONTAINER, PLENTY).await;
    assert!(door.close().await.expect("closed").complete);
    door.discard().expect("removed");
}

#[tokio::test]
async fn a_gateway_that_talks_nonsense_is_given_up_and_killed() {
    let run_dir = RunDir::new();
    std::fs::create_dir(&run_dir.0).expect("made");
    let (program, pid) = (run_dir.0.join("program"), run_dir.0.join("pid"));
    let script = format!("#!/bin/sh\necho $$ >{}\nprintf nonsense >&0\nexec /bin/sleep 600\n", pid.display());
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let spawned = Gateway::spawn(GatewayConfig { program, ..config(&run_dir) }).await;
    assert!(matches!(spawned, Err(GatewayError::Died)), "{spawned:?}");
    let pid: u32 = std::fs::read_to_string(pid).expect("it ran").trim().parse().expect("a number");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it would sleep on");
}

#[tokio::test]
async fn orders_to_a_gateway_that_is_stopped_fail_and_their_late_answers_change_nothing() {
    let run_dir = RunDir::new();
    let gateway = gateway(&run_dir).await;
    let door = gateway.open(gateway.new_door(), CONTAINER).await.expect("a door");
    let closing = gateway.open(gateway.new_door(), CONTAINER).await.expect("a door");
    let pid = process(gateway.pid().expect("a process"));
    rustix::process::kill_process(pid, Signal::STOP).expect("stopped");

    // Nobody waits ten seconds four times.
    tokio::time::pause();
    let errors = [
        door.bind("job/1", PLENTY).await.expect_err("silence"),
        door.bind("job/2", PLENTY).await.expect_err("silence"),
        gateway.open(gateway.new_door(), CONTAINER).await.expect_err("silence"),
        closing.close().await.expect_err("silence"),
    ];
    tokio::time::resume();
    for (error, order) in errors.iter().zip(["bind", "bind", "open", "close"]) {
        assert!(matches!(error, GatewayError::NoAnswer { command, .. } if *command == order), "{error}");
    }
    assert!(gateway.is_alive());

    rustix::process::kill_process(pid, Signal::CONT).expect("continued");
    let again = door.bind("job/3", PLENTY).await.expect_err("the first order was late, not lost");
    assert!(matches!(&again, GatewayError::Refused { reason, .. } if reason == "the door is bound already"));
    assert!(matches!(closing.bind("job/4", PLENTY).await, Err(GatewayError::Refused { .. })));
    assert_eq!(ask(&door.mount_dir, "127.0.0.2:80").await.map(|reply| reply.status), Some(403));
    let ledger = door.close().await.expect("closed");
    assert_eq!((ledger.attempt.as_deref(), ledger.complete), (Some("job/1"), true));
    assert_eq!(ledger.entries.len(), 1);
    assert!(closing.close().await.expect("closed").complete);
    let fresh = bound_for(&gateway, CONTAINER, PLENTY).await;
    assert!(fresh.close().await.expect("closed").complete, "it serves as before");

    for done in [door, closing, fresh] {
        done.discard().expect("removed");
    }
    assert_eq!(leftovers(&run_dir.0).expect("listed"), [], "the door nobody heard of left no files");
}
