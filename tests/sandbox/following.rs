//! Containers whose worker is gone: what is read of them from their logs.

use std::future::pending;
use std::time::Duration;

use safeurl::sandbox::output::STDERR_TAIL_BYTES;
use safeurl::sandbox::{Outcome, Sandbox as _, Standing, Waiting as _};

use super::endings::exit_code;
use super::support::{ATTEMPT, LONG, MIB, Place, allowed, filled, go_on, header, report, sha256};

const MOMENT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_log_says_what_the_container_said() {
    let place = Place::new().await;
    let powers = [14, 15, 16, 17, 20, 23];
    let around = powers.into_iter().flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
    for bytes in [1].into_iter().chain(around) {
        let steps = format!("fill-stderr 20000|{}|exit {}", report(bytes), bytes % 3);
        let (streamed, read) = both(&place, &steps).await;
        assert!(streamed.outcome == Outcome::Reported(filled(bytes)), "{bytes} bytes");
        assert!(read.outcome == streamed.outcome, "{bytes} bytes");
        assert_eq!(read.exit_code, i64::try_from(bytes % 3).ok(), "{bytes} bytes");
        assert_eq!(streamed.exit_code, None, "{bytes} bytes");
        assert!(
            read.stderr_tail.as_bytes() == &filled(20_000)[20_000 - STDERR_TAIL_BYTES..],
            "{bytes} bytes"
        );
    }
}

#[tokio::test]
async fn a_container_found_dead_is_judged_as_one_that_was_watched() {
    let place = Place::with("obedient", |config| config.output_bytes = MIB).await;
    let digest = sha256(&filled(3));
    let cases = [
        ("exit 0".to_owned(), "Invalid"),
        ("print hello\\n|exit 0".to_owned(), "Invalid"),
        (format!("print {}|fill 3|exit 0", header("other/1", 3, &digest)), "Invalid"),
        (format!("print {}|fill 1|exit 0", header(ATTEMPT, 3, &digest)), "Invalid"),
        (format!("{0}|{0}|exit 0", report(3)), "Reported"),
        (format!("{}|print more|fill-stderr 300000|exit 1", report(3)), "Reported"),
        (format!("print {}|exit 1", header(ATTEMPT, MIB + 1, "")), "TooLarge"),
        ("fill-stderr 300000|exit 1".to_owned(), "TooLarge"),
        ("exit 64".to_owned(), "Crashed"),
        ("abort".to_owned(), "Crashed"),
        ("print {|exit 10".to_owned(), "Crashed"),
        ("exit 10".to_owned(), "NoJob"),
        ("eat".to_owned(), "OutOfMemory"),
    ];
    for (steps, kind) in cases {
        let (mut streamed, mut read) = both(&place, &steps).await;
        // What containerd says where it has lost how a container ended; seen of one in some hundred.
        if read.outcome == (Outcome::Crashed { code: 255 }) {
            (streamed, read) = both(&place, &steps).await;
        }
        assert!(format!("{:?}", streamed.outcome).starts_with(kind), "{steps}: {:?}", streamed.outcome);
        assert_eq!(read.outcome, streamed.outcome, "{steps}");
    }
}

#[tokio::test]
async fn a_report_behind_all_the_noise_that_is_allowed_is_read_from_the_log() {
    // As little room for reports as there may be: what the other stream may say is four times that.
    let place = Place::with("obedient", |config| config.output_bytes = 65_536).await;
    let (streamed, read) = both(&place, &format!("fill-stderr 260000|{}", report(60_000))).await;
    for ran in [streamed, read] {
        assert!(ran.outcome == Outcome::Reported(filled(60_000)), "{:?}", ran.exit_code);
    }
}

/// The same end, listened to and read.
async fn both(place: &Place, steps: &str) -> (safeurl::sandbox::Ran, safeurl::sandbox::Ran) {
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    let streamed = waiting.run(steps, ATTEMPT, LONG, pending(), allowed()).await;
    // A report is heard before its container has ended.
    exit_code(&id).await;
    let read = place.follow(&id).await;
    place.docker.remove(&id).await.expect("removed");
    (streamed, read)
}

#[tokio::test]
async fn a_running_container_of_a_dead_worker_is_waited_for() {
    let place = Place::new().await;
    let (id, socket) = place.orphaned(&format!("meet|meet|{}", report(100_000))).await;
    let then = async {
        go_on(&socket);
        go_on(&place.met().await);
    };
    let (ran, ()) = tokio::join!(place.follow(&id), then);
    assert_eq!(ran.outcome, Outcome::Reported(filled(100_000)));
    assert_eq!(ran.exit_code, Some(0));
    assert!(ran.run_ms > 0);
    assert_eq!(place.docker.standing(&id).await.expect("the engine answers"), Standing::Dead);
}

#[tokio::test]
async fn a_container_that_never_got_the_job_is_no_attempt() {
    let place = Place::new().await;
    let waiting = place.waiting().await;
    let id = waiting.id().to_owned();
    drop(waiting);
    assert_eq!(place.follow(&id).await.outcome, Outcome::NoJob);
}

#[tokio::test]
async fn a_log_of_which_only_the_end_is_left_is_no_report() {
    // The log holds two reports of this size and some standard error, and then loses its beginning.
    let place = Place::with("obedient", |config| config.output_bytes = 65_536).await;
    for steps in [
        format!("meet|{}|fill 3000000|exit 0", report(10)),
        format!("meet|fill 3000000|print \\n|{}|exit 0", report(10)),
    ] {
        let (id, socket) = place.orphaned(&steps).await;
        go_on(&socket);
        let ran = place.follow(&id).await;
        assert!(matches!(ran.outcome, Outcome::Invalid { .. } | Outcome::TooLarge), "{:?}", ran.outcome);
    }
}

#[tokio::test]
async fn a_container_that_is_gone_is_lost() {
    let place = Place::new().await;
    let (id, _socket) = place.orphaned("meet|hang").await;
    let (ran, removed) = tokio::join!(place.follow(&id), place.docker.remove(&id));
    removed.expect("removed");
    assert!(matches!(ran.outcome, Outcome::Lost { .. }), "{:?}", ran.outcome);
    let gone = Outcome::Lost { reason: "the container is gone".to_owned() };
    assert_eq!(place.follow(&id).await.outcome, gone);
}

#[tokio::test]
async fn a_container_that_somebody_killed_unseen_is_lost_and_no_crash() {
    let place = Place::new().await;
    let (id, _socket) = place.orphaned("meet|hang").await;
    place.docker.kill(&id).await.expect("killed");
    let ran = place.follow(&id).await;
    assert!(matches!(ran.outcome, Outcome::Lost { .. }), "{:?}", ran.outcome);
    assert_eq!(ran.exit_code, Some(137));
}

#[tokio::test]
async fn a_followed_container_is_killed_at_the_end_of_its_time_if_that_is_allowed() {
    let place = Place::new().await;
    let (id, _socket) = place.orphaned("meet|hang").await;
    for (may, outcome) in [(false, Outcome::Disowned), (true, Outcome::TimedOut)] {
        let mut asked = 0;
        let question = async {
            asked += 1;
            may
        };
        let ran = place.docker.follow(&id, ATTEMPT, MOMENT, pending(), question).await;
        assert_eq!((ran.outcome, asked), (outcome, 1));
        assert_eq!(place.running(&id).await, !may);
    }
}

#[tokio::test]
async fn a_report_that_was_whole_at_the_end_of_its_time_counts() {
    let place = Place::new().await;
    let (id, socket) = place.orphaned(&format!("meet|{}|meet|hang", report(1000))).await;
    go_on(&socket);
    let _socket = place.met().await;
    let ran = place.docker.follow(&id, ATTEMPT, Duration::ZERO, pending(), allowed()).await;
    assert_eq!(ran.outcome, Outcome::Reported(filled(1000)));
    assert!(!place.running(&id).await);
}

#[tokio::test]
async fn a_followed_container_is_killed_when_the_caller_asks() {
    let place = Place::new().await;
    let (id, _socket) = place.orphaned("meet|hang").await;
    let ran = place.docker.follow(&id, ATTEMPT, LONG, async {}, allowed()).await;
    assert_eq!(ran.outcome, Outcome::Cancelled);
    assert!(!place.running(&id).await);
}
