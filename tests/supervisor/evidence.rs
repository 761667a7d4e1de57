//! Reports with the body in them: who gets them, and where they do not go.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;
use safeurl::supervisor::Progress;
use safeurl_protocol::{ErrorClass, HopError, Report};

use super::fake::{Work, plain_report};
use super::stage::{Running, Stage};

/// In base64; nothing else looks like it.
const BODY: &str = "dGhlIGJvZHkgb2YgdGhlIHBhZ2UgdGhhdCBub2JvZHkgc3RvcmVz";
const MEANING: &str = "the body of the page that nobody stores";

fn with_body(attempt: &str) -> Report {
    Report { body: Some(BODY.to_owned()), ..plain_report(attempt) }
}

/// What a fetcher says that got no response and kept something all the same.
fn failed_with_body(attempt: &str) -> Report {
    let mut report = with_body(attempt);
    report.requests[0].status = None;
    report.requests[0].error = Some(HopError { class: ErrorClass::Connect, message: "no".to_owned() });
    report
}

/// All that was told so far.
fn told(running: &mut Running) -> Vec<Progress> {
    let mut told = Vec::new();
    while let Ok(step) = running.progress.try_recv() {
        told.push(step);
    }
    told
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_evidence_gets_the_whole_report_before_the_end_and_the_database_never_does() {
    let mut stage = Stage::new().await;
    stage.config.evidence = true;
    stage.fake.next_work(Work::Says(with_body));
    let id = stage.submit().await;
    let mut running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    let step = loop {
        let step = running.progress.recv().await.expect("it is told");
        if !matches!(step, Progress::Fetching(_) | Progress::Analyzing(_)) {
            break step;
        }
    };
    let Progress::Reported(of, report) = step else { panic!("{step:?}") };
    assert_eq!((of, report.body.as_deref()), (id.clone(), Some(BODY)));
    assert_eq!(running.progress.recv().await, Some(Progress::Ended(id.clone(), State::Completed)));
    assert!(stage.fake.invocations()[0].evidence);
    stage.drain(running).await;
    let stored = stage.stored_bytes();
    assert!(holds(&stored, id.as_str()), "the job itself is there");
    assert!(!holds(&stored, BODY) && !holds(&stored, MEANING));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_scan_has_its_report_and_a_silent_one_has_none() {
    let mut stage = Stage::new().await;
    (stage.config.evidence, stage.config.slots) = (true, 1);
    stage.fake.next_work(Work::Says(failed_with_body));
    stage.fake.next_work(Work::Ends(Outcome::TooLarge));
    let failed = stage.submit().await;
    let silent = stage.submit().await;
    let mut running = stage.supervise().await;
    let job = stage.until_state(&failed, State::Failed).await;
    assert_eq!(job.failure.expect("a failure").class, FailureClass::Connect);
    stage.until_state(&silent, State::Failed).await;
    stage.fake.until_asked(super::fake::Op::Remove, 2).await;
    let reported: Vec<_> = told(&mut running)
        .into_iter()
        .filter_map(|step| if let Progress::Reported(id, _) = step { Some(id) } else { None })
        .collect();
    assert_eq!(reported, [failed]);
    stage.drain(running).await;
    assert!(!holds(&stage.stored_bytes(), BODY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_asked_for_goes_nowhere() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::Says(with_body));
    let id = stage.submit().await;
    let mut running = stage.supervise().await;
    stage.until_state(&id, State::Completed).await;
    stage.fake.until_asked(super::fake::Op::Remove, 1).await;
    let told = told(&mut running);
    assert!(told.iter().all(|step| !matches!(step, Progress::Reported(..))), "{told:?}");
    assert_eq!(told.last(), Some(&Progress::Ended(id, State::Completed)));
    stage.drain(running).await;
    assert!(!holds(&stage.stored_bytes(), BODY));
}
