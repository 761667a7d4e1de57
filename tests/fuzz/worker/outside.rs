//! What other programs and people say: a database's server, Redis and producers in it, and whoever submits a URL.

use std::time::Duration;

use libsql::Value;

use crate::db::hrana::wire::{Outcome, PipelineResponse, Refusal, Response, WireValue};
use crate::domain::delivery::Backoff;
use crate::domain::target::{MAX_URL_BYTES, Masked, Target, leads_to};
use crate::queue::bullmq::consumer::{Taken, answer::Answer};
use crate::queue::bullmq::entry::Entry;
use crate::queue::bullmq::payload::Payload;
use crate::queue::bullmq::producer::answer::Answer as ProducerAnswer;
use crate::queue::bullmq::scheduler::plan::{Next, Plan};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

pub(super) fn database_answer(data: &[u8]) {
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(data) {
        refusal_holds(&refusal);
    }
    let Ok(answer) = serde_json::from_slice::<PipelineResponse>(data) else { return };
    for outcome in answer.results {
        match outcome {
            Outcome::Ok { response: Response::Batch { result } } => {
                result.step_errors.iter().flatten().for_each(refusal_holds);
                let rows = result.step_results.into_iter().flatten().flat_map(|step| step.rows);
                rows.flatten().for_each(value_holds);
            }
            Outcome::Ok { response: Response::Close } => {}
            Outcome::Error { error } => refusal_holds(&error),
        }
    }
}

fn refusal_holds(refusal: &Refusal) {
    let libsql::Error::SqliteFailure(code, message) = refusal.as_libsql() else { panic!("another error") };
    assert!((1..=26).contains(&code) && message == refusal.message);
    assert!(!(refusal.is_timed_out() && refusal.is_before_all()), "both cannot be");
}

fn value_holds(sent: WireValue) {
    let Some(value) = sent.read() else { return };
    assert!(!matches!(value, Value::Real(number) if !number.is_finite()), "JSON has no such number");
    assert_eq!(WireValue::from(value.clone()).read(), Some(value));
}

/// Bytes as Redis' server sends them, read as the answer of any script.
pub(super) fn redis_answer(data: &[u8]) {
    let Ok(value) = redis::parse_redis_value(data) else { return };
    let answer = Answer::new("any", value.clone());
    if let Ok(Taken::Entry(entry)) = answer.clone().taken() {
        assert_eq!(answer.clone().found().ok().flatten(), Some(*entry), "the same words");
    }
    // None of these words is another's.
    let read = [
        answer.clone().taken().is_ok(),
        answer.clone().look().is_ok(),
        answer.clone().done().is_ok() && answer.clone().moved().is_err(),
        answer.clone().moved().is_ok(),
        answer.clone().ids("stalled").is_ok(),
        answer.clone().handed().is_ok(),
    ];
    assert!(read.iter().filter(|read| **read).count() <= 1, "{read:?}");
    if let redis::Value::Array(parts) = value {
        let count = parts.len();
        let whole = ProducerAnswer::of("any", parts.clone()).rest();
        assert!(whole.as_ref().is_ok_and(|texts| texts.len() == count) || whole.is_err());
        let mut one = ProducerAnswer::of("any", parts.clone());
        while one.text().is_ok() {}
        let mut numbers = ProducerAnswer::of("any", parts);
        while numbers.number().is_ok() {}
    }
}

/// The id of an entry, then the fields of its hash: `name=value`, one a line.
pub(super) fn queue_entry(data: &[u8]) {
    let (id, rest) = super::first_line(data);
    let text = String::from_utf8_lossy(rest);
    let fields: Vec<_> = text
        .lines()
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let entry = Entry::read(&id, &fields);
    assert_eq!(entry, Entry::read(&id, &fields));
    assert_eq!(entry.delivered().atm, entry.atm);
    retries_hold(&entry);
    let options = entry.options();
    for keep in [options.keep_completed(), options.keep_failed()] {
        assert!((1..=1000).contains(&keep.limit) && keep.age.is_none_or(|age| age <= YEAR));
    }
    assert!(options.log_lines() != Some(0));
    let traces: Vec<serde_json::Value> =
        serde_json::from_str(&entry.stacktrace_with("why")).expect("a list of traces");
    assert!(traces.is_empty() || traces.last() == Some(&"why".into()));

    let payload = Payload::read(&entry, "bull:scan-jobs:");
    assert_eq!(
        payload,
        Payload::read(&entry, "bull:scan-jobs:"),
        "an entry names one job, whenever it is read"
    );
    assert!((1..=200).contains(&payload.job.as_str().len()) && !payload.job.as_str().contains('\0'));
    assert!((1..=200).contains(&payload.user.len()) && !payload.user.contains('\0'));
    assert!(payload.url.len() <= MAX_URL_BYTES);
    match &payload.problem {
        None => assert!(Target::parse(&payload.url).is_ok()),
        Some(problem) => assert!(!problem.is_empty()),
    }
    let row = payload.row(&entry);
    assert!(row.max_attempts >= 1 && row.id == payload.job && row.reserved_for.is_none());
    assert_eq!(row.options, crate::domain::scan::Options::default(), "no payload decides about the sandbox");
}

fn retries_hold(entry: &Entry) {
    let retries = entry.retries;
    match retries.backoff {
        Backoff::None => {}
        Backoff::Fixed { delay, jitter } | Backoff::Exponential { delay, jitter } => {
            assert!(delay <= YEAR && (0.0..=1.0).contains(&jitter));
        }
    }
    for made in [0, 1, 2, 1000, u32::MAX] {
        for draw in [0.0, 0.5, 1.0] {
            let wait = retries.after(made, draw);
            assert_eq!(wait.is_none(), made >= retries.attempts);
            assert!(wait.is_none_or(|wait| wait <= YEAR), "{wait:?}");
        }
    }
}

/// When the last iteration was, which one it was, and now; then the fields of a scheduler's hash.
pub(super) fn schedule(data: &[u8]) {
    let (numbers, rest) = super::first_line(data);
    let mut numbers = numbers.split(' ').map(|text| text.parse::<u64>().unwrap_or_default());
    let mut number = || numbers.next().unwrap_or_default();
    let (before, count, now) = (number(), number(), number());
    let text = String::from_utf8_lossy(rest);
    let field = |name: &'static str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    match Plan::read(field).and_then(|plan| plan.next(before, now, count)) {
        Ok(Next::At(at)) => {
            assert!(at > before || before == u64::MAX || at == u64::MAX, "{at} is not after {before}")
        }
        Ok(Next::Over) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

pub(super) fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let target = match Target::parse(&text) {
        Ok(target) => target,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
            return;
        }
    };
    let url = target.url();
    assert!(matches!(url.scheme(), "http" | "https") && !target.host().is_empty());
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    assert_eq!(url::Url::parse(url.as_str()).as_ref(), Ok(url), "another parser would go elsewhere");
    assert_eq!(target.submitted(), text.trim());
    if let Some(fallback) = target.fallback() {
        assert_eq!((url.scheme(), fallback.scheme()), ("https", "http"));
        assert_eq!(fallback.host_str(), url.host_str());
    }
    let port = url.port_or_known_default().expect("both schemes have one");
    assert!(leads_to(url.as_str(), target.host(), port));
    let shown = Masked(url).to_string();
    assert!(url.query().is_none_or(|query| query.is_empty() || shown.ends_with("?…")), "{shown}");
    // A name that looks as if it was made unclickable is read as such.
    match Target::parse(url.as_str()) {
        Ok(again) => assert!(again.defanged() || again.url() == url, "{url} is read as {}", again.url()),
        Err(error) => assert!(url.as_str().contains("(dot)"), "{url}: {error}"),
    }
}
