//! The way out that breaks.

use std::os::unix::fs::PermissionsExt as _;

use safeurl::domain::state::State;

use super::fake::{Beginning, Gate, Op, Work};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_gateway_was_killed_is_lost_and_done_again_with_another_gateway() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let before = stage.gateways();
    stage.gateway_killer()();
    // The container does not notice: it reports, and is not believed.
    gate.open();
    let second = Gate::shut();
    stage.fake.next_work(Work::At(second.clone()));
    stage.fake.until_asked(Op::HandOver, 2).await;
    let after = stage.gateways();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
    second.open();
    let job = stage.until_state(&id, State::Completed).await;
    assert_eq!((job.attempt, job.counted_attempts(), job.losses), (2, 1, 1));
    let expected = ["claimed", "lost: lost", "claimed", "report accepted", "completed"];
    assert_eq!(stage.reasons(&id).await, expected);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_socket_cannot_be_bound_is_released_and_not_counted() {
    let stage = Stage::new().await;
    stage.fake.next_start(Beginning::After(stage.gateway_killer()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
    assert_eq!((job.attempt, job.counted_attempts(), job.losses), (2, 1, 0));
    let expected = ["claimed", "released", "claimed", "report accepted", "completed"];
    assert_eq!(stage.reasons(&id).await, expected);
    assert_eq!(stage.fake.asked(Op::HandOver), ["c2"], "the container without a way out got nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_while_nothing_runs_is_replaced_at_once() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_start(Beginning::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    stage.gateway_killer()();
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dies_while_it_starts_is_started_again() {
    let mut stage = Stage::new().await;
    let (marks, program) =
        (stage.run_base().with_file_name("marks"), stage.run_base().with_file_name("program"));
    let gateway = stage.gateway.program.display();
    // It dies at its first two starts.
    let script = format!(
        "#!/bin/sh\nfor n in 1 2; do /bin/mkdir -p {0} && /bin/mkdir {0}/$n 2>/dev/null && kill -KILL $$; done\n\
         exec {gateway} \"$@\"\n",
        marks.display()
    );
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    stage.gateway.program = program;
    let running = stage.supervise().await;
    assert!(marks.join("2").exists(), "it died twice");
    let id = stage.submit().await;
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
}
