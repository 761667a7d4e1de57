//! Whether robots.txt is kept to, and what follows from its refusal.

use safeurl::domain::failure::FailureClass;
use safeurl::domain::scan::Options;
use safeurl::domain::state::State;
use safeurl_protocol::{
    ErrorClass, Exchange, HopError, Purpose, Report, RobotsDecision, RobotsSource, SideRequest,
};

use super::fake::{Work, plain_report};
use super::stage::Stage;

/// What a fetcher says of a site whose robots.txt refuses the page.
fn refused(attempt: &str) -> Report {
    let whole = plain_report(attempt);
    let file = Exchange { url: "http://example.test/robots.txt".to_owned(), ..whole.requests[0].clone() };
    let hop = Exchange {
        status: None,
        protocol: None,
        error: Some(HopError {
            class: ErrorClass::RobotsDisallowed,
            message: "robots.txt has Disallow: /".to_owned(),
        }),
        robots: Some(RobotsDecision {
            allowed: false,
            source: RobotsSource::File,
            rule: Some("Disallow: /".to_owned()),
        }),
        ..whole.requests[0].clone()
    };
    let side = SideRequest { purpose: Purpose::Robots, before: 0, exchange: file };
    Report { requests: vec![hop], side: vec![side], ..whole }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_robots_refuse_is_a_failure_after_one_attempt_and_says_by_which_rule() {
    let stage = Stage::new().await;
    stage.fake.next_work(Work::Says(refused));
    let asking = Options { respect_robots: true, ..Options::default() };
    let id = stage.submit_with("http://example.test/", asking).await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Failed).await;
    assert_eq!(stage.failure(&job).await, FailureClass::RobotsDisallowed);
    stage.drain(running).await;
    assert_eq!(stage.reasons(&id).await, ["claimed", "failed: robots_disallowed"]);
    let document = stage.store.document(&id).await.expect("an answer").expect("a document");
    assert!(document.body.task.options.respect_robots);
    let told: Vec<_> =
        document.body.requests.iter().map(|request| (request.purpose, request.status)).collect();
    assert_eq!(told, [(Purpose::Robots, Some(204)), (Purpose::Document, None)]);
    let robots = document.body.requests[1].robots.as_ref().expect("a decision");
    assert_eq!((robots.allowed, robots.rule.as_deref()), (false, Some("Disallow: /")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_hears_of_robots_only_where_job_or_operator_want_it() {
    let mut stage = Stage::new().await;
    stage.config.slots = 1;
    for respect_robots in [false, true] {
        let id =
            stage.submit_with("http://example.test/", Options { respect_robots, ..Options::default() }).await;
        let running = stage.supervise().await;
        stage.until_state(&id, State::Completed).await;
        stage.drain(running).await;
    }
    stage.config.respect_robots = true;
    let silent = stage.submit().await;
    let running = stage.supervise().await;
    stage.until_state(&silent, State::Completed).await;
    stage.drain(running).await;
    let told: Vec<_> = stage.fake.invocations().iter().map(|given| given.respect_robots).collect();
    assert_eq!(told, [false, true, true]);
    assert!(stage.fake.invocations().iter().all(|given| !given.evidence));
}
