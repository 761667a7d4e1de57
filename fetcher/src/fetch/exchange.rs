//! One request and its response, over one connection that is used for nothing else.
//!
//! The exchange is filled in as things happen, so that whatever ends it early leaves what was known until
//! then. Every wait is bounded by the deadline; the connection is driven by the same task and dropped with it.

use std::convert::Infallible;

use http_body_util::Empty;
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap};
use hyper_util::rt::TokioIo;
use safeurl_protocol::{ErrorClass, Exchange, HopError, RedirectKind};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::redirect::{self, Next};
use super::{Context, blank, head, request};
use crate::body;
use crate::connect::Refused;
use crate::connect::wire::{MAX_HEAD_BYTES, Tape, Wire};
use crate::page::{self, Document};

/// More headers than this no honest server sends.
const MAX_HEADERS: usize = 256;

/// What is read of a redirect's own body, which nobody sees.
const REDIRECT_BODY_CAP: usize = 64 * 1024;

/// One hop, done.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) exchange: Exchange,
    /// Present when a response head arrived.
    pub(crate) document: Option<Document>,
    /// Where a browser would go from here.
    pub(crate) next: Option<Next>,
}

/// Fetches `url` with the usual headers and `extra`. The head must arrive before `head_deadline`, the body
/// before the context's.
pub(crate) async fn run(context: &Context<'_>, url: &Url, extra: &HeaderMap, head_deadline: Instant) -> Hop {
    let begun = Instant::now();
    let mut exchange = blank(url.as_str());
    let mut hop = match timeout_at(head_deadline, connect(context, url, &mut exchange)).await {
        Ok(Ok(stream)) => talk(context, url, extra, (begun, head_deadline), stream, exchange).await,
        Ok(Err(refused)) => {
            exchange.connection = refused.connection.or(exchange.connection);
            failed(exchange, refused.class, refused.message)
        }
        Err(_) => failed(exchange, ErrorClass::Timeout, "no connection before the deadline".to_owned()),
    };
    hop.exchange.timings.total_ms = ms(begun);
    hop
}

/// A stream to the server, with TLS where the URL says so.
async fn connect(
    context: &Context<'_>,
    url: &Url,
    exchange: &mut Exchange,
) -> Result<Box<dyn crate::connect::Duplex>, Refused> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(Refused::new(ErrorClass::InvalidTarget, "the URL has no host"));
    };
    let opened = context.plan.way.open(host, port).await?;
    exchange.connection = opened.connection;
    if url.scheme() != "https" {
        return Ok(opened.stream);
    }
    let begun = Instant::now();
    let (stream, tls) = context.tls.handshake(opened.stream, host).await?;
    exchange.timings.tls_ms = Some(ms(begun));
    exchange.tls = Some(tls);
    Ok(stream)
}

/// Sends the request and reads the answer.
async fn talk(
    context: &Context<'_>,
    url: &Url,
    extra: &HeaderMap,
    (begun, head_deadline): (Instant, Instant),
    stream: Box<dyn crate::connect::Duplex>,
    exchange: Exchange,
) -> Hop {
    let request = match request::build(context, url, extra) {
        Ok(request) => request,
        Err(message) => return failed(exchange, ErrorClass::InvalidTarget, message),
    };
    let (wire, tape) = Wire::new(stream);
    let handshake = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .title_case_headers(true)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(wire))
        .await;
    let (mut sender, connection) = match handshake {
        Ok(both) => both,
        Err(error) => return failed(exchange, ErrorClass::HttpProtocol, body::chain(&error)),
    };
    let answer = async {
        match timeout_at(head_deadline, sender.send_request(request)).await {
            Ok(Ok(response)) => read(context, url, response, &tape, begun, exchange).await,
            Ok(Err(error)) => failed(exchange, ErrorClass::HttpProtocol, unanswered(&error)),
            Err(_) => failed(exchange, ErrorClass::Timeout, "no answer before the deadline".to_owned()),
        }
    };
    let drive = async {
        // Its errors reach the answer's side; when it ends, the answer still has to be read.
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        hop = answer => hop,
        never = drive => match never {},
    }
}

fn unanswered(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "the server closed the connection without an answer".to_owned();
    }
    body::chain(error)
}

/// Reads head and body of a response.
async fn read(
    context: &Context<'_>,
    url: &Url,
    response: Response<Incoming>,
    tape: &Tape,
    begun: Instant,
    mut exchange: Exchange,
) -> Hop {
    let raw = tape.take();
    let (parts, body) = response.into_parts();
    exchange.timings.first_byte_ms = Some(ms(begun));
    exchange.status = Some(parts.status.as_u16());
    exchange.status_text = reason(&parts);
    exchange.protocol = Some(match parts.version {
        hyper::Version::HTTP_10 => "http/1.0".to_owned(),
        hyper::Version::HTTP_11 => "http/1.1".to_owned(),
        other => format!("{other:?}").to_ascii_lowercase(),
    });
    exchange.headers = head::list(&parts.headers, &raw);
    let declared = head::first(&parts.headers, header::CONTENT_TYPE);
    exchange.mime_type = declared.as_deref().and_then(page::essence);
    let location = head::first(&parts.headers, header::LOCATION);
    let mut next = redirect::by_status(parts.status.as_u16(), location.as_deref(), url);
    let cap = context.plan.body_cap;
    let cap = if next.is_some() { cap.min(REDIRECT_BODY_CAP) } else { cap };
    let encoding = head::joined(&parts.headers, header::CONTENT_ENCODING);
    let read = body::read(body, encoding.as_deref(), cap, context.deadline).await;
    exchange.size = Some(read.bytes.len() as u64);
    exchange.encoded_size = Some(read.encoded);
    exchange.sha256 = Some(crate::report::sha256(&read.bytes));
    exchange.error = read.error;
    let disposition = head::first(&parts.headers, header::CONTENT_DISPOSITION);
    let source = page::Source { url, declared: declared.as_deref(), disposition: disposition.as_deref() };
    let document = page::read(&source, &read.bytes, read.truncated, context.parse_deadline);
    if next.is_none() {
        let by_header = head::first(&parts.headers, header::REFRESH)
            .and_then(|value| redirect::by_refresh(RedirectKind::Header, &value, url, url));
        next = by_header.or_else(|| {
            let refresh = document.refresh.as_ref()?;
            redirect::by_refresh(RedirectKind::Meta, &refresh.value, url, &refresh.base)
        });
    }
    exchange.redirect = next.as_ref().map(Next::redirect);
    Hop { exchange, document: Some(document), next }
}

fn reason(parts: &hyper::http::response::Parts) -> Option<String> {
    const MAX_REASON_BYTES: usize = 200;
    let text = match parts.extensions.get::<ReasonPhrase>() {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
        None => parts.status.canonical_reason()?.to_owned(),
    };
    Some(crate::report::cut(text, MAX_REASON_BYTES))
}

fn failed(mut exchange: Exchange, class: ErrorClass, message: String) -> Hop {
    exchange.error = Some(HopError { class, message });
    Hop { exchange, document: None, next: None }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
