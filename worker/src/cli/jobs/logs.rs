//! `safeurl jobs logs`: what happened to one job, in the order of time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};

use super::timeline::{outcome, stderr};
use super::{Logs, open, the_one};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::terminal::Look;
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::text::{FAINT, GREEN, NONE, RED, STRONG, Text, rendered};
use crate::cli::workers;
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
    let looks = args.look.look();
    let mut told = BTreeSet::new();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        // The state first: what came with the edge to it is there by then.
        let job = store.job(&id).await?.with_context(|| format!("the job {id} is gone"))?;
        // Before the end nobody knows how dangerous it is.
        let judged =
            if job.state == State::Completed && !args.json { store.document(&id).await? } else { None };
        let defang =
            judged.map_or(Defang(false), |document| Defang::of(document.body.verdict.state, looks.defang));
        for event in happened(&store, &id, &job).await? {
            if told.insert(event.key.clone()) {
                if args.json {
                    output.json(&event)?;
                } else {
                    output.text(&rendered(&lines(&event, defang, looks), looks.colour))?;
                }
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

/// An event for a person: on a terminal wrapped behind its time, elsewhere one line each.
fn lines(event: &Event, defang: Defang, look: Look) -> Vec<Text> {
    let (kind, told) = match &event.what {
        What::Created { url, user_id } => ("created", format!("{} for {user_id}", defang.text(url))),
        What::Transition { from, to, reason, worker, .. } => {
            let worker = worker
                .as_deref()
                .map(|name| format!(", worker {}", workers::short(name)))
                .unwrap_or_default();
            ("state", format!("{from} -> {to}  {reason}{worker}"))
        }
        What::Connection(connection) => ("network", connection.told(defang)),
        What::Attempt(attempt) => ("attempt", format!("{}  {}", attempt.attempt, defang.text(&attempt.told))),
    };
    let style = match &event.what {
        What::Connection(Connection { decision: Some(Decision::Denied), .. }) => RED,
        What::Transition { to: State::Completed, .. } => GREEN,
        What::Created { .. } | What::Transition { .. } | What::Connection(_) | What::Attempt(_) => NONE,
    };
    let mut lines = line(event.at, kind, &Text::new(style, &told), look);
    if let What::Attempt(attempt) = &event.what {
        for said in &attempt.stderr {
            lines.extend(line(event.at, "stderr", &Text::new(NONE, &defang.text(said)), look));
        }
    }
    lines
}

/// Columns of the word for what happened.
const KIND: usize = 8;

/// Less than this beside the time is not read well; what happened goes below it then.
const LEAST_BODY: usize = 40;

fn line(at: Timestamp, kind: &str, told: &Text, look: Look) -> Vec<Text> {
    let moment = at.to_string();
    // The day is what a narrow terminal does without.
    let clock = if look.terminal && look.width < 100 { moment.get(11..).unwrap_or(&moment) } else { &moment };
    let lead = Text::new(FAINT, clock).gap(2).and(STRONG, &format!("{kind:<KIND$}")).gap(1);
    if !look.terminal {
        return vec![lead.join(told.clone())];
    }
    let (from, mut lines) = match lead.width() {
        wide if wide + LEAST_BODY <= look.width => (wide, Vec::new()),
        _ => (2, vec![lead.clone()]),
    };
    for body in told.wrap(look.width - from) {
        let before = if lines.is_empty() { lead.clone() } else { Text::default().gap(from) };
        lines.push(before.join(body));
    }
    lines
}

impl Connection {
    /// The address that was dialled is shown as it is, like that of every connection.
    fn told(&self, defang: Defang) -> String {
        let decision = match self.decision {
            Some(Decision::Allowed) => "allowed",
            Some(Decision::Denied) => "denied",
            None => "accessed",
        };
        let rule = self.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
        let mut told = format!("{decision}{rule}  {}", defang.text(&self.url));
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
            told.push_str(&format!(", {}", defang.text(error)));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{NOW, edges, ended_attempt, hops, job};
    use super::*;
    use crate::cli::terminal::text::width;

    fn all() -> Vec<Event> {
        events(&job(0, "https://a.example/\u{1b}[2J", State::Failed), edges(), hops(), &[ended_attempt(1)])
    }

    #[test]
    fn events_are_told_in_the_order_of_time_and_harmlessly() {
        let shown = |look: Look| -> String {
            all().iter().map(|event| rendered(&lines(event, Defang(true), look), false)).collect()
        };
        let look = |width| Look { width, colour: false, defang: true, terminal: true };
        let mut text = format!("=== pipe ===\n{}\n", shown(Look { terminal: false, ..look(40) }));
        for width in [60, 80, 120] {
            text.push_str(&format!("=== {width} columns ===\n{}\n", shown(look(width))));
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
        insta::assert_snapshot!("jobs-logs", text);
        for columns in 40..=200 {
            assert!(shown(look(columns)).lines().all(|line| width(line) <= columns), "{columns}");
        }
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
