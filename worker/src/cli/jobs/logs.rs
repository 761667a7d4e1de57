//! `safeurl jobs logs`: what happened to one job, in the order of time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::timeline::{outcome, stderr};
use super::{Logs, open, the_one};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::domain::document::TransitionView;
use crate::domain::document::{Decision, OutcomeName};
use crate::domain::failure::Failure;
use crate::domain::scan::{Job, ScanId};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::store::{AttemptView, AuditView, Store};

/// How often a followed job is looked at. One look is a few indexed reads of a local file.
const LOOK: Duration = Duration::from_millis(200);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Event {
    at: Timestamp,
    #[serde(flatten)]
    what: What,
    /// Tells it from the others of its job.
    #[serde(skip)]
    key: (u8, String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum What {
    Created { url: String, user_id: String },
    Transition { from: State, to: State, version: i64, reason: String, worker: Option<String> },
    Connection(Connection),
    Attempt(Attempt),
}

/// A connection that was dialled or denied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    url: String,
    decision: Option<Decision>,
    rule: Option<String>,
    address: Option<String>,
    status: Option<u16>,
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    error: Option<String>,
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Attempt {
    attempt: u32,
    reason: String,
    outcome: Option<OutcomeName>,
    exit_code: Option<i64>,
    run_ms: Option<u64>,
    container_id: Option<String>,
    worker: Option<String>,
    failure: Option<Failure>,
    /// Escaped.
    stderr: Vec<String>,
    #[serde(skip)]
    told: String,
}

pub(super) async fn run(args: Logs) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let id = the_one(&store, &args.id).await?;
    let mut output = Output::stdout();
    let mut told = BTreeSet::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        // The state first: what came with the edge to it is there by then.
        let job = store.job(&id).await?.with_context(|| format!("the job {id} is gone"))?;
        for event in happened(&store, &id, &job).await? {
            if told.insert(event.key.clone()) {
                tell(&mut output, &event, args.json)?;
            }
        }
        if !args.follow || job.state.is_final() || output.is_closed() {
            return Ok(Exit::Done);
        }
    }
}

async fn happened(store: &Store, id: &ScanId, job: &Job) -> anyhow::Result<Vec<Event>> {
    Ok(events(job, store.transitions(id).await?, store.audit(id).await?, &store.attempts(id).await?))
}

/// Everything in the order of time; what happened at the same moment in the order in which it is caused.
fn events(
    job: &Job,
    transitions: Vec<TransitionView>,
    audit: Vec<AuditView>,
    attempts: &[AttemptView],
) -> Vec<Event> {
    let created = What::Created { url: job.url.clone(), user_id: job.user.clone() };
    let mut events = vec![Event { at: job.created, what: created, key: (0, String::new()) }];
    events.extend(audit.into_iter().map(|hop| Event {
        at: hop.at,
        key: (1, hop.id),
        what: What::Connection(Connection {
            url: hop.url,
            decision: hop.decision,
            rule: hop.rule,
            address: hop.address,
            status: hop.status,
            bytes_in: hop.bytes_in,
            bytes_out: hop.bytes_out,
            error: hop.error,
        }),
    }));
    events.extend(attempts.iter().map(|attempt| Event {
        at: attempt.ended,
        key: (2, attempt.record.attempt.to_string()),
        what: What::Attempt(ended(attempt)),
    }));
    events.extend(transitions.into_iter().map(|edge| Event {
        at: edge.at,
        // A take-over and what it takes over may have one version each; no two edges of a job have the same.
        key: (3, edge.version.to_string()),
        what: What::Transition {
            from: edge.from,
            to: edge.to,
            version: edge.version,
            reason: edge.reason,
            worker: edge.worker,
        },
    }));
    events.sort_by_key(|event| (event.at, event.key.0));
    events
}

fn ended(attempt: &AttemptView) -> Attempt {
    let record = &attempt.record;
    Attempt {
        attempt: record.attempt,
        reason: attempt.reason.clone(),
        outcome: record.outcome,
        exit_code: record.exit_code,
        run_ms: record.run_ms,
        container_id: record.container_id.clone(),
        worker: record.worker.as_ref().map(ToString::to_string),
        failure: attempt.failure.clone(),
        stderr: stderr(attempt),
        told: outcome(attempt),
    }
}

fn tell(output: &mut Output, event: &Event, json: bool) -> anyhow::Result<()> {
    if json { output.json(event) } else { output.text(&line(event)) }
}

/// An event for a person, each line ended by a newline.
fn line(event: &Event) -> String {
    let (kind, told) = match &event.what {
        What::Created { url, user_id } => ("created", format!("{url} for {user_id}")),
        What::Transition { from, to, reason, worker, .. } => {
            let worker = worker.as_ref().map(|worker| format!(", worker {worker}")).unwrap_or_default();
            ("state", format!("{from} -> {to}  {reason}{worker}"))
        }
        What::Connection(connection) => ("network", connection.told()),
        What::Attempt(attempt) => ("attempt", format!("{}  {}", attempt.attempt, attempt.told)),
    };
    let mut text = format!("{}  {kind:<8} {}\n", event.at, plain(&told));
    if let What::Attempt(attempt) = &event.what {
        for line in &attempt.stderr {
            text.push_str(&format!("{}  {:<8} {line}\n", event.at, "stderr"));
        }
    }
    text
}

impl Connection {
    fn told(&self) -> String {
        let decision = match self.decision {
            Some(Decision::Allowed) => "allowed",
            Some(Decision::Denied) => "denied",
            None => "accessed",
        };
        let rule = self.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        let mut told = format!("{decision}{rule}  {}", self.url);
        if let Some(address) = &self.address {
            told.push_str(&format!("  by {address}"));
        }
        if let Some(status) = self.status {
            told.push_str(&format!(", status {status}"));
        }
        if let (Some(bytes_in), Some(bytes_out)) = (self.bytes_in, self.bytes_out) {
            told.push_str(&format!(", {bytes_in} bytes in, {bytes_out} out"));
        }
        if let Some(error) = &self.error {
            told.push_str(&format!(", {error}"));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{NOW, edges, ended_attempt, hops, job};
    use super::*;

    fn all() -> Vec<Event> {
        events(&job(0, "https://a.example/\u{1b}[2J", State::Failed), edges(), hops(), &[ended_attempt(1)])
    }

    #[test]
    fn events_are_told_in_the_order_of_time_and_harmlessly() {
        let text: String = all().iter().map(line).collect();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        insta::assert_snapshot!("jobs-logs", text);
    }

    #[test]
    fn every_event_is_one_document_with_its_kind_and_time() {
        let documents: Vec<_> =
            all().iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
        let kinds: Vec<_> = documents.iter().filter_map(|event| event["kind"].as_str()).collect();
        assert_eq!(
            kinds,
            ["created", "transition", "connection", "connection", "attempt", "transition", "transition"]
        );
        assert_eq!(documents[0]["at"], NOW.to_string());
        assert_eq!((&documents[2]["decision"], &documents[2]["bytesIn"]), (&"allowed".into(), &5120.into()));
        assert_eq!(documents[4]["exitCode"], 0);
    }

    #[test]
    fn no_two_events_are_taken_for_one() {
        let keys: BTreeSet<_> = all().into_iter().map(|event| event.key).collect();
        assert_eq!(keys.len(), all().len());
    }
}
