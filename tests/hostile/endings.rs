//! Speaking and dying in ways that nobody expects, through the sandbox's own judgement of it.

use std::time::Duration;

use safeurl::sandbox::{Outcome, Ran, Sandbox as _};

use crate::cell::{Cell, Change, host, strict};
use crate::support::{ATTEMPT, LONG, MIB, Place, filled, header, report, sha256};

/// One container of this place that does this; it is dead afterwards unless it has reported, and removed without a trace.
async fn ran(place: &Place, steps: &str, limit: Duration) -> Ran {
    let ran = place.run_for(steps, limit).await;
    for container in place.docker.list().await.expect("the engine lists") {
        let reported = matches!(ran.outcome, Outcome::Reported(_));
        assert!(reported || !container.running, "{container:?}");
        place.docker.remove(&container.id).await.expect("removed");
    }
    assert_eq!(place.docker.list().await.expect("the engine lists"), []);
    ran
}

#[tokio::test]
async fn signals_that_are_ignored_do_not_keep_a_container_alive() {
    let place = Place::new().await;
    let held = ran(&place, "ignore-signals|hang", Duration::from_secs(2)).await;
    assert_eq!((held.outcome, held.exit_code), (Outcome::TimedOut, Some(137)));
    let orderly = ran(&place, &format!("ignore-signals|{}|exit 0", report(10)), LONG).await;
    assert_eq!(orderly.outcome, Outcome::Reported(filled(10)));
}

/// Those that end a process which does not care for them, and can be ignored.
const SIGNALS: &[(&str, i64)] =
    &[("HUP", 1), ("INT", 2), ("QUIT", 3), ("USR1", 10), ("USR2", 12), ("ALRM", 14), ("TERM", 15)];

/// The first process of a process table is spared signals that it does not handle, so the control is none: it is one
/// among those of the host.
#[tokio::test]
async fn a_signal_ends_a_process_that_does_not_ignore_it_and_only_killing_ends_one_that_does() {
    let among_others: Change = |spec| host(spec).pid_mode = Some("host".to_owned());
    let names: Vec<_> = SIGNALS.iter().map(|(name, _)| *name).collect();
    for change in [strict, among_others] {
        let cell = Cell::new(change).await.expect("the engine creates");
        let left = cell.run_signalled("ignore-signals|meet|exit 7", &names).await;
        assert_eq!(left.code, Some(7), "it went on: {left:?}");
        let cell = Cell::new(change).await.expect("the engine creates");
        let left = cell.run_signalled("ignore-signals|meet|exit 7", &["KILL"]).await;
        assert_eq!(left.code, Some(137), "{left:?}");
    }
    for (name, number) in SIGNALS {
        let cell = Cell::new(among_others).await.expect("the engine creates");
        let left = cell.run_signalled("meet|exit 7", &[name]).await;
        assert_eq!(left.code, Some(128 + number), "{name}: {left:?}");
    }
}

#[tokio::test]
async fn a_container_that_closes_its_output_and_lives_on_has_its_time_and_no_more() {
    let place = Place::new().await;
    let silent = ran(&place, "close-stdout|hang", Duration::from_secs(2)).await;
    // The engine keeps the other end of a pipe open that only the container has closed.
    assert_eq!(silent.outcome, Outcome::TimedOut);
    let spoke = ran(&place, &format!("{}|close-stdout|hang", report(10)), LONG).await;
    assert_eq!(spoke.outcome, Outcome::Reported(filled(10)));
    assert!(spoke.run_ms < 30_000, "{} ms", spoke.run_ms);
}

#[tokio::test]
async fn output_without_end_is_cut_off_in_pieces_of_a_byte_as_well() {
    let place = Place::with("obedient", |config| config.output_bytes = 4096).await;
    let announced = header(ATTEMPT, 4096, &sha256(&filled(4096)));
    for steps in ["drip 0".to_owned(), "flood".to_owned(), format!("print {announced}|drip 0")] {
        let held = ran(&place, &steps, LONG).await;
        let told = matches!(&held.outcome, Outcome::Invalid { .. } | Outcome::TooLarge);
        assert!(told && held.exit_code == Some(137), "{steps}: {held:?}");
    }
    // What ends is read to its end, however small the pieces.
    let bytes = vec![b'a'; 3000];
    let steps = format!("print {}|drip 3000|exit 0", header(ATTEMPT, 3000, &sha256(&bytes)));
    assert_eq!(ran(&place, &steps, LONG).await.outcome, Outcome::Reported(bytes));
}

#[tokio::test]
async fn a_mebibyte_of_brackets_where_the_header_belongs_is_no_header() {
    let place = Place::with("obedient", |config| config.output_bytes = 4 * MIB).await;
    let held = ran(&place, &format!("repeat {MIB} [|exit 0"), LONG).await;
    assert_eq!(held.outcome, Outcome::Invalid { reason: "the header line is too long".to_owned() });
}
