//! Jobs to show, for the tests of what is printed.

use crate::domain::document::{Decision, OutcomeName, TransitionView};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, ScanId, WorkerId, sample};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;
use crate::store::{AttemptRecord, AttemptView, AuditView, Listed};

/// 2026-11-21T10:00:00Z: when everybody looks.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

fn before(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() - millis)
}

pub(super) fn job(n: u8, url: &str, state: State) -> Job {
    let created = before(i64::from(n) * 3_600_000);
    Job {
        id: ScanId::parse(format!("0199f6a2-6d{n:02}-7c11-9b53-0f4f4a0e8d11")).expect("it is short"),
        state,
        created,
        updated: created,
        started: (state != State::Queued).then(|| Timestamp::from_millis(created.millis() + 20)),
        finished: state.is_final().then(|| Timestamp::from_millis(created.millis() + 1_360)),
        ..sample(url)
    }
}

/// One in each state, the newest first.
pub(super) fn rows() -> Vec<Listed> {
    let row = |n, url, state, verdict, score| Listed { job: job(n, url, state), verdict, score };
    let mut rows = vec![
        row(0, "https://waits.example/", State::Queued, None, None),
        row(1, "https://runs.example/a/path?with=a&query=1", State::Fetching, None, None),
        row(
            2,
            "https://login.bank.example/verify/account",
            State::Completed,
            Some(VerdictState::Malicious),
            Some(92),
        ),
        row(3, "https://fine.example/", State::Completed, Some(VerdictState::Benign), Some(0)),
        row(4, "http://10.0.0.1/\u{1b}[2J", State::Failed, None, None),
        row(90, "https://slow.example/", State::TimedOut, None, None),
    ];
    rows[0].job.attempt = 0;
    for (row, class) in [(4, FailureClass::EgressDenied), (5, FailureClass::Timeout)] {
        rows[row].job.failure = Some(Failure::new(class, FailureStage::Fetch, "why"));
    }
    rows
}

fn after(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + millis)
}

/// One whose URL and id are no good for a terminal.
pub(super) fn hostile_row() -> Listed {
    let mut job = job(5, &format!("https://港の時刻表.example/{}\u{202e}", "港".repeat(300)), State::Failed);
    job.id = ScanId::parse("時".repeat(60)).expect("it is short enough");
    job.failure = Some(Failure::new(FailureClass::AnalysisTimeout, FailureStage::Analyse, "why"));
    Listed { job, verdict: None, score: Some(100) }
}

/// As the supervisor names its workers.
const WORKER: &str = "01a201c65d37705ebbea8a82bf3436a2";

/// A job that was tried, and given up.
pub(super) fn edges() -> Vec<TransitionView> {
    let edge = |from, to, version, at, worker: Option<&str>, reason: &str| TransitionView {
        from,
        to,
        version,
        at: after(at),
        worker: worker.map(str::to_owned),
        reason: reason.to_owned(),
    };
    vec![
        edge(State::Queued, State::Fetching, 2, 20, Some(WORKER), "claimed"),
        edge(State::Fetching, State::Queued, 3, 1_360, Some(WORKER), "retry: lost"),
        edge(State::Queued, State::Failed, 4, 61_360, None, "refused: cancelled"),
    ]
}

/// One that was dialled and one that was not.
pub(super) fn hops() -> Vec<AuditView> {
    let hop = |id: &str, url: &str, at| AuditView {
        id: id.to_owned(),
        url: url.to_owned(),
        at: after(at),
        status: None,
        decision: Some(Decision::Denied),
        rule: Some("loopback".to_owned()),
        address: None,
        bytes_in: None,
        bytes_out: None,
        error: None,
    };
    vec![
        AuditView {
            status: Some(302),
            decision: Some(Decision::Allowed),
            rule: Some("global".to_owned()),
            address: Some("203.0.113.7".to_owned()),
            bytes_in: Some(5120),
            bytes_out: Some(312),
            ..hop("1", "https://a.example/", 150)
        },
        hop("2", "127.0.0.1:80", 900),
    ]
}

/// An attempt whose container says something hostile.
pub(super) fn ended_attempt(attempt: u32) -> AttemptView {
    AttemptView {
        record: AttemptRecord {
            attempt,
            worker: Some(WorkerId::from_row(WORKER.to_owned())),
            container_id: Some("0123456789abcdef".repeat(4)),
            outcome: Some(OutcomeName::Exited),
            exit_code: Some(0),
            stderr_tail: "one\n\n\u{1b}[2Jtwo\n".to_owned(),
            queue_ms: Some(20),
            start_ms: Some(110),
            run_ms: Some(1_200),
        },
        reason: "retry: lost".to_owned(),
        failure: Some(Failure::new(FailureClass::Lost, FailureStage::Fetch, "the gateway went away")),
        started: Some(after(20)),
        ended: after(1_360),
    }
}
