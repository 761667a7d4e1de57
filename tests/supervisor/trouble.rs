//! Trouble of our own: nothing is claimed meanwhile, nothing fails or is counted for it, and it is told once.

use safeurl::domain::scan::ScanId;
use safeurl::domain::state::State;
use safeurl::sandbox::Outcome;
use safeurl::shutdown::Signal;
use tokio::time::{sleep, timeout};

use super::fake::{Beginning, Gate, Op, Work};
use super::log::Log;
use super::stage::{LONG, LOOK, Stage};

/// The log of this process: every test has one of its own.
impl Log {
    pub(super) fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
        log
    }

    /// Waits until each of these is in a line.
    async fn until(&self, parts: &[&str]) {
        let all = async {
            while parts.iter().any(|part| self.lines(part).is_empty()) {
                sleep(LOOK).await;
            }
        };
        assert!(timeout(LONG, all).await.is_ok(), "{parts:?} in {:?}", self.lines(""));
    }

    /// The lines with this in them.
    pub(super) fn lines(&self, part: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

/// The job was done by its first claim, and nothing was counted against it.
async fn untouched(stage: &Stage, id: &ScanId) {
    let job = stage.until_state(id, State::Completed).await;
    assert_eq!((job.attempt, job.attempt_base, job.losses), (1, 0, 0));
    assert_eq!(stage.reasons(id).await, ["claimed", "report accepted", "completed"]);
}

/// An engine that does not answer this three times costs a job nothing but time, and is told of once.
async fn costs_nothing(op: Op, work: Option<Work>, state: State) {
    let (log, stage) = (Log::start(), Stage::new().await);
    stage.fake.set_silent_at(op, 3);
    if let Some(work) = work {
        stage.fake.next_work(work);
    }
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let job = stage.until_state(&id, state).await;
    assert_eq!((job.attempt, job.attempt_base, job.losses), (1, 0, 0), "{:?}", stage.reasons(&id).await);
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.fake.until_answering(op).await;
    stage.drain(running).await;
    assert_eq!(log.lines("WARN").len(), 1, "{:?}", log.lines(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_silent_at_a_create_costs_nothing() {
    costs_nothing(Op::Create, None, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_silent_at_a_start_costs_nothing() {
    costs_nothing(Op::Start, None, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_silent_at_a_kill_costs_nothing() {
    costs_nothing(Op::Kill, Some(Work::Ends(Outcome::TimedOut)), State::TimedOut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_silent_at_a_removal_costs_nothing() {
    costs_nothing(Op::Remove, None, State::Completed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_silent_when_listed_costs_nothing() {
    let (log, stage) = (Log::start(), Stage::new().await);
    stage.fake.set_silent_at(Op::List, 1);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
    assert_eq!(log.lines("WARN").len(), 1, "{:?}", log.lines(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_workers_container_is_adopted_although_the_engine_is_silent_at_first() {
    let (log, stage) = (Log::start(), Stage::new().await);
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let dead = running.worker.clone();
    running.crash().await;
    stage.bury(&dead).await;
    stage.fake.set_silent_at(Op::Look, 3);
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Follow, 1).await;
    gate.open();
    let job = stage.until_state(&id, State::Completed).await;
    assert_eq!((job.attempt, job.losses), (1, 0));
    stage.drain(running).await;
    assert_eq!(stage.fake.invocations().len(), 1);
    let told = log.lines("adopted a dead worker's container");
    assert!(told.len() == 1 && told[0].contains(&format!("scan.id={id} ")), "{:?}", log.lines(""));
    assert_eq!(log.lines("WARN").len(), 1, "{:?}", log.lines(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_silent_for_long_is_told_once_at_each_end_of_it() {
    let (log, stage) = (Log::start(), Stage::new().await);
    stage.fake.set_silent(true);
    let ids = [stage.submit().await, stage.submit().await, stage.submit().await];
    let running = stage.supervise().await;
    // Several looks of everybody who looks, further and further apart.
    stage.fake.until_unanswered(Op::Version, 5).await;
    assert_eq!(stage.rows("SELECT count(*) FROM scan_jobs WHERE attempt > 0").await, ["0"]);
    stage.fake.set_silent(false);
    for id in &ids {
        untouched(&stage, id).await;
    }
    log.until(&["the container engine answers again"]).await;
    stage.drain(running).await;
    assert_eq!(log.lines("WARN").len(), 1, "{:?}", log.lines("WARN"));
    assert_eq!(log.lines("the container engine answers again").len(), 1, "{:?}", log.lines(""));
}

/// Holds the database's lock for longer than anybody waits for it, which is told once.
async fn locked(stage: &Stage, log: &Log, meanwhile: impl AsyncFnOnce()) {
    stage.sql("BEGIN IMMEDIATE").await;
    meanwhile().await;
    log.until(&["WARN"]).await;
    stage.sql("COMMIT").await;
    log.until(&["the database answers again"]).await;
    assert_eq!(log.lines("WARN").len(), 1, "{:?}", log.lines("WARN"));
    assert_eq!(log.lines("the database answers again").len(), 1, "{:?}", log.lines(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_locked_at_a_claim_costs_nothing() {
    let (log, stage) = (Log::start(), Stage::new().await);
    let gate = Gate::shut();
    stage.fake.next_start(Beginning::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::Start, 1).await;
    locked(&stage, &log, async || gate.open()).await;
    untouched(&stage, &id).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_locked_when_a_report_comes_costs_nothing() {
    let (log, stage) = (Log::start(), Stage::new().await);
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    let meanwhile = async || {
        gate.open();
        stage.fake.until_asked(Op::SeeOff, 1).await;
        assert!(stage.fake.is_dead("c1"), "it does not live on until the database has its result");
    };
    locked(&stage, &log, meanwhile).await;
    untouched(&stage, &id).await;
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_locked_when_a_container_is_removed_costs_nothing() {
    let (log, stage) = (Log::start(), Stage::new().await);
    let gate = Gate::shut();
    stage.fake.remove_at(&gate);
    let id = stage.submit().await;
    let running = stage.supervise().await;
    untouched(&stage, &id).await;
    stage.fake.until_asked(Op::Remove, 1).await;
    locked(&stage, &log, async || gate.open()).await;
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_without_time_left_is_killed_only_once_the_database_says_whose_it_is() {
    let mut stage = Stage::new().await;
    // Longer than a lease is certain without a renewal.
    stage.config.timeout = std::time::Duration::from_secs(6);
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    stage.sql("BEGIN IMMEDIATE").await;
    stage.fake.until_asked(Op::AskKill, 1).await;
    assert!(!stage.fake.is_dead("c1"));
    stage.sql("COMMIT").await;
    let job = stage.until_state(&id, State::TimedOut).await;
    assert_eq!(job.attempt, 1);
    stage.drain(running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_lives_on_after_its_report_is_killed_although_the_database_is_silent() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    stage.fake.linger(Some(std::time::Duration::ZERO));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    stage.sql("BEGIN IMMEDIATE").await;
    gate.open();
    stage.fake.until_asked(Op::Kill, 1).await;
    stage.until(|| stage.fake.is_dead("c1")).await;
    assert_eq!(stage.job(&id).await.state, State::Fetching);
    stage.sql("COMMIT").await;
    untouched(&stage, &id).await;
    stage.until_rows("SELECT name FROM containers", &[]).await;
    stage.drain(running).await;
    assert_eq!(stage.fake.done_to("c1"), [Op::Start, Op::HandOver, Op::AskKill, Op::Kill, Op::Remove]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_has_reported_is_not_killed_for_a_worker_that_lost_its_job_meanwhile() {
    let stage = Stage::new().await;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    // Longer than a lease is certain without a renewal.
    stage.fake.linger(Some(std::time::Duration::from_secs(6)));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let other = stage.other_worker().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    stage.sql("BEGIN IMMEDIATE").await;
    gate.open();
    stage.fake.until_asked(Op::AskKill, 1).await;
    super::leases::take_away(&stage, &id, &other).await;
    stage.sql("COMMIT").await;
    // It goes on with other jobs, and ends.
    stage.fake.linger(None);
    let next = stage.submit().await;
    stage.until_state(&next, State::Completed).await;
    running.trigger.step(Signal::Terminate);
    running.finished().await;
    assert!(!stage.fake.asked(Op::Kill).contains(&"c1".to_owned()), "{:?}", stage.fake.calls());
    assert!(!stage.fake.is_dead("c1"));
    assert_eq!(stage.fake.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_container_off_for_a_worker_that_has_crashed() {
    let stage = Stage::new().await;
    stage.fake.linger(Some(LONG));
    stage.submit().await;
    let running = stage.supervise().await;
    stage.fake.until_asked(Op::SeeOff, 1).await;
    running.crash().await;
    stage.fake.until_asked(Op::LetGo, 1).await;
    assert_eq!(stage.fake.done_to("c1"), [Op::Start, Op::HandOver, Op::LetGo]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_cut_off_for_longer_than_its_lease_kills_nothing_of_what_it_lost() {
    let (log, mut stage) = (Log::start(), Stage::new().await);
    stage.config.timeout = std::time::Duration::from_secs(6);
    stage.fake.next_work(Work::At(Gate::shut()));
    let id = stage.submit().await;
    let running = stage.supervise().await;
    let other = stage.other_worker().await;
    stage.fake.until_asked(Op::HandOver, 1).await;
    stage.sql("BEGIN IMMEDIATE").await;
    stage.fake.until_asked(Op::AskKill, 1).await;
    // By the time that the database answers the job has changed hands.
    super::leases::take_away(&stage, &id, &other).await;
    stage.sql("COMMIT").await;
    stage.fake.until_asked(Op::LetGo, 1).await;
    running.trigger.step(Signal::Terminate);
    running.finished().await;
    assert_eq!(stage.fake.asked(Op::Kill), Vec::<String>::new());
    assert!(!stage.fake.is_dead("c1"));
    assert_eq!(stage.fake.violations(), Vec::<String>::new());
    let told = log.lines("lost the lease");
    assert!(told.len() == 1 && told[0].contains(&format!("scan.id={id}")), "{:?}", log.lines(""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_taken_for_dead_who_could_not_be_heard() {
    let mut stage = Stage::new().await;
    stage.config.slots = 1;
    let gate = Gate::shut();
    stage.fake.next_work(Work::At(gate.clone()));
    stage.fake.next_work(Work::At(gate.clone()));
    let ids = [stage.submit().await, stage.submit().await];
    let both = [stage.supervise().await, stage.supervise().await];
    stage.fake.until_asked(Op::HandOver, 2).await;

    stage.sql("BEGIN IMMEDIATE").await;
    let newest = "SELECT max(heartbeat_ms) < (julianday('now') - 2440587.5) * 86400000.0 - 7000 FROM workers";
    stage.until_rows(newest, &["1"]).await;
    // The one gets through first, and the other not for a while: longer than the first needs for a look.
    let late = &both[1].worker;
    stage
        .sql(&format!(
            "CREATE TRIGGER late BEFORE UPDATE ON workers WHEN NEW.id = '{late}' BEGIN
               SELECT RAISE(ABORT, 'not yet');
             END"
        ))
        .await;
    let beat = format!("SELECT heartbeat_ms FROM workers WHERE id = '{}'", both[0].worker);
    let mut last = stage.rows(&beat).await.remove(0);
    stage.sql("COMMIT").await;
    // Two heartbeats of the first are 2 s apart, in which it looks twice for jobs of dead workers.
    for _ in 0..2 {
        let newer = format!("SELECT heartbeat_ms > {last} FROM workers WHERE id = '{}'", both[0].worker);
        stage.until_rows(&newer, &["1"]).await;
        last = stage.rows(&beat).await.remove(0);
    }
    stage.sql("DROP TRIGGER late").await;

    gate.open();
    for id in &ids {
        stage.until_state(id, State::Completed).await;
    }
    let taken = "SELECT count(*) FROM transitions WHERE reason = 'taken over'";
    assert_eq!(stage.rows(taken).await, ["0"]);
    for running in both {
        stage.drain(running).await;
    }
}
