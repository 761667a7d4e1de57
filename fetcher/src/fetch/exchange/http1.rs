//! HTTP/1.0 and HTTP/1.1, read as leniently as browsers do.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use url::Url;

use super::opening::Opened;
use crate::body;
use crate::connect::greeting::{Greeting, greeting, instead_of_http};
use crate::connect::wire::MAX_HEAD_BYTES;

/// The head's bytes are the bound that counts; this keeps the table of headers from growing with headers of no
/// length. A page with a few hundred is one that browsers show.
const MAX_HEADERS: usize = 1000;

/// The head and those of interim responses before it.
pub(super) const HEAD_LIMIT: usize = 2 * MAX_HEAD_BYTES;

type Talk = (SendRequest<Empty<Bytes>>, Connection<TokioIo<Opened>, Empty<Bytes>>);

pub(super) async fn open(wire: Opened) -> Result<Talk, hyper::Error> {
    Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .ignore_invalid_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .title_case_headers(true)
        .handshake(TokioIo::new(wire))
        .await
}

/// Why there is no response. `raw` is what arrived.
pub(super) fn unanswered(error: &hyper::Error, raw: &[u8], url: &Url) -> String {
    let over_tls = url.scheme() == "https";
    let tls_url = format!(
        "https://{}:{}/",
        url.host_str().unwrap_or_default(),
        url.port_or_known_default().unwrap_or_default()
    );
    match greeting(raw) {
        Greeting::Silence => return "the server closed the connection without an answer".to_owned(),
        Greeting::Http if error.is_incomplete_message() => {
            return "the server closed the connection in the middle of the response's head".to_owned();
        }
        // Inside TLS these bytes are not a record.
        Greeting::Alert(..) | Greeting::Hello(_) | Greeting::Tls if over_tls => {}
        _ => {
            if let Some(told) = instead_of_http(raw, &tls_url) {
                return told;
            }
        }
    }
    body::chain(error)
}
