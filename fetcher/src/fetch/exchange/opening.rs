//! Answers that begin otherwise than HTTP/1 does and are shown by browsers all the same.
//!
//! Firefox and Chrome take `ICY` (radio stations), any version behind `HTTP/`, a few stray bytes before it, and on
//! port 80 a page without any head, as HTTP/0.9 had it. The first bytes are put right on their way to the parser;
//! what was said stays on the tape. A headless answer is taken only where it begins as a page does: whoever else
//! speaks on the port is named instead (see `connect::greeting`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::wire::Wire;

/// Stray bytes before a status line, as Chrome has it.
const MAX_STRAY: usize = 4;

/// Looked at before a decision: stray bytes, `HTTP`, and a version that is not one.
const MAX_FIRST: usize = 24;

/// XMPP, which is no page.
const STREAM: &[u8] = b"<stream";
const HTTP: &[u8] = b"HTTP";
const HEAD: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n";

/// How an answer begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// So many bytes are left out.
    skip: usize,
    /// And these put in their place.
    insert: &'static [u8],
    /// What the server speaks by its own word, where that is not what the parser is told.
    pub(super) claims: Option<String>,
    /// There is no head.
    pub(super) headless: bool,
}

impl Opening {
    const USUAL: Self = Self { skip: 0, insert: b"", claims: None, headless: false };

    /// Reads the first bytes of an answer; `None` when more are needed and may come. `bare` says whether an answer may
    /// have no head.
    pub(super) fn read(first: &[u8], all: bool, bare: bool) -> Option<Self> {
        let all = all || first.len() >= MAX_FIRST;
        let first = first.get(..MAX_FIRST).unwrap_or(first);
        if let Some(at) = status_line(first) {
            return version(first, at, all);
        }
        if !all && first.len() < MAX_STRAY + HTTP.len() {
            return None;
        }
        if first.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"ICY ")) {
            return Some(Self {
                skip: 3,
                insert: b"HTTP/1.0",
                claims: Some("icy".to_owned()),
                headless: false,
            });
        }
        if bare && !all && first.trim_ascii_start().len() < STREAM.len() {
            return None;
        }
        if bare && begins_as_page(first) {
            return Some(Self { skip: 0, insert: HEAD, claims: Some("http/0.9".to_owned()), headless: true });
        }
        Some(Self::USUAL)
    }
}

/// Where a status line begins.
fn status_line(first: &[u8]) -> Option<usize> {
    let words = first.windows(HTTP.len()).take(MAX_STRAY + 1);
    words.enumerate().find(|(_, word)| word.eq_ignore_ascii_case(HTTP)).map(|(at, _)| at)
}

/// The opening of a status line at `at`, by its version.
fn version(first: &[u8], at: usize, all: bool) -> Option<Opening> {
    let start = at + HTTP.len();
    let rest = first.get(start..).unwrap_or_default();
    let Some(length) = rest.iter().position(|byte| matches!(byte, b' ' | b'\r' | b'\n')) else {
        return all.then_some(Opening::USUAL);
    };
    let number = rest.get(..length).unwrap_or_default();
    let known = matches!(number, b"/1.0" | b"/1.1");
    let exact = at == 0 && first.starts_with(HTTP);
    if (known && exact) || !(number.is_empty() || number.starts_with(b"/")) {
        return Some(Opening::USUAL);
    }
    let (insert, claims): (&[u8], _) = match number {
        b"/1.0" => (b"HTTP/1.0", None),
        b"/1.1" => (b"HTTP/1.1", None),
        [b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
            let newer = (major, minor) > (&b'1', &b'1');
            let claims = format!("http/{}.{}", char::from(*major), char::from(*minor));
            (if newer { b"HTTP/1.1" } else { b"HTTP/1.0" }, Some(claims))
        }
        _ => (b"HTTP/1.0", None),
    };
    Some(Opening { skip: start + length, insert, claims, headless: false })
}

/// A tag, a comment or a doctype, but not a stream of XML.
fn begins_as_page(first: &[u8]) -> bool {
    match first.trim_ascii_start() {
        page if page.starts_with(STREAM) => false,
        [b'<', next, ..] => next.is_ascii_alphabetic() || *next == b'!',
        _ => false,
    }
}

/// The wire, with the first bytes put right.
pub(super) struct Opened {
    wire: Wire,
    bare: bool,
    state: State,
}

enum State {
    /// Not yet enough to tell.
    First(Vec<u8>),
    /// The rest of the first bytes.
    Giving(Vec<u8>),
    Through,
}

impl Opened {
    pub(super) fn new(wire: Wire, bare: bool) -> Self {
        Self { wire, bare, state: State::First(Vec::with_capacity(MAX_FIRST)) }
    }

    /// Reads until it is clear how the answer begins.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let State::First(first) = &mut self.state {
            let mut piece = [0; MAX_FIRST];
            let room = MAX_FIRST.saturating_sub(first.len());
            let mut buffer = ReadBuf::new(piece.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(&mut self.wire).poll_read(context, &mut buffer))?;
            first.extend_from_slice(buffer.filled());
            let all = buffer.filled().is_empty();
            if let Some(opening) = Opening::read(first, all, self.bare) {
                let kept = first.get(opening.skip..).unwrap_or_default();
                self.state = State::Giving([opening.insert, kept].concat());
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Opened {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_first(context))?;
        if let State::Giving(rest) = &mut self.state {
            let given = rest.len().min(buffer.remaining());
            buffer.put_slice(rest.get(..given).unwrap_or_default());
            rest.drain(..given);
            let (empty, more) = (rest.is_empty(), given > 0);
            if empty {
                self.state = State::Through;
            }
            if more {
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl AsyncWrite for Opened {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the parser gets of an answer that came whole.
    fn told(first: &[u8], bare: bool) -> Vec<u8> {
        let opening = Opening::read(first, true, bare).expect("decided at the end");
        [opening.insert, &first[opening.skip..]].concat()
    }

    #[test]
    fn what_browsers_take_for_http_is_told_as_http() {
        for (said, expected) in [
            ("HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
            ("HTTP/1.0 200 OK", "HTTP/1.0 200 OK"),
            ("http/1.1 200 OK", "HTTP/1.1 200 OK"),
            ("HTTP/5.6 200 OK", "HTTP/1.1 200 OK"),
            ("HTTP/2.0 200 OK", "HTTP/1.1 200 OK"),
            ("HTTP/0.9 200 OK", "HTTP/1.0 200 OK"),
            ("HTTP/ 200 OK", "HTTP/1.0 200 OK"),
            ("HTTP/2 200 OK", "HTTP/1.0 200 OK"),
            ("HTTP 200 OK", "HTTP/1.0 200 OK"),
            ("ICY 200 OK", "HTTP/1.0 200 OK"),
            (" HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
            ("1234HTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
            ("12345HTTP/1.1 200 OK", "12345HTTP/1.1 200 OK"),
            ("HTTPS needed", "HTTPS needed"),
            ("ICYNESS", "ICYNESS"),
            ("SSH-2.0-x", "SSH-2.0-x"),
            ("HTTP", "HTTP"),
            ("", ""),
        ] {
            assert_eq!(told(said.as_bytes(), true), expected.as_bytes(), "{said}");
        }
    }

    #[test]
    fn only_what_begins_as_a_page_needs_no_head_and_only_where_that_is_allowed() {
        let with_head = |page: &str| [HEAD, page.as_bytes()].concat();
        for page in ["<html>", " \n<!doctype html>", "<p>", "<script>"] {
            assert_eq!(told(page.as_bytes(), true), with_head(page));
            assert_eq!(told(page.as_bytes(), false), page.as_bytes());
        }
        for other in ["<stream:stream>", "<?xml version='1.0'?><stream", "< x", "hello <p>", "<"] {
            assert_eq!(told(other.as_bytes(), true), other.as_bytes());
        }
    }

    #[test]
    fn a_decision_waits_for_the_bytes_it_needs_and_for_no_more() {
        for (said, bare) in [("HTTP/5.6 200", false), ("ICY 200 OK", false), ("<html><title>", true)] {
            let whole = Opening::read(said.as_bytes(), true, bare);
            let decided: Vec<_> =
                (0..said.len()).filter_map(|n| Opening::read(&said.as_bytes()[..n], false, bare)).collect();
            assert!(!decided.is_empty() && decided.iter().all(|one| Some(one) == whole.as_ref()), "{said}");
        }
        assert!(Opening::read(&[b'H'; MAX_FIRST], false, false).is_some());
        assert!(Opening::read(b"HTTP/xxxxxxxxxxxxxxxxxxxxxxxxx", false, false).is_some());
    }
}
