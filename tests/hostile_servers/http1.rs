//! HTTP/1 that is slow, endless, contradictory or no HTTP.

use std::io::Write as _;
use std::net::TcpStream;

use crate::leftovers;
use crate::scanned::{self, end};
use crate::server::{drip, forever, path, plain};
use crate::stage::Stage;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
const HTML: &str = "<title>page</title>";

/// What a path says, and how a scan of it ends: state, class of the failure, class of the first hop's error.
type Case = (&'static str, [&'static str; 3], fn(&mut TcpStream));

fn say(stream: &mut TcpStream, lines: &str, rest: &str) {
    let _ = stream.write_all(format!("{OK}{lines}\r\n{rest}").as_bytes());
}

const DONE: [&str; 3] = ["COMPLETED", "-", "-"];
const CUT: [&str; 3] = ["COMPLETED", "-", "body"];
const REFUSED: [&str; 3] = ["FAILED", "http_protocol", "http_protocol"];

fn play(site: &'static [Case], timeout: &str) {
    let address = plain(move |head, stream| {
        match site.iter().find(|(name, ..)| path(head) == *name) {
            Some((_, _, play)) => play(stream),
            // The icon.
            None => drop(stream.write_all(b"HTTP/1.1 404 No\r\n\r\n")),
        }
    });
    let stage = Stage::new();
    let urls: Vec<_> = site.iter().map(|(name, ..)| format!("http://{address}{name}")).collect();
    let documents = scanned::all(&stage, &urls, timeout);
    for ((name, expected, _), url) in site.iter().zip(&urls) {
        assert_eq!(end(&documents[url]), *expected, "{name}: {}", documents[url]);
    }
    leftovers::none_within(&stage, std::time::Duration::from_secs(45));
}

#[test]
fn what_contradicts_itself_is_read_in_one_way_or_refused() {
    const SITE: &[Case] = &[
        ("/short", CUT, |s| say(s, "Content-Length: 1000\r\n", HTML)),
        ("/long", DONE, |s| say(s, "Content-Length: 19\r\n", "<title>page</title><p>more")),
        ("/negative", REFUSED, |s| say(s, "Content-Length: -19\r\n", HTML)),
        ("/twice", REFUSED, |s| say(s, "Content-Length: 19\r\nContent-Length: 18\r\n", HTML)),
        ("/huge", CUT, |s| say(s, "Content-Length: 9223372036854775807\r\n", HTML)),
        ("/too-huge", REFUSED, |s| say(s, "Content-Length: 99999999999999999999999\r\n", HTML)),
        ("/both", DONE, |s| {
            say(
                s,
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                "13\r\n<title>page</title>\r\n0\r\n\r\n",
            );
        }),
        ("/folded", DONE, |s| say(s, "X-A: a\r\n b\r\n\tc\r\n", HTML)),
        ("/bare-lf", DONE, |s| say(s, "X-A: a\nX-B: b\n", HTML)),
        ("/bare-cr", REFUSED, |s| say(s, "X-A: a\rX-B: b\r\n", HTML)),
        ("/two", DONE, |s| say(s, "Content-Length: 19\r\n", &format!("{HTML}HTTP/1.1 500 No\r\n\r\n"))),
        ("/101", DONE, |s| {
            let _ = s
                .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx");
        }),
        ("/chunk-nonsense", CUT, |s| say(s, "Transfer-Encoding: chunked\r\n", "zz\r\nabc")),
        ("/chunk-overflow", CUT, |s| say(s, "Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nabc")),
        ("/chunk-negative", CUT, |s| say(s, "Transfer-Encoding: chunked\r\n", "-1\r\nabc")),
        ("/header-of-1-MiB", REFUSED, |s| say(s, &format!("X: {}\r\n", "a".repeat(1024 * 1024)), HTML)),
        ("/100000-headers", REFUSED, |s| say(s, &"X: a\r\n".repeat(100_000), HTML)),
        ("/interim", REFUSED, |s| forever(s, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")),
        ("/no-end-of-head", REFUSED, |s| {
            let _ = s.write_all(OK.as_bytes());
            forever(s, b"X: aaaaaaaa\r\n");
        }),
    ];
    play(SITE, "20s");
}

#[test]
fn what_is_slow_or_has_no_end_lasts_until_the_deadline_and_no_longer() {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
    const LATE: [&str; 3] = ["COMPLETED", "-", "timeout"];
    const SITE: &[Case] = &[
        ("/slow-head", ["TIMED_OUT", "timeout", "timeout"], |s| {
            let _ = s.write_all(b"HTTP/1.1 200 OK\r\nX: ");
            drip(s);
        }),
        ("/slow-body", LATE, |s| {
            say(s, "", HTML);
            drip(s);
        }),
        ("/slow-chunks", LATE, |s| {
            say(s, CHUNKED, "fffff\r\n");
            drip(s);
        }),
        ("/silent-body", LATE, |s| {
            say(s, "Content-Length: 1000\r\n", HTML);
            drip(s);
        }),
    ];
    play(SITE, "6s");
}

#[test]
fn a_body_without_end_stops_at_the_cap() {
    const SITE: &[Case] = &[
        ("/endless", DONE, |s| {
            say(s, "", HTML);
            forever(s, b"word ");
        }),
        ("/endless-chunks", DONE, |s| {
            say(s, "Transfer-Encoding: chunked\r\n", "");
            forever(s, b"a\r\naaaaaaaaaa\r\n");
        }),
    ];
    play(SITE, "60s");
}
