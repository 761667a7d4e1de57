//! From a path to an answer.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::counting::Counting;
use crate::domain::timestamp::Timestamp;
use crate::metrics::{self, Metrics, PartView, Readiness, Standing};

/// A loop that has not turned for this long stands still: it turns once a second, and while a worker starts it may
/// be held up for as long as a busy database is waited for, five seconds.
pub(super) const STANDS_STILL: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// What `/livez` says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Life {
    alive: bool,
    says: String,
    last_turn_ms: u64,
}

/// What `/readyz` says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    ready: bool,
    says: String,
    parts: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    part: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl<'a> Line<'a> {
    fn of(view: &'a PartView) -> Self {
        let part = view.part.as_str();
        match &view.standing {
            Standing::Ready => Self { part, ready: true, waits_for: None, since: None },
            Standing::Waiting { reason, since } => {
                Self { part, ready: false, waits_for: Some(reason), since: Some(*since) }
            }
        }
    }
}

/// The answer.
pub(super) async fn to(
    method: &Method,
    path: &str,
    metrics: &Metrics,
    counting: &Counting,
) -> Response<Full<Bytes>> {
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        let told = "not found: there are /livez, /readyz and /metrics\n";
        return response(StatusCode::NOT_FOUND, TEXT, told.to_owned());
    }
    if method != Method::GET && method != Method::HEAD {
        let mut refused =
            response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD are answered\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => livez(metrics.last_turn()),
        "/readyz" => readyz(&metrics.readiness()),
        _ => {
            let counted = counting.recent().await;
            response(StatusCode::OK, metrics::CONTENT_TYPE, metrics.text(counted.as_deref()))
        }
    }
}

fn livez(last_turn: Duration) -> Response<Full<Bytes>> {
    let alive = last_turn < STANDS_STILL;
    let says = if alive {
        "the loop turns".to_owned()
    } else {
        format!("the loop has not turned for {} s", last_turn.as_secs())
    };
    let last_turn_ms = u64::try_from(last_turn.as_millis()).unwrap_or(u64::MAX);
    json(alive, &Life { alive, says, last_turn_ms })
}

fn readyz(readiness: &Readiness) -> Response<Full<Bytes>> {
    let ready = readiness.is_ready();
    let waits = readiness.parts.iter().filter_map(|view| match &view.standing {
        Standing::Ready => None,
        Standing::Waiting { reason, since } => {
            Some(format!("{}: {reason} (since {since})", view.part.as_str()))
        }
    });
    let says = if ready {
        "jobs can be taken".to_owned()
    } else {
        format!("not ready: {}", waits.collect::<Vec<_>>().join("; "))
    };
    json(ready, &Ready { ready, says, parts: readiness.parts.iter().map(Line::of).collect() })
}

fn json(fine: bool, document: &impl Serialize) -> Response<Full<Bytes>> {
    let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // Text, numbers and truth values: there is nothing in it that is no JSON.
    let body = serde_json::to_string(document).unwrap_or_default();
    response(status, JSON, body + "\n")
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // What was true a moment ago helps nobody.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
