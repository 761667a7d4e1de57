//! Taking more than its share: of processes, memory, processor, disk and descriptors.

use std::time::Duration;

use bollard::models::ResourcesUlimits;

use crate::cell::{Cell, Change, LONG, Left, host, run, run_for, strict, unfiltered};

const MIB: i64 = 1024 * 1024;

/// The same steps with the real specification and with a loosened one.
async fn both(steps: &str, loosened: Change) -> (Left, Left) {
    (run(steps, strict).await, run(steps, loosened).await)
}

#[tokio::test]
async fn a_fork_bomb_makes_no_process_and_no_more_threads_than_the_limit() {
    let (held, loose) = both("fork-bomb 100|exit 0", |spec| host(spec).pids_limit = Some(96)).await;
    assert_eq!((held.fact("processes"), held.fact("processes refused")), ("0", "PermissionDenied"));
    // The first thread is one of the 64.
    assert_eq!((held.fact("threads"), held.fact("threads refused")), ("63", "WouldBlock"));
    assert_eq!(held.code, Some(0));
    assert_eq!((loose.fact("threads"), loose.fact("threads refused")), ("95", "WouldBlock"));

    let unfiltered = run("fork-bomb 100|exit 0", unfiltered).await;
    assert_eq!((unfiltered.fact("processes"), unfiltered.fact("processes refused")), ("63", "WouldBlock"));
}

#[tokio::test]
async fn memory_taken_in_steps_or_at_once_ends_at_the_limit() {
    for steps in ["eat 100|exit 0", "eat-at-once 100|exit 0"] {
        let (held, loose) = both(steps, |spec| {
            host(spec).memory = Some(256 * MIB);
            host(spec).memory_swap = Some(256 * MIB);
        })
        .await;
        assert_eq!((held.code, held.out_of_memory), (Some(137), true), "{steps}: {held:?}");
        assert_eq!((loose.code, loose.fact("eaten")), (Some(0), "100"), "{steps}");
    }
}

#[tokio::test]
async fn files_in_tmp_end_at_their_size_and_count_as_memory() {
    let steps = "fill-file /tmp/x 48|exit 0";
    let (held, loose) =
        both(steps, |spec| tmp(spec, "rw,noexec,nosuid,nodev,size=64m,nr_inodes=1k,mode=1777")).await;
    assert_eq!((held.fact("written"), held.fact("refused")), ("32", "StorageFull"));
    assert_eq!((loose.fact("written"), loose.fact("refused")), ("48", "nothing"));
    // Half of the memory is gone with the files, so what would fit without them does not.
    let held = run("fill-file /tmp/x 30|eat 40|exit 0", strict).await;
    assert!(held.out_of_memory, "{held:?}");
    assert_eq!(run("eat 40|exit 0", strict).await.code, Some(0));
}

#[tokio::test]
async fn empty_files_in_tmp_end_at_their_number() {
    let (held, loose) = both("many-files 2000|exit 0", |spec| {
        tmp(spec, "rw,noexec,nosuid,nodev,size=32m,nr_inodes=4k,mode=1777");
    })
    .await;
    // The folder itself is one of the 1024.
    assert_eq!((held.fact("made"), held.fact("refused")), ("1023", "StorageFull"));
    assert_eq!((loose.fact("made"), loose.fact("refused")), ("2000", "nothing"));
}

fn tmp(spec: &mut bollard::models::ContainerCreateBody, options: &str) {
    host(spec).tmpfs.as_mut().expect("there is one").insert("/tmp".to_owned(), options.to_owned());
}

#[tokio::test]
async fn the_disk_of_the_host_cannot_be_filled() {
    let root = "fill-file /x 1|exit 0";
    let (held, loose) = both(root, |spec| {
        host(spec).readonly_rootfs = Some(false);
        spec.user = Some("0:0".to_owned());
    })
    .await;
    assert_eq!((held.fact("written"), held.fact("refused")), ("0", "ReadOnlyFilesystem"));
    assert_eq!((loose.fact("written"), loose.fact("refused")), ("1", "nothing"));

    let door = "fill-file /run/safeurl/x 1|exit 0";
    let (held, loose) = both(door, |spec| {
        host(spec).mounts.as_mut().expect("the door")[0].read_only = Some(false);
        spec.user = Some("0:0".to_owned());
        host(spec).cap_add = Some(vec!["DAC_OVERRIDE".to_owned()]);
        host(spec).cap_drop = None;
    })
    .await;
    assert_eq!((held.fact("written"), held.fact("refused")), ("0", "ReadOnlyFilesystem"));
    assert_eq!((loose.fact("written"), loose.fact("refused")), ("1", "nothing"));
}

#[tokio::test]
async fn the_log_keeps_no_more_than_two_reports_whoever_listens() {
    let said = 24 << 20;
    let logged = async |change: Change| {
        let cell = Cell::new(change).await.expect("the engine creates");
        let left = cell.run(&format!("fill {said}|exit 0"), LONG).await.expect("the engine runs it");
        assert_eq!(left.code, Some(0), "{left:?}");
        cell.logged().await
    };
    // Two reports of 9 MiB, and a MiB for what else it may say.
    let most = 19 << 20;
    let held = logged(strict).await;
    assert!(held < most, "{held} bytes");
    let loose = logged(|spec| {
        let log = host(spec).log_config.as_mut().expect("a log");
        log.config.as_mut().expect("options").insert("max-size".to_owned(), "64m".to_owned());
    });
    assert!(loose.await >= said);
}

#[tokio::test]
async fn descriptors_end_at_their_limit() {
    let (held, loose) = both("many-descriptors 500|exit 0", |spec| ulimit(spec, "nofile", 1024)).await;
    // The three standard streams are among the 256.
    assert_eq!(held.fact("made"), "253");
    assert_eq!((loose.fact("made"), loose.fact("refused")), ("500", "nothing"));
}

fn ulimit(spec: &mut bollard::models::ContainerCreateBody, name: &str, limit: i64) {
    let limits: &mut Vec<ResourcesUlimits> = host(spec).ulimits.as_mut().expect("there are some");
    let found = limits.iter_mut().find(|ulimit| ulimit.name.as_deref() == Some(name)).expect("it is set");
    (found.soft, found.hard) = (Some(limit), Some(limit));
}

#[tokio::test]
async fn a_spinning_container_is_held_back_to_its_share() {
    // So little and so long that it would get more at times on a machine however busy.
    let twentieth: Change = |spec| host(spec).nano_cpus = Some(50_000_000);
    let held = run("spin 5000|exit 0", twentieth).await;
    assert!(held.number("throttled") > 0, "{held:?}");
    let loose = run("spin 700|exit 0", |spec| host(spec).nano_cpus = None).await;
    assert_eq!(loose.number("throttled"), 0, "{loose:?}");
}

#[tokio::test]
async fn a_spinning_container_without_a_worker_ends_by_itself() {
    // Twice the timeout of a second is what it may compute.
    let told = run("facts|exit 0", strict).await;
    assert_eq!(told.fact("limit Max cpu time"), "2,2");
    let held = run("spin 0", strict).await;
    assert_eq!(held.code, Some(137), "{held:?}");
    assert!(!held.out_of_memory);
    let loose = run_for("spin 0", |spec| ulimit(spec, "cpu", 600), Duration::from_secs(8)).await;
    assert_eq!(loose.code, None, "it goes on: {loose:?}");
}
