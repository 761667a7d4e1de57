//! What a worker asks of containers before its first job.

use safeurl::domain::state::State;
use safeurl::sandbox::Attestation;
use safeurl::sandbox::attestation::Judged;
use safeurl::supervisor::{StartError, Walls};

use super::fake::{Gate, Op, Work};
use super::stage::Stage;

/// What was seen of containers from this image, where one restriction holds or does not.
fn attestation(image: &str, holds: bool) -> Attestation {
    let judged = Judged {
        name: "swap".to_owned(),
        tried: "read the limit of swap, in bytes".to_owned(),
        expected: "0".to_owned(),
        saw: if holds { "0" } else { "4096" }.to_owned(),
        holds,
        hint: None,
    };
    Attestation {
        attestation: 1,
        program: "1".to_owned(),
        engine: "an engine".to_owned(),
        engine_id: "engine".to_owned(),
        kernel: "6".to_owned(),
        runtime: "runc".to_owned(),
        image: image.to_owned(),
        network: "none".to_owned(),
        not_applicable: Vec::new(),
        restrictions: vec![judged],
    }
}

async fn asking(accept: &[&str]) -> Stage {
    let mut stage = Stage::new().await;
    stage.config.walls = Some(Walls {
        accept: accept.iter().map(|name| (*name).to_owned()).collect(),
        circumstances: "these".to_owned(),
        remembered: false,
    });
    stage
}

/// The digest that a job's document names.
async fn named(stage: &Stage, id: &safeurl::domain::scan::ScanId) -> Option<String> {
    let document = stage.store.document(id).await.expect("an answer").expect("a document");
    document.body.sandbox.attestation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_starts_where_everything_holds_and_its_documents_name_the_attestation() {
    let stage = asking(&[]).await;
    let seen = attestation("a", true);
    stage.fake.next_probe(Ok(seen.clone()));
    let running = stage.supervise().await;
    assert_eq!(
        stage.rows("SELECT name FROM containers").await,
        Vec::<String>::new(),
        "the probe's record is gone"
    );
    let id = stage.submit().await;
    stage.until_state(&id, State::Completed).await;
    assert_eq!(named(&stage, &id).await, Some(seen.digest()));
    let row = stage.store.attestation(&seen.digest()).await.expect("an answer").expect("it is kept");
    assert_eq!(row.body, seen.to_json());
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_not_start_where_something_does_not_hold_and_leaves_nothing_but_the_evidence() {
    let stage = asking(&["memory"]).await;
    let seen = attestation("a", false);
    stage.fake.next_probe(Ok(seen.clone()));
    let refused = stage.try_supervise(false).await.err().expect("it does not start");
    assert!(matches!(&refused, StartError::Walls { broken } if *broken == seen.restrictions), "{refused}");
    assert!(refused.to_string().contains("swap (tried to read"), "{refused}");
    assert_eq!(stage.rows("SELECT id FROM workers").await, Vec::<String>::new());
    assert_eq!(stage.rows("SELECT name FROM containers").await, Vec::<String>::new());
    assert_eq!(stage.rows("SELECT digest FROM attestations").await, [seen.digest()]);
    assert_eq!(std::fs::read_dir(stage.run_base()).map_or(0, Iterator::count), 0, "no folder is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_setting_names_need_not_hold() {
    let stage = asking(&["swap"]).await;
    stage.fake.next_probe(Ok(attestation("a", false)));
    let running = stage.supervise().await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_makes_do_with_the_attestation_of_the_same_circumstances_as_long_as_it_is_good_enough() {
    let mut stage = asking(&["swap"]).await;
    stage.fake.next_probe(Ok(attestation("a", false)));
    let running = stage.supervise().await;
    stage.drain(running).await;
    let walls = stage.config.walls.as_mut().expect("set");
    walls.remembered = true;
    // No further probe is answered.
    let running = stage.supervise_reserved().await;
    stage.drain(running).await;
    stage.sql("UPDATE attestations SET last_ms = last_ms - 25 * 60 * 60 * 1000").await;
    assert!(matches!(stage.try_supervise(true).await, Err(StartError::Engine(_))), "it is too old");
    stage.sql("UPDATE attestations SET last_ms = last_ms + 25 * 60 * 60 * 1000").await;
    stage.config.walls.as_mut().expect("set").accept.clear();
    assert!(matches!(stage.try_supervise(true).await, Err(StartError::Engine(_))), "it is not good enough");
    stage.config.walls.as_mut().expect("set").circumstances = "others".to_owned();
    assert!(matches!(stage.try_supervise(true).await, Err(StartError::Engine(_))), "it is of something else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_of_an_adopted_container_names_what_the_worker_saw_that_made_it() {
    let stage = asking(&[]).await;
    let (first, second) = (attestation("a", true), attestation("b", true));
    stage.fake.next_probe(Ok(first.clone()));
    stage.fake.next_probe(Ok(second));
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let dead = running.worker.clone();
    running.crash().await;
    stage.bury(&dead).await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    gate.open();
    stage.until_state(&id, State::Completed).await;
    assert_eq!(named(&stage, &id).await, Some(first.digest()));
    stage.drain(running).await;
}
