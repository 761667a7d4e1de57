//! Frames of HTTP/2 as a server sends them (RFC 9113), and servers that send what they must not.

use std::io::{Read, Write};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
const PADDED: u8 = 8;

/// `:status: 200`, from the static table.
pub(crate) const STATUS_200: u8 = 0x88;

/// A frame of RFC 9113 section 4.1.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header that is written out (RFC 7541 section 6.2.2).
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127);
        bytes.push(text.len() as u8);
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

pub(crate) fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// The head of an HTML page.
pub(crate) fn html_head() -> Vec<u8> {
    let block = [vec![STATUS_200], literal("content-type", "text/html")].concat();
    [settings(), frame(HEADERS, END_HEADERS, 1, &block)].concat()
}

/// How a scan of such a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// No response, and said so before the deadline.
    Refused,
    /// No response until the deadline.
    TimedOut,
    /// The whole page.
    Page,
    /// The page with the title, and its body cut by what came then, or by the deadline.
    Cut,
}

/// A server that means harm.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) end: End,
    /// Said first.
    first: Vec<u8>,
    /// Said then, the n-th time, without end; nothing means silence.
    piece: fn(u32) -> Vec<u8>,
}

impl Attack {
    /// Plays it until the other side is gone.
    pub(crate) fn play(&self, stream: &mut (impl Read + Write)) {
        if stream.write_all(&self.first).is_err() {
            return;
        }
        if (self.piece)(0).is_empty() {
            let _ = stream.flush();
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
            return;
        }
        let mut n = 0;
        loop {
            let mut many = Vec::new();
            while many.len() < 16 * 1024 {
                many.extend((self.piece)(n));
                n += 1;
            }
            if stream.write_all(&many).is_err() {
                return;
            }
        }
    }
}

fn silence(_: u32) -> Vec<u8> {
    Vec::new()
}

/// A setting of RFC 9113 section 6.5.1.
fn setting(name: u8, value: u32) -> Vec<u8> {
    let mut payload = vec![0, name];
    payload.extend_from_slice(&value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

const MAX_CONCURRENT_STREAMS: u8 = 3;
const INITIAL_WINDOW_SIZE: u8 = 4;
const MAX_FRAME_SIZE: u8 = 5;

/// Even streams are the server's.
fn even(n: u32) -> u32 {
    n * 2 + 2
}

fn push(n: u32) -> Vec<u8> {
    let request = [vec![0x82, 0x84, 0x87], literal(":authority", "a.test")].concat();
    frame(PUSH_PROMISE, END_HEADERS, 1, &[even(n).to_be_bytes().to_vec(), request].concat())
}

fn widen(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A header of some 4,000 bytes that goes into the table, and then its number again and again: one byte each.
fn packed_headers(times: usize) -> Vec<u8> {
    // The length of the value, 3900, as a number of RFC 7541 section 5.1 with a prefix of 7 bits.
    let mut block = vec![STATUS_200, 0x40, 1, b'x', 0x7f, 0xbd, 0x1d];
    block.extend(std::iter::repeat_n(b'a', 3_900));
    block.extend(std::iter::repeat_n(0xbe, times));
    block
}

fn page() -> Vec<u8> {
    [html_head(), frame(DATA, END_STREAM, 1, b"<title>whole</title>")].concat()
}

fn begun() -> Vec<u8> {
    [html_head(), frame(DATA, 0, 1, b"<title>begun</title>")].concat()
}

/// What is wrong with one connection before there is a response.
fn before_the_head() -> Vec<Attack> {
    let refused = |name, first: &[Vec<u8>], piece| {
        let first = [&[settings()], first].concat().concat();
        Attack { name, end: End::Refused, first, piece }
    };
    vec![
        refused("rapid reset of pushed streams", &[], |n| {
            [push(n), frame(RST_STREAM, 0, even(n), &[0, 0, 0, 8])].concat()
        }),
        refused("resets of streams that nobody opened", &[], |n| {
            frame(RST_STREAM, 0, even(n), &[0, 0, 0, 8])
        }),
        refused("priorities", &[], |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        refused("windows that shrink and grow", &[], |n| setting(INITIAL_WINDOW_SIZE, n % 2 * 65_535)),
        refused("acknowledgements of nothing", &[], |_| frame(SETTINGS, ACK, 0, &[])),
        refused("farewells without leaving", &[], |_| {
            frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])
        }),
        refused(
            "a bomb of packed headers",
            &[frame(HEADERS, END_STREAM, 1, &packed_headers(12_000))],
            |_| frame(CONTINUATION, 0, 1, &[0xbe; 16_000]),
        ),
        refused(
            "packed headers of 30 megabytes",
            &[frame(HEADERS, END_STREAM | END_HEADERS, 1, &packed_headers(8_000))],
            silence,
        ),
        refused("a frame of 16 megabytes", &[vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]], |_| {
            vec![b'x'; 16_000]
        }),
    ]
}

/// One frame that breaks a rule, and then silence: whoever waits for more waits until the deadline.
fn broken_rules() -> Vec<Attack> {
    let most = 0x7fff_ffff;
    let cases: Vec<(&'static str, Vec<u8>)> = vec![
        ("a window that overflows", [widen(0, most), widen(0, most)].concat()),
        ("a window that grows by nothing", widen(0, 0)),
        ("a first window that is too large", setting(INITIAL_WINDOW_SIZE, 0x8000_0000)),
        ("frames of one byte", setting(MAX_FRAME_SIZE, 1)),
        ("half a setting", frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0])),
        ("an acknowledgement with content", frame(SETTINGS, ACK, 0, &[0, 4, 0, 0, 0, 0])),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[])),
        ("a ping on a stream", frame(PING, 0, 1, &[0; 8])),
        ("half a ping", frame(PING, 0, 0, &[0; 4])),
        ("a farewell on a stream", frame(GOAWAY, 0, 1, &[0; 8])),
        ("data on stream 0", frame(DATA, 0, 0, b"x")),
        ("headers on stream 0", frame(HEADERS, END_HEADERS, 0, &[STATUS_200])),
        ("a reset of stream 0", frame(RST_STREAM, 0, 0, &[0, 0, 0, 8])),
        ("half a reset", frame(RST_STREAM, 0, 1, &[0, 0])),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &[STATUS_200])),
        (
            "headers that a ping breaks in two",
            [frame(HEADERS, 0, 1, &[STATUS_200]), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        ("more padding than frame", frame(HEADERS, END_HEADERS | PADDED, 1, &[255, STATUS_200])),
        ("an answer on a stream that we never opened", frame(HEADERS, END_HEADERS, 3, &[STATUS_200])),
        ("an answer on a stream of the server's", frame(HEADERS, END_HEADERS, 2, &[STATUS_200])),
        ("a pushed answer", push(0)),
        ("header number 0", frame(HEADERS, END_HEADERS, 1, &[0x80])),
        ("a header beyond the table", frame(HEADERS, END_HEADERS, 1, &[0xff, 0x80, 0x7f])),
        ("a number without end", frame(HEADERS, END_HEADERS, 1, &[0xff; 16_000])),
        (
            "a table larger than agreed",
            frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xe1, 0xff, 0xff, 3, STATUS_200]),
        ),
        (
            "a name in capitals",
            frame(HEADERS, END_HEADERS, 1, &[vec![STATUS_200], literal("X-A", "b")].concat()),
        ),
        ("two statuses", frame(HEADERS, END_HEADERS, 1, &[STATUS_200, STATUS_200])),
    ];
    let attack = |(name, frames)| Attack {
        name,
        end: End::Refused,
        first: [settings(), frames].concat(),
        piece: silence,
    };
    cases.into_iter().map(attack).collect()
}

/// What is odd and hinders nobody, and what comes in the middle of the page or after it.
fn with_a_head() -> Vec<Attack> {
    let attack = |name, end, first: &[Vec<u8>], piece| Attack { name, end, first: first.concat(), piece };
    let nothing_now = [setting(INITIAL_WINDOW_SIZE, 0), setting(MAX_CONCURRENT_STREAMS, 0)].concat();
    vec![
        attack("no window at all, and silence", End::TimedOut, std::slice::from_ref(&nothing_now), silence),
        // Ours has nothing more to send, and a stream that is done with sending has no window to guard.
        attack(
            "a stream's window that overflows",
            End::TimedOut,
            &[settings(), widen(1, 0x7fff_ffff), widen(1, 0x7fff_ffff)],
            silence,
        ),
        attack("no window at all, and a page", End::Page, &[nothing_now, page()], silence),
        attack("data after the end", End::Page, &[page()], |_| frame(DATA, 0, 1, &[b'x'; 1000])),
        attack("settings in the body", End::Cut, &[begun()], |_| settings()),
        attack("pushes in the body", End::Cut, &[begun()], push),
        attack("priorities in the body", End::Cut, &[begun()], |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16])),
        attack("strange frames in the body", End::Cut, &[begun()], |_| frame(0xfe, 0, 0, &[0; 16_000])),
        attack("a second head", End::Cut, &[begun(), frame(HEADERS, END_HEADERS, 1, &[STATUS_200])], silence),
        attack(
            "trailers without end",
            End::Cut,
            &[begun(), frame(HEADERS, END_STREAM, 1, &packed_headers(12_000))],
            |_| frame(CONTINUATION, 0, 1, &[0xbe; 16_000]),
        ),
        attack("silence in the body", End::Cut, &[begun()], silence),
    ]
}

/// All of them.
pub(crate) fn attacks() -> Vec<Attack> {
    [before_the_head(), broken_rules(), with_a_head()].concat()
}
