//! What a server sends: heads, bodies, certificates, cookies, redirects, and the rules of its site.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Cursor;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame};
use hyper::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use safeurl_protocol::{Exchange, RedirectKind};
use tokio::time::Instant;
use url::Url;

use super::{block_on, first_line};
use crate::body::{self, Read};
use crate::connect::{certificate as leaf, greeting as spoken};
use crate::fetch::cookies::Jar;
use crate::fetch::redirect::{Refreshed, Visited, by_refresh, by_status};
use crate::robots::{Robots, product};

/// Kept of a body: small, so that inputs reach it.
const CAP: usize = 4 * 1024;

/// Longer than any input takes; the time limit of a run comes first.
const LONG: Duration = Duration::from_secs(120);

/// 2026-11-21T00:00:00Z.
const NOW: i64 = 1_795_219_200;

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL of ours")
}

/// An answer in HTTP/1, from the status line (or what stands in its place) to the end of the connection.
pub(super) fn answer_http1(data: &[u8]) {
    answer_holds(data, false);
}

/// The frames of a server that agreed to HTTP/2.
pub(super) fn answer_http2(data: &[u8]) {
    answer_holds(data, true);
}

fn answer_holds(data: &[u8], http2: bool) {
    let page = url("http://site.test/folder/page?x=1");
    let hop = block_on(async {
        let stream = tokio::io::join(Cursor::new(data.to_vec()), tokio::io::sink());
        crate::fetch::answered(&page, Box::new(stream), http2, CAP, Instant::now() + LONG).await
    });
    let Exchange { status, error, headers, size, sha256, protocol, .. } = &hop.exchange;
    assert_eq!(status.is_some(), hop.document.is_some());
    assert!(
        status.is_some() || error.as_ref().is_some_and(|error| !error.message.is_empty()),
        "no answer, and no reason"
    );
    assert!(status.is_none_or(|status| (100..1000).contains(&status)));
    assert_eq!(status.is_some(), protocol.is_some());
    assert!(headers.iter().all(|header| header.value.len() <= 8 * 1024));
    assert!(hop.body.len() <= CAP);
    if let Some(document) = &hop.document {
        assert_eq!(*size, Some(hop.body.len() as u64));
        assert_eq!(sha256.as_deref(), Some(document.content.sha256.as_str()));
        assert!(error.is_none() || document.content.truncated, "a body that broke off is not whole");
    }
    let json = serde_json::to_string(&hop.exchange).expect("an exchange can be written");
    assert_eq!(serde_json::from_str::<Exchange>(&json).expect("and read again"), hop.exchange);
    if let Some(next) = &hop.next {
        admitted_holds(next);
    }
}

/// Encodings that servers name, one of which the first byte of an input picks.
const ENCODINGS: [&str; 10] = [
    "gzip",
    "deflate",
    "br",
    "zstd",
    "gzip, gzip",
    "br, gzip",
    "zstd, br",
    "identity, x-gzip",
    "gzip, snappy",
    "",
];

/// Comes in pieces.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn read_in_pieces(data: &[u8], encoding: &str, length: usize) -> Read {
    let pieces = Pieces(data.chunks(length).map(Bytes::copy_from_slice).collect());
    block_on(async { body::read(pieces, Some(encoding), CAP, Instant::now() + LONG).await })
}

/// One byte for the coding, one for the length of the pieces, then the body.
pub(super) fn body(data: &[u8]) {
    let [coding, length, data @ ..] = data else { return };
    let encoding = ENCODINGS[usize::from(*coding) % ENCODINGS.len()];
    let whole = read_in_pieces(data, encoding, data.len().max(1));
    let pieces = read_in_pieces(data, encoding, usize::from(*length).max(1));
    for read in [&whole, &pieces] {
        assert!(read.bytes.len() <= CAP && read.encoded <= data.len() as u64);
        assert!(read.error.is_none() || read.truncated, "a body that broke off is not whole");
        assert!(read.error.as_ref().is_none_or(|error| !error.message.is_empty()));
    }
    if encoding.is_empty() {
        assert_eq!(whole.bytes, data[..data.len().min(CAP)]);
    }
    let is_bomb = pieces.error.as_ref().is_some_and(|error| error.message.contains("bomb"));
    if whole.error.is_none() && !is_bomb {
        assert_eq!((&whole.bytes, whole.truncated), (&pieces.bytes, pieces.truncated), "cut into {length}");
        assert!(pieces.error.is_none(), "{:?}", pieces.error);
    }
}

pub(super) fn certificate(data: &[u8]) {
    let read = leaf::read(&CertificateDer::from(data));
    assert!(read.san_list.len() <= 250 && read.san_list.iter().all(|name| name.len() <= 300));
    assert!([&read.subject, &read.issuer].into_iter().flatten().all(|name| name.len() <= 1024));
    for seconds in [read.valid_from, read.valid_to].into_iter().flatten() {
        assert!(!leaf::date(seconds).is_empty());
    }
    if let Some(seconds) = data.first_chunk() {
        assert!(!leaf::date(i64::from_be_bytes(*seconds)).is_empty());
    }
}

/// A Set-Cookie value a line, from three hosts in turn.
pub(super) fn cookies(data: &[u8]) {
    let hosts =
        ["https://a.shop.example/folder/page", "http://shop.example/", "https://192.0.2.1/x"].map(url);
    let mut jar = Jar::default();
    for (line, from) in String::from_utf8_lossy(data).lines().zip(hosts.iter().cycle()) {
        jar.store(from, line, NOW);
    }
    let foreign =
        ["https://example/", "https://other.example/", "https://ashop.example/", "https://192.0.2.10/"];
    for page in foreign.map(url) {
        assert_eq!(jar.header(&page, NOW), None, "{page} gets what it did not set");
    }
    for page in &hosts {
        let Some(sent) = jar.header(page, NOW) else { continue };
        assert!(!sent.is_empty() && sent.len() <= 16 * 1024);
        assert!(sent.split("; ").count() <= 50 || sent.contains(";;"), "more cookies than are kept");
        HeaderValue::from_bytes(sent.as_bytes()).expect("what is kept can be sent");
    }
    // What https alone has set is nothing that plain http shows.
    let mut secure = Jar::default();
    for line in String::from_utf8_lossy(data).lines() {
        secure.store(&hosts[0], &format!("{line}; Secure"), NOW);
    }
    assert_eq!(secure.header(&url("http://a.shop.example/folder/page"), NOW), None);
}

pub(super) fn greeting(data: &[u8]) {
    let plain = |text: &str| text.len() < 400 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let tls = spoken::instead_of_tls(data, "http://a.test/");
    let http = spoken::instead_of_http(data, "https://a.test/");
    for told in [tls, http].into_iter().flatten() {
        assert!(!told.is_empty() && plain(&told), "{told:?}");
    }
    // Only the first bytes are looked at.
    let first = data.get(..spoken::FIRST_BYTES).unwrap_or(data);
    assert_eq!(spoken::greeting(first) == spoken::Greeting::Silence, data.is_empty());
}

/// A Location or a refresh value, and in the next line the base that a page names.
pub(super) fn redirect(data: &[u8]) {
    let page = url("http://site.test/folder/page?x=1#here");
    let (value, rest) = first_line(data);
    let base = page.join(&first_line(rest).0).unwrap_or_else(|_| page.clone());
    for status in [200, 301, 302, 303, 304, 307, 308] {
        let next = by_status(status, Some(&value), &base);
        assert_eq!(next.is_some(), !matches!(status, 200 | 304));
        next.iter().for_each(admitted_holds);
    }
    if let Some(target) = crate::fetch::refresh_target(&value) {
        assert!(value.contains(target));
    }
    match by_refresh(RedirectKind::Meta, &value, &page, &base) {
        Some(Refreshed::Away(next) | Refreshed::Again(next)) => admitted_holds(&next),
        None => {}
    }
}

/// Wherever a site sends us, a request can be made there and gives nothing away.
fn admitted_holds(next: &crate::fetch::redirect::Next) {
    assert!(next.redirect().to.len() <= 4 * 1024);
    let mut visited = Visited::new(&url("http://first.test/"));
    let Ok(to) = visited.admit(next, false, 8 * 1024, |_| None) else { return };
    assert!(matches!(to.scheme(), "http" | "https") && to.host_str().is_some_and(|host| !host.is_empty()));
    assert!(to.username().is_empty() && to.password().is_none() && to.fragment().is_none(), "{to}");
    assert_eq!(Url::parse(to.as_str()).as_ref(), Ok(&to), "another parser would go elsewhere");
    assert!(visited.admit(next, false, 8 * 1024, |_| None).is_err(), "a loop");
}

/// The path that is asked for, then the file.
pub(super) fn robots(data: &[u8]) {
    let (path, file) = first_line(data);
    let robots = Robots::parse(file);
    let lines = file.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(robots.rules() <= 2 * lines && robots.agents().count() <= lines);
    assert!(robots.decide("safeurl", "/robots.txt").allowed);
    for agent in ["safeurl", "", &product(file)] {
        let decision = robots.decide(agent, &path);
        assert_eq!(decision, robots.decide(&agent.to_ascii_uppercase(), &path));
        match &decision.rule {
            Some(rule) => {
                assert!(
                    rule.len() <= 500
                        && rule.starts_with(if decision.allowed { "Allow: " } else { "Disallow: " })
                );
            }
            None => assert!(decision.allowed, "nothing is refused without a rule"),
        }
    }
}
