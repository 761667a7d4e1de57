//! How a container ends, and what is said of it.

use std::future::pending;
use std::time::Duration;

use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt as _;
use safeurl::sandbox::{Outcome, Ran, Sandbox as _, SandboxError, Standing, Waiting as _};

use super::proxy::Proxy;
use super::support::{ATTEMPT, LONG, MIB, Place, allowed, filled, go_on, header, report, sha256};

#[tokio::test]
async fn a_ready_container_takes_one_job_and_reports() {
    let place = Place::new().await;
    let ran = place.run(&format!("{}|exit 0", report(1000))).await;
    assert_eq!(ran.outcome, Outcome::Reported(filled(1000)));
    assert_eq!(ran.exit_code, None, "nobody waits for what comes after the report");
}

#[tokio::test]
async fn reports_of_awkward_sizes_arrive_whole() {
    let place = Place::new().await;
    for power in [10, 14, 16, 20, 23] {
        for bytes in [(1 << power) - 1, 1 << power, (1 << power) + 1] {
            let ran = place.run(&report(bytes)).await;
            assert!(ran.outcome == Outcome::Reported(filled(bytes)), "{bytes} bytes: {:?}", ran.exit_code);
        }
    }
}

#[tokio::test]
async fn a_job_line_longer_than_a_pipe_arrives_whole() {
    let place = Place::new().await;
    let ran = place.run(&format!("{}{}", "fill 0|".repeat(30_000), report(5))).await;
    assert_eq!(ran.outcome, Outcome::Reported(filled(5)));
}

#[tokio::test]
async fn output_that_is_no_report_is_invalid() {
    let place = Place::new().await;
    let digest = sha256(&filled(3));
    let cases = [
        ("exit 0".to_owned(), "there is no report"),
        ("print hello\\n|hang".to_owned(), "the line after the ready line is not a header"),
        (format!("print {}|hang", "x".repeat(2000)), "the header line is too long"),
        (format!("print {}|fill 3|hang", header("other/1", 3, &digest)), "the report is of another attempt"),
        (
            format!("print {}|print abd|hang", header(ATTEMPT, 3, &digest)),
            "the report does not have the announced SHA-256",
        ),
        (format!("print {}|fill 1|exit 0", header(ATTEMPT, 3, &digest)), "the report ended 2 bytes early"),
    ];
    for (steps, reason) in cases {
        let ran = place.run(&steps).await;
        assert_eq!(ran.outcome, Outcome::Invalid { reason: reason.to_owned() }, "{steps}");
    }
}

#[tokio::test]
async fn too_much_output_is_cut_off() {
    let place = Place::with("obedient", |config| config.output_bytes = MIB).await;
    let announced = format!("print {}|hang", header(ATTEMPT, MIB + 1, ""));
    let flood = format!("print {}|flood", header(ATTEMPT, MIB, ""));
    for steps in [announced.as_str(), flood.as_str(), "fill-stderr 300000|hang"] {
        let ran = place.run(steps).await;
        // A flood is noticed at the first byte that cannot be right, whichever limit that is.
        let wrong_digest = matches!(&ran.outcome, Outcome::Invalid { reason } if reason.contains("SHA-256"));
        assert!(ran.outcome == Outcome::TooLarge || (steps == flood && wrong_digest), "{:?}", ran.outcome);
    }
}

#[tokio::test]
async fn an_end_without_a_report_is_a_crash_with_its_code() {
    let place = Place::new().await;
    // The first process of a namespace ignores its own SIGABRT, so abort ends it by a fault instead.
    for (steps, code) in [("exit 64", 64), ("exit 101", 101), ("abort", 139), ("print {|exit 10", 10)] {
        let ran = place.run(steps).await;
        assert_eq!(ran.outcome, Outcome::Crashed { code }, "{steps}");
        assert_eq!(ran.exit_code, Some(code), "{steps}");
    }
}

#[tokio::test]
async fn a_whole_report_counts_whatever_its_container_does_then() {
    let place = Place::new().await;
    let good = report(100);
    for then in ["hang", "flood", "fill-stderr 300000|hang", "abort", "exit 1", good.as_str()] {
        let waiting = place.waiting().await;
        let id = waiting.id().to_owned();
        let ran = waiting.run(&format!("{good}|{then}"), ATTEMPT, LONG, pending(), allowed()).await;
        assert!(ran.outcome == Outcome::Reported(filled(100)), "{then}");
        assert_eq!(ran.exit_code, None, "{then}: nobody waits for it");
        assert!(then != "hang" || place.running(&id).await, "nobody has killed it");
        assert!(place.docker.see_off(&id, allowed()).await.expect("seen off"));
        assert_eq!(place.docker.standing(&id).await.expect("the engine answers"), Standing::Dead, "{then}");
        place.docker.remove_dead(&id).await.expect("removed");
        assert_eq!(place.docker.standing(&id).await.expect("the engine answers"), Standing::Gone, "{then}");
    }
}

#[tokio::test]
async fn a_container_that_ends_after_its_report_is_seen_off_without_a_kill() {
    let place = Place::new().await;
    for (then, killed) in [("exit 0", 0), ("hang", 1)] {
        let waiting = place.waiting().await;
        let id = waiting.id().to_owned();
        waiting.run(&format!("{}|{then}", report(100)), ATTEMPT, LONG, pending(), allowed()).await;
        assert!(place.docker.see_off(&id, allowed()).await.expect("seen off"));
        while place.events(&id, "die") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(place.events(&id, "kill"), killed, "{then}");
        place.docker.remove_dead(&id).await.expect("removed");
        assert!(place.docker.see_off(&id, allowed()).await.expect("one that is gone has gone"));
    }
}

#[tokio::test]
async fn a_container_that_lives_on_after_its_report_is_killed_only_if_it_may_be_and_its_log_keeps_the_report()
{
    let place = Place::new().await;
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    waiting.run(&format!("{}|hang", report(MIB)), ATTEMPT, LONG, pending(), allowed()).await;
    assert!(!place.docker.see_off(&id, async { false }).await.expect("seen off"));
    assert!(place.running(&id).await);
    assert!(place.docker.see_off(&id, allowed()).await.expect("seen off"));
    // Whoever has the job then finds it dead, by a kill of which nobody told him.
    let ran = place.follow(&id).await;
    assert!(ran.outcome == Outcome::Reported(filled(MIB)), "{:?}", ran.exit_code);
    assert_eq!(ran.exit_code, Some(137));
}

#[tokio::test]
async fn containers_that_are_removed_at_once_when_they_have_ended_leave_no_ghost() {
    let place = Place::new().await;
    let job = format!("{}|exit 0", report(1000));
    futures_util::stream::iter(0..40)
        .for_each_concurrent(4, |_| async {
            let waiting = place.waiting().await;
            let id = waiting.id().to_owned();
            waiting.run(&job, ATTEMPT, LONG, pending(), allowed()).await;
            assert!(place.docker.see_off(&id, allowed()).await.expect("seen off"));
            place.docker.remove_dead(&id).await.expect("removed");
        })
        .await;
    assert_eq!(place.docker.list().await.expect("the engine lists"), []);
}

#[tokio::test]
async fn a_container_is_killed_at_the_end_of_its_time() {
    let place = Place::new().await;
    let ran = place.run_for("hang", Duration::from_millis(200)).await;
    assert_eq!(ran.outcome, Outcome::TimedOut);
    assert_eq!(ran.exit_code, Some(137));
}

#[tokio::test]
async fn a_container_is_killed_when_the_caller_asks() {
    let place = Place::new().await;
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    let (cancel, cancelled) = tokio::sync::oneshot::channel::<()>();
    let asked = async {
        let _ = cancelled.await;
    };
    let running = waiting.run("meet|hang", ATTEMPT, LONG, asked, allowed());
    let met = async {
        let _socket = place.met().await;
        cancel.send(()).expect("it still runs");
    };
    let (ran, ()) = tokio::join!(running, met);
    assert_eq!(ran.outcome, Outcome::Cancelled);
    assert!(!place.running(&id).await);
}

#[tokio::test]
async fn a_container_that_may_not_be_killed_is_left_alone_and_heard_while_the_question_is_open() {
    let place = Place::new().await;
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    // What is said first is wrong. The rest is more than any pipe holds: who does not read is never met.
    let steps = format!("print hello\\n|fill {}|meet|hang", 8 * MIB);
    let mut asked = 0;
    let ran = waiting
        .run(&steps, ATTEMPT, LONG, pending(), async {
            asked += 1;
            let _socket = place.met().await;
            false
        })
        .await;
    assert_eq!((ran.outcome, ran.exit_code), (Outcome::Disowned, None));
    assert!(place.running(&id).await);
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_container_that_computes_without_end_dies_although_nobody_looks() {
    let place = Place::with("obedient", |config| config.timeout = Duration::from_secs(1)).await;
    let ran = place.run("spin").await;
    assert_eq!(ran.outcome, Outcome::Crashed { code: 137 });
}

#[tokio::test]
async fn a_timeout_of_less_than_a_second_leaves_time_to_compute() {
    let place = Place::with("obedient", |config| {
        config.timeout = Duration::from_millis(400);
        config.cpus = 1.0;
    });
    // More than the second that the kernel makes of none.
    let ran = place.await.run(&format!("spin 1600|{}", report(10))).await;
    assert_eq!(ran.outcome, Outcome::Reported(filled(10)));
}

#[tokio::test]
async fn a_container_that_eats_its_memory_is_out_of_memory() {
    let place = Place::new().await;
    let ran = place.run("eat").await;
    assert_eq!(ran.outcome, Outcome::OutOfMemory);
}

#[tokio::test]
async fn a_container_that_saw_no_job_is_no_attempt() {
    let place = Place::with("impatient", |_| {}).await;
    let ran = place.run("exit 0").await;
    assert_eq!(ran.outcome, Outcome::NoJob);
    assert_eq!(ran.exit_code, Some(10));
}

#[tokio::test]
async fn a_waiting_container_exits_by_itself_when_its_worker_lets_go() {
    let place = Place::new().await;
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    assert!(place.running(&id).await);
    drop(waiting);
    assert_eq!(exit_code(&id).await, 10);
}

#[tokio::test]
async fn a_waiting_container_that_dies_is_noticed() {
    let place = Place::new().await;
    let mut waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    // Asked and dropped, as a loop does that waits for other things too.
    assert!(futures_util::FutureExt::now_or_never(waiting.died()).is_none());
    let ((), killed) = tokio::join!(waiting.died(), place.docker.kill(&id));
    killed.expect("the engine kills");
    let ran = waiting.run("exit 0", ATTEMPT, LONG, pending(), allowed()).await;
    // Nobody but the engine can be asked to kill it, so that is no crash of its own.
    assert_eq!(ran.outcome, Outcome::Lost { reason: "somebody had the engine kill it".to_owned() });
}

#[tokio::test]
async fn a_job_whose_engine_hangs_up_goes_on_and_reports_by_its_log() {
    let place = Place::new().await;
    let (ran, running) = hang_up(&place, "meet|meet", LONG, Proxy::restart).await;
    assert_eq!(ran.outcome, Outcome::Reported(filled(100_000)));
    assert_eq!(ran.exit_code, Some(0));
    assert!(!running);
}

#[tokio::test]
async fn a_job_whose_engine_hangs_up_is_killed_at_the_end_of_its_time() {
    let place = Place::new().await;
    let (ran, running) = hang_up(&place, "meet|meet|hang", Duration::from_secs(2), Proxy::restart).await;
    assert_eq!(ran.outcome, Outcome::TimedOut);
    assert!(!running);
}

#[tokio::test]
async fn a_job_whose_engine_goes_away_is_lost_and_may_still_run() {
    let place = Place::new().await;
    let (ran, running) = hang_up(&place, "meet|meet|hang", LONG, Proxy::stop).await;
    assert!(
        matches!(&ran.outcome, Outcome::Lost { reason } if reason.contains("does not answer")),
        "{ran:?}"
    );
    assert_eq!(ran.exit_code, None);
    assert!(running);
}

/// Runs a job over a proxy to which something is done once the container has it. After that it may go on.
async fn hang_up(place: &Place, steps: &str, limit: Duration, act: impl FnOnce(&mut Proxy)) -> (Ran, bool) {
    let mut proxy = Proxy::new(place);
    let docker = proxy.docker(place);
    let id = docker.create(&place.request()).await.expect("the engine creates");
    let waiting = docker.start(&id).await.expect("the puppet is ready");
    let steps = format!("{steps}|{}", report(100_000));
    let running = waiting.run(&steps, ATTEMPT, limit, pending(), allowed());
    let met = async {
        let socket = place.met().await;
        act(&mut proxy);
        go_on(&socket);
        go_on(&place.met().await);
    };
    let (ran, ()) = tokio::join!(running, met);
    (ran, place.running(&id).await)
}

#[tokio::test]
async fn a_container_without_a_proper_ready_line_is_not_ready() {
    for (mode, expected) in [
        ("stranger", "the fetcher speaks protocol 3, this worker 2"),
        ("short-lived", "it ended before its ready line: no space left"),
    ] {
        let place = Place::with(mode, |_| {}).await;
        let id = place.docker.create(&place.request()).await.expect("the engine creates");
        match place.docker.start(&id).await.map(|_| ()) {
            Err(SandboxError::NotReady { container, reason }) => {
                assert_eq!((container, reason.as_str()), (id, expected));
            }
            other => panic!("{mode}: {other:?}"),
        }
    }
}

fn client() -> bollard::Docker {
    bollard::Docker::connect_with_unix_defaults().expect("a socket")
}

pub(crate) async fn exit_code(id: &str) -> i64 {
    let client = client().negotiate_version().await.expect("an engine");
    let end = client.wait_container(id, None::<WaitContainerOptions>).next().await.expect("an end");
    match end {
        Ok(end) => end.status_code,
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}
