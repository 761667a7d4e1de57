//! One request and its response, over one connection that is used for nothing else.
//!
//! The exchange is filled in as things happen, so that whatever ends it early leaves what was known until
//! then. Every wait is bounded by the deadline; the connection is driven by the same task and dropped with it.

mod http1;
mod http2;
mod opening;

use std::convert::Infallible;

use http_body_util::Empty;
use hyper::body::{Body, Bytes};
use hyper::ext::ReasonPhrase;
use hyper::header;
use hyper::{Request, Response};
use safeurl_protocol::{ErrorClass, Exchange, HopError, RedirectKind};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::redirect::{self, Next, Refreshed};
use super::request::{self, Ask};
use super::{Context, blank, head};
use crate::body;
use crate::connect::greeting::FIRST_BYTES;
use crate::connect::wire::{MAX_HEAD_BYTES, Taken, Trouble, Wire};
use crate::connect::{Duplex, Refused, tls};
use crate::page::{self, Document};
use opening::{Opened, Opening};
use tls::Offer;

/// What is read of a redirect's own body, which nobody sees.
const REDIRECT_BODY_CAP: usize = 64 * 1024;

/// One hop, done.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) exchange: Exchange,
    /// Present when a response head arrived.
    pub(crate) document: Option<Document>,
    /// What was kept of the body, decoded.
    pub(crate) body: Vec<u8>,
    /// Where a browser would go from here.
    pub(crate) next: Option<Next>,
    /// The page asks for itself again, which matters where it has set a cookie.
    pub(crate) again: Option<Next>,
    /// The server wants the same request in HTTP/1.1 and has not looked at this one (RFC 9113 section 7).
    older: bool,
}

/// Sends one request and reads what comes. A server that agreed to HTTP/2 and then asks for HTTP/1.1 gets that once,
/// over a connection of its own, as from a browser; what is reported is the second try.
pub(crate) async fn run(context: &Context<'_>, ask: &Ask<'_>) -> Hop {
    let begun = Instant::now();
    let mut hop = attempt(context, ask, begun, Offer::Both).await;
    if hop.older {
        hop = attempt(context, ask, begun, Offer::Http1).await;
    }
    hop.exchange.timings.total_ms = ms(begun);
    hop
}

async fn attempt(context: &Context<'_>, ask: &Ask<'_>, begun: Instant, offer: Offer) -> Hop {
    let mut exchange = blank(ask.url.as_str());
    match timeout_at(ask.head_deadline, connect(context, ask.url, offer, &mut exchange)).await {
        Ok(Ok(stream)) => talk(context, ask, begun, stream, exchange).await,
        Ok(Err(refused)) => {
            exchange.connection = refused.connection.or(exchange.connection);
            failed(exchange, refused.class, refused.message)
        }
        Err(_) => failed(exchange, ErrorClass::Timeout, "no connection before the deadline".to_owned()),
    }
}

/// A stream to the server, with TLS where the URL says so.
async fn connect(
    context: &Context<'_>,
    url: &Url,
    offer: Offer,
    exchange: &mut Exchange,
) -> Result<Box<dyn Duplex>, Refused> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(Refused::new(ErrorClass::InvalidTarget, "the URL has no host"));
    };
    let opened = context.plan.way.open(host, port).await?;
    exchange.connection = opened.connection;
    if url.scheme() != "https" {
        return Ok(opened.stream);
    }
    let begun = Instant::now();
    let (stream, tls) = context.tls.handshake(opened.stream, host, port, offer).await?;
    exchange.timings.tls_ms = Some(ms(begun));
    exchange.tls = Some(tls);
    Ok(stream)
}

/// Sends the request in the protocol that was agreed on, and reads the answer.
async fn talk(
    context: &Context<'_>,
    ask: &Ask<'_>,
    begun: Instant,
    stream: Box<dyn Duplex>,
    exchange: Exchange,
) -> Hop {
    let request = match request::build(&context.plan.user_agent, ask) {
        Ok(request) => request,
        Err(message) => return failed(exchange, ErrorClass::InvalidTarget, message),
    };
    let agreed = exchange.tls.as_ref().and_then(|facts| facts.alpn.as_deref());
    if agreed == Some(tls::H2) {
        talk_http2(ask, request, begun, stream, exchange).await
    } else {
        talk_http1(ask, request, begun, stream, exchange).await
    }
}

/// The answer that comes out of a stream.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) async fn over(ask: &Ask<'_>, stream: Box<dyn Duplex>, http2: bool) -> Hop {
    let user_agent = hyper::header::HeaderValue::from_static("Mozilla/5.0");
    let (exchange, begun) = (blank(ask.url.as_str()), Instant::now());
    match request::build(&user_agent, ask) {
        Ok(request) if http2 => talk_http2(ask, request, begun, stream, exchange).await,
        Ok(request) => talk_http1(ask, request, begun, stream, exchange).await,
        Err(message) => failed(exchange, ErrorClass::InvalidTarget, message),
    }
}

async fn talk_http1(
    ask: &Ask<'_>,
    request: Request<Empty<Bytes>>,
    begun: Instant,
    stream: Box<dyn Duplex>,
    exchange: Exchange,
) -> Hop {
    let (wire, tape) = Wire::new(stream, MAX_HEAD_BYTES, http1::HEAD_LIMIT);
    // Browsers take an answer without a head only on the port that HTTP/0.9 was spoken on.
    let bare = ask.url.scheme() == "http" && ask.url.port().is_none();
    let (mut sender, connection) = match http1::open(Opened::new(wire, bare)).await {
        Ok(both) => both,
        Err(error) => return failed(exchange, ErrorClass::HttpProtocol, body::chain(&error)),
    };
    let answer = async {
        match timeout_at(ask.head_deadline, sender.send_request(request)).await {
            Ok(Ok(response)) => {
                let raw = tape.take().bytes;
                let opening = Opening::read(&raw, true, bare);
                let headless = opening.as_ref().is_some_and(|opening| opening.headless);
                let head = if headless { &[] } else { raw.as_slice() };
                let mut hop = read(ask, response, head, begun, exchange).await;
                if headless {
                    // Nobody said it.
                    hop.exchange.status_text = None;
                }
                if let Some(claims) = opening.and_then(|opening| opening.claims) {
                    hop.exchange.protocol = Some(claims);
                }
                hop
            }
            Ok(Err(error)) => {
                unanswered(exchange, &tape.take(), |raw| http1::unanswered(&error, raw, ask.url))
            }
            Err(_) => failed(exchange, ErrorClass::Timeout, "no answer before the deadline".to_owned()),
        }
    };
    driven(answer, connection).await
}

async fn talk_http2(
    ask: &Ask<'_>,
    request: Request<Empty<Bytes>>,
    begun: Instant,
    stream: Box<dyn Duplex>,
    exchange: Exchange,
) -> Hop {
    let request = match http2::request(request, ask.url) {
        Ok(request) => request,
        Err(message) => return failed(exchange, ErrorClass::InvalidTarget, message),
    };
    let late = "no answer before the deadline";
    let (wire, tape) = Wire::new(stream, FIRST_BYTES, http2::HEAD_LIMIT);
    let (mut sender, connection) = match timeout_at(ask.head_deadline, http2::open(wire)).await {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => {
            return unanswered(exchange, &tape.take(), |raw| http2::unanswered(&error, raw));
        }
        Err(_) => return failed(exchange, ErrorClass::Timeout, late.to_owned()),
    };
    let answer = async {
        match timeout_at(ask.head_deadline, http2::send(&mut sender, request)).await {
            Ok(Ok(response)) => {
                // No names in the case of the wire are to be had from it.
                drop(tape.take());
                read(ask, response, &[], begun, exchange).await
            }
            Ok(Err(error)) => Hop {
                older: http2::wants_http1(&error),
                ..unanswered(exchange, &tape.take(), |raw| http2::unanswered(&error, raw))
            },
            Err(_) => failed(exchange, ErrorClass::Timeout, late.to_owned()),
        }
    };
    driven(answer, connection).await
}

/// Runs the answer's side beside its connection, and ends both with it.
async fn driven(answer: impl Future<Output = Hop>, connection: impl Future) -> Hop {
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

/// The hop that got no response head, with what the wire knows better than the parser, or else what the first bytes
/// tell.
fn unanswered(exchange: Exchange, taken: &Taken, told: impl FnOnce(&[u8]) -> String) -> Hop {
    match &taken.trouble {
        Some(Trouble::Alert(code)) => failed(exchange, ErrorClass::Tls, tls::alert::sentence(*code)),
        Some(Trouble::Misbehaved(how)) => {
            failed(exchange, ErrorClass::Tls, format!("TLS broke after the handshake: {how}"))
        }
        Some(Trouble::NoEnd(bytes)) => {
            let message = format!("{bytes} bytes arrived and the response's head did not end");
            failed(exchange, ErrorClass::HttpProtocol, message)
        }
        None => failed(exchange, ErrorClass::HttpProtocol, told(&taken.bytes)),
    }
}

/// Reads head and body of a response.
async fn read<B>(
    ask: &Ask<'_>,
    response: Response<B>,
    raw: &[u8],
    begun: Instant,
    mut exchange: Exchange,
) -> Hop
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error,
{
    let url = ask.url;
    let (parts, body) = response.into_parts();
    exchange.timings.first_byte_ms = Some(ms(begun));
    exchange.status = Some(parts.status.as_u16());
    exchange.status_text = reason(&parts, raw);
    exchange.protocol = Some(match parts.version {
        hyper::Version::HTTP_10 => "http/1.0".to_owned(),
        hyper::Version::HTTP_11 => "http/1.1".to_owned(),
        hyper::Version::HTTP_2 => "h2".to_owned(),
        other => format!("{other:?}").to_ascii_lowercase(),
    });
    exchange.headers = head::list(&parts.headers, raw);
    let declared = head::joined(&parts.headers, header::CONTENT_TYPE);
    exchange.mime_type = declared.as_deref().and_then(page::essence);
    let location = head::first(&parts.headers, header::LOCATION);
    let mut next = redirect::by_status(parts.status.as_u16(), location.as_deref(), url);
    let cap = if next.is_some() { ask.body_cap.min(REDIRECT_BODY_CAP) } else { ask.body_cap };
    let encoding = head::joined(&parts.headers, header::CONTENT_ENCODING);
    let read = body::read(body, encoding.as_deref(), cap, ask.deadline).await;
    exchange.size = Some(read.bytes.len() as u64);
    exchange.encoded_size = Some(read.encoded);
    exchange.sha256 = Some(crate::report::sha256(&read.bytes));
    exchange.error = read.error;
    let disposition = head::first(&parts.headers, header::CONTENT_DISPOSITION);
    let options = head::joined(&parts.headers, header::X_CONTENT_TYPE_OPTIONS);
    let source = page::Source {
        url,
        declared: declared.as_deref(),
        disposition: disposition.as_deref(),
        options: options.as_deref(),
    };
    let document = page::read(&source, &read.bytes, read.truncated, ask.parse_deadline);
    let mut again = None;
    if next.is_none() {
        let by_header = head::first(&parts.headers, header::REFRESH)
            .and_then(|value| redirect::by_refresh(RedirectKind::Header, &value, url, url));
        let by_page = document
            .refresh
            .as_ref()
            .and_then(|refresh| redirect::by_refresh(RedirectKind::Meta, &refresh.value, url, &refresh.base));
        for refreshed in [by_header, by_page].into_iter().flatten() {
            match refreshed {
                Refreshed::Away(to) => next = next.or(Some(to)),
                Refreshed::Again(to) => again = again.or(Some(to)),
            }
        }
    }
    exchange.redirect = next.as_ref().map(Next::redirect);
    Hop { exchange, document: Some(document), body: read.bytes, next, again, older: false }
}

/// HTTP/2 has none.
fn reason(parts: &hyper::http::response::Parts, raw: &[u8]) -> Option<String> {
    const MAX_REASON_BYTES: usize = 200;
    if parts.version == hyper::Version::HTTP_2 {
        return None;
    }
    let text = match parts.extensions.get::<ReasonPhrase>() {
        Some(phrase) if phrase.as_bytes().is_empty() => head::reason(raw).unwrap_or_default(),
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
        None => parts.status.canonical_reason()?.to_owned(),
    };
    Some(crate::report::cut(text, MAX_REASON_BYTES))
}

fn failed(mut exchange: Exchange, class: ErrorClass, message: String) -> Hop {
    exchange.error = Some(HopError { class, message });
    Hop { exchange, document: None, body: Vec::new(), next: None, again: None, older: false }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
