//! What is left behind, and what only looks like it.

use std::fs::File;
use std::time::{Duration, SystemTime};

use safeurl::domain::state::State;

use super::fake::{Gate, Op, Work};
use super::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_nobody_wrote_down_is_removed_unless_its_maker_lives() {
    let stage = Stage::new().await;
    let neighbour = stage.other_worker().await;
    let lives = stage.fake.made(&format!("safeurl-{neighbour}-1"));
    let dead = stage.other_worker().await;
    stage.fake.made(&format!("safeurl-{dead}-1"));
    stage.fake.made("safeurl-nobody-1");
    stage.bury(&dead).await;
    stage.bury(&dead).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Remove, 2).await;
    let id = stage.submit().await;
    stage.until_state(&id, State::Completed).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), [lives]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_a_job_at_work_names_is_never_removed_by_listing() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    // As in a database that was restored from a copy.
    stage.sql("DELETE FROM containers").await;
    let other = stage.supervise().await;
    // Both of them look at what there is, and its maker does so again.
    stage.fake.until_asked(Op::List, 4).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    stage.drain(other).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_appears_after_its_removal_is_removed_at_the_end() {
    let stage = Stage::new().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::List, 1).await;
    stage.fake.made(&format!("safeurl-{}-1", running.worker));
    stage.drain(running).await;
    assert_eq!(stage.fake.containers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_of_nobody_go_when_they_are_old_and_nothing_else_does() {
    let stage = Stage::new().await;
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    let make = |name: &str, at: SystemTime| {
        let path = stage.run_base().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        File::open(&path).and_then(|folder| folder.set_modified(at)).expect("aged");
        path
    };
    let gone = make("0123456789ab", long_ago);
    let young = make("0123456789ac", SystemTime::now());
    let foreign = make("notes", long_ago);
    let needed = make("0123456789ad", long_ago);
    stage
        .sql(&format!(
            "INSERT INTO containers (name, engine_id, uid, worker, door, created_ms)
             VALUES ('far', 'another engine', 60600, 'nobody', '{}', 1)",
            needed.join("0".repeat(32)).display()
        ))
        .await;
    let held = make("0123456789ae", long_ago);
    let lock = File::open(&held).expect("the folder");
    lock.lock_shared().expect("held as a worker of another installation does");
    let running = stage.supervise().await;
    stage.until(|| !gone.exists()).await;
    stage.drain(running).await;
    for folder in [young, foreign, needed, held] {
        assert!(folder.exists(), "{}", folder.display());
    }
}
