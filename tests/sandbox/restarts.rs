//! An engine that is stopped, killed or restarted under a job, which no job is to blame for. The engine is the
//! test's own: nobody may restart the one of the machine.

use std::future::pending;
use std::io::Read as _;
use std::time::Duration;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::TryStreamExt as _;
use safeurl::sandbox::{Outcome, Ran, Sandbox as _, Standing, Waiting as _};

use super::own_engine::TestEngine;
use super::support::{ATTEMPT, LONG, Place, allowed, filled, go_on, report};

#[tokio::test]
async fn a_job_whose_engine_is_stopped_in_order_is_lost() {
    let mut engine = TestEngine::start();
    let place = Place::on(&engine).await;
    let ran;
    (ran, engine) = run_while(&place, engine, TestEngine::stop).await;
    assert_lost(&ran);
    engine.start_again();
    leaves_nothing(&place, &engine).await;
}

#[tokio::test]
async fn a_job_whose_engine_is_killed_is_lost_and_dead_when_the_engine_is_back() {
    let mut engine = TestEngine::start();
    let place = Place::on(&engine).await;
    let ran;
    (ran, engine) = run_while(&place, engine, TestEngine::kill).await;
    assert_lost(&ran);
    engine.start_again();
    leaves_nothing(&place, &engine).await;
}

#[tokio::test]
async fn a_job_whose_engine_is_restarted_is_lost_although_its_successor_answers() {
    for restart in [TestEngine::stop, TestEngine::kill] {
        let engine = TestEngine::start_by_socket();
        let place = Place::on(&engine).await;
        let (ran, engine) = run_while(&place, engine, restart).await;
        assert_lost(&ran);
        leaves_nothing(&place, &engine).await;
    }
}

#[tokio::test]
async fn a_crash_under_an_engine_of_its_own_is_a_crash() {
    let engine = TestEngine::start();
    let place = Place::on(&engine).await;
    assert_eq!(place.run("abort").await.outcome, Outcome::Crashed { code: 139 });
    assert_eq!(place.run("eat").await.outcome, Outcome::OutOfMemory);
}

#[tokio::test]
async fn an_orphan_whose_engine_is_restarted_is_lost_and_its_report_is_not() {
    for restart in [TestEngine::stop, TestEngine::kill] {
        let mut engine = TestEngine::start();
        let place = Place::on(&engine).await;
        let (silent, _silent) = place.orphaned("meet|hang").await;
        let (reported, socket) = place.orphaned(&format!("meet|{}|meet|hang", report(1000))).await;
        go_on(&socket);
        let _met = place.met().await;
        logged(&engine, &reported, &filled(1000)).await;
        restart(&mut engine);
        engine.start_again();
        assert_lost(&place.follow(&silent).await);
        let ran = place.follow(&reported).await;
        assert_eq!(ran.outcome, Outcome::Reported(filled(1000)));
        for id in [silent, reported] {
            assert_eq!(place.docker.standing(&id).await.expect("it answers"), Standing::Dead);
        }
        leaves_nothing(&place, &engine).await;
    }
}

#[tokio::test]
async fn an_orphan_that_reports_while_no_engine_is_there_is_not_to_blame_for_what_nobody_heard() {
    let mut engine = TestEngine::start();
    let place = Place::on(&engine).await;
    let (id, socket) = place.orphaned(&format!("meet|{}|meet|exit 0", report(1000))).await;
    engine.kill();
    go_on(&socket);
    let mut last = place.met().await;
    go_on(&last);
    // The other end is closed when the step is over, and the exit comes next.
    assert_eq!(last.read(&mut [0]).expect("it hangs up"), 0);
    engine.start_again();
    let ran = place.follow(&id).await;
    // Whether the next engine finds what it said, depends on the engine.
    if ran.outcome != Outcome::Reported(filled(1000)) {
        assert_lost(&ran);
    }
    leaves_nothing(&place, &engine).await;
}

#[tokio::test]
async fn an_orphan_whose_engine_is_restarted_while_it_is_followed_is_lost() {
    let engine = TestEngine::start();
    let place = Place::on(&engine).await;
    let (id, _socket) = place.orphaned("meet|hang").await;
    let restarted = async {
        // Long enough for the engine to be asked; too short makes it the test above.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut engine = stopped(engine, TestEngine::kill).await;
        engine.start_again();
        engine
    };
    let (ran, engine) = tokio::join!(place.follow(&id), restarted);
    assert_lost(&ran);
    leaves_nothing(&place, &engine).await;
}

/// A job at work while this is done to its engine, which is started again where its socket is kept open for it.
async fn run_while(place: &Place, engine: TestEngine, act: fn(&mut TestEngine)) -> (Ran, TestEngine) {
    let by_socket = engine.is_started_by_socket();
    let waiting = place.waiting().await;
    let running = waiting.run("meet|hang", ATTEMPT, LONG, pending(), allowed());
    let acting = async {
        let _socket = place.met().await;
        let mut engine = stopped(engine, act).await;
        if by_socket {
            engine.start_again();
        }
        engine
    };
    tokio::join!(running, acting)
}

/// Waits until the engine has written down what a container said: until then it may be in a pipe that ends with the
/// engine.
async fn logged(engine: &TestEngine, id: &str, said: &[u8]) {
    let client = bollard::Docker::connect_with_host(&engine.host()).expect("a socket");
    let client = client.negotiate_version().await.expect("an engine");
    loop {
        let options = LogsOptionsBuilder::default().stdout(true).build();
        let log: Vec<_> = client.logs(id, Some(options)).try_collect().await.expect("a log");
        let log: Vec<u8> = log.into_iter().flat_map(|part| part.into_bytes()).collect();
        if log.windows(said.len()).any(|window| window == said) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// On a thread of its own, so that the job is watched meanwhile.
async fn stopped(mut engine: TestEngine, act: fn(&mut TestEngine)) -> TestEngine {
    let acting = tokio::task::spawn_blocking(move || {
        act(&mut engine);
        engine
    });
    acting.await.expect("no panic")
}

fn assert_lost(ran: &Ran) {
    let engine = |reason: &str| reason.contains("engine") || reason.contains("while no worker watched");
    assert!(matches!(&ran.outcome, Outcome::Lost { reason } if engine(reason)), "{ran:?}");
}

/// All containers can be removed, and then nothing of them is left.
async fn leaves_nothing(place: &Place, engine: &TestEngine) {
    for found in place.docker.list().await.expect("the engine lists") {
        assert!(!found.running, "{found:?}");
        place.docker.remove(&found.id).await.expect("removed");
    }
    assert_eq!(place.docker.list().await.expect("the engine lists"), []);
    engine.has_nothing_left();
}
