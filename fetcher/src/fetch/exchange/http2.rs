//! HTTP/2 (RFC 9113), for one request and nothing else.
//!
//! The library's own limits stand against floods of small frames, settings and resets; what they let pass ends with the
//! head's limit in bytes or with the deadline.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::client::{Builder, Connection, SendRequest};
use h2::{Reason, RecvStream};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::header;
use url::Url;

use crate::body;
use crate::connect::greeting::{Greeting, greeting};
use crate::connect::wire::{MAX_HEAD_BYTES, Wire};

/// What a server may send before it is told that we read on: enough for a fast page, little enough to hold.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// The head, those of interim responses before it, and the part of the body that may come with it.
pub(super) const HEAD_LIMIT: usize = MAX_HEAD_BYTES + 2 * WINDOW_BYTES as usize;

type Talk = (SendRequest<Bytes>, Connection<Wire, Bytes>);

pub(super) async fn open(wire: Wire) -> Result<Talk, h2::Error> {
    Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .handshake(wire)
        .await
}

/// The same request with the whole URL in its pseudo-headers and without what belongs to an HTTP/1.1 connection
/// (RFC 9113 section 8.2.2).
pub(super) fn request(request: Request<Empty<Bytes>>, url: &Url) -> Result<Request<()>, String> {
    let (mut parts, _) = request.into_parts();
    let host = parts.headers.remove(header::HOST);
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        parts.headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        parts.headers.remove(name);
    }
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{}://{host}{path}", url.scheme())
        .parse()
        .map_err(|error| format!("the address cannot be sent: {error}"))?;
    parts.version = hyper::Version::HTTP_2;
    Ok(Request::from_parts(parts, ()))
}

/// Sends the request; the head of the response. The sender must live as long as the response is read.
pub(super) async fn send(
    sender: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Result<hyper::Response<Received>, h2::Error> {
    std::future::poll_fn(|context| sender.poll_ready(context)).await?;
    let (response, _) = sender.send_request(request, true)?;
    Ok(response.await?.map(Received))
}

/// Why there is no response. `raw` is what arrived first.
pub(super) fn unanswered(error: &h2::Error, raw: &[u8]) -> String {
    match greeting(raw) {
        Greeting::Silence if error.is_io() => {
            return "the server agreed to HTTP/2 and closed the connection without an answer".to_owned();
        }
        Greeting::Http => return "the server agreed to HTTP/2 and answered with HTTP/1".to_owned(),
        Greeting::Http2 | Greeting::Silence => {}
        _ => return format!("the server agreed to HTTP/2 and does not speak it: {error}"),
    }
    reason(error)
}

/// Whether the server refused the request for its protocol alone.
pub(super) fn wants_http1(error: &h2::Error) -> bool {
    error.is_remote() && error.reason() == Some(Reason::HTTP_1_1_REQUIRED)
}

/// How HTTP/2 ended, in words.
fn reason(error: &h2::Error) -> String {
    let Some(reason) = error.reason() else { return format!("HTTP/2: {}", body::chain(error)) };
    let name = format!("{reason:?}");
    match (error.is_go_away(), error.is_remote()) {
        (true, true) => format!("the server ended the HTTP/2 connection: {reason} ({name})"),
        (false, true) => format!("the server reset the HTTP/2 stream: {reason} ({name})"),
        (_, false) => format!("the server breaks the rules of HTTP/2: {reason} ({name})"),
    }
}

/// A response's body, with the window opened again for what was read.
#[derive(Debug)]
pub(super) struct Received(RecvStream);

/// How a body broke off.
#[derive(Debug)]
pub(super) struct Reset(h2::Error);

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&reason(&self.0))
    }
}

impl std::error::Error for Reset {}

impl Body for Received {
    type Data = Bytes;
    type Error = Reset;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Reset>>> {
        let data = match ready!(self.0.poll_data(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Reset(error)))),
            Some(Ok(data)) => data,
        };
        // Fails only for more than was received.
        let _ = self.0.flow_control().release_capacity(data.len());
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}
