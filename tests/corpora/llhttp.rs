//! The responses and requests that llhttp, the parser of Node.js, is tested with, as a server would send them to us.
//!
//! Each case is a text and the log of what llhttp makes of it. The bytes are served on loopback and fetched by the whole
//! program. What we must report follows from the log by these rules:
//!
//! 1. We ask once, so one response counts: the first that is not interim (1xx but 101). What comes after it, and what
//!    llhttp says of that, belongs to nobody.
//! 2. An error before the headers are complete means no response: an error of class `http_protocol` and no status.
//!    So do RTSP and ICE, which llhttp reads and which are not HTTP.
//! 3. llhttp is strict by default and says by a case's type where it is told to be lenient. Browsers are lenient, and
//!    so are we: a missing CR (llhttp's own flag `optional-cr-before-lf`) is no error, nor is a version before a status
//!    that is none or unknown, which browsers take for 1.0 or 1.1, nor a header whose name is none, which they leave
//!    out, nor blanks around the size of a chunk or an extension of one that is not well formed, since RFC 9112
//!    section 7.1.1 has extensions ignored. Of such a case only that it is accepted is compared, with its status.
//! 4. Else status, names of headers in their order and the number of body bytes are those of the log. An error after
//!    the headers, or a length or chunks that are not all there when the connection ends, is an error of class `body`.
//! 5. Answers to HEAD (`skipBody`) have a head only; we ask with GET and compare the head only.
//! 6. The requests are no responses: an error of class `http_protocol`.

#[path = "tally.rs"]
pub mod tally;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use safeurl_protocol::{Bridge, Egress, ErrorClass, Invocation, Method, Report};

/// One case of a file.
struct Case {
    id: String,
    meta: String,
    input: Vec<u8>,
    log: Vec<String>,
}

/// What llhttp made of one message.
#[derive(Default)]
struct Message {
    protocol: String,
    status: Option<u16>,
    flags: u32,
    names: Vec<String>,
    body: u64,
    complete: bool,
    error: Option<String>,
}

/// What must be reported.
#[derive(Debug, PartialEq)]
enum Expected {
    NoResponse,
    /// A response; the rest where it is compared.
    Response {
        status: u16,
        names: Option<Vec<String>>,
        body: Option<(u64, bool)>,
    },
}

/// The text of a fence as the bytes it stands for: lines end with CR LF, a backslash joins them, escapes are escapes.
fn bytes(text: &str) -> Vec<u8> {
    let text = text.strip_suffix('\n').unwrap_or(text).replace("\\\n", "").replace('\n', "\r\n");
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let escaped = match rest.get(..2) {
            Some("\\r") => Some(b'\r'),
            Some("\\n") => Some(b'\n'),
            Some("\\t") => Some(b'\t'),
            Some("\\f") => Some(0x0c),
            _ => None,
        };
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &rest[2..];
        } else if let Some(byte) =
            rest.strip_prefix("\\x").and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok())
        {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.extend_from_slice(c.to_string().as_bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    bytes
}

fn cases(folder: &str, file: &str) -> Vec<Case> {
    let text = tally::text(&format!("http_torture/llhttp/test/{folder}/{file}"));
    let (mut cases, mut meta) = (Vec::new(), String::new());
    let (mut kind, mut fence): (Option<String>, String) = (None, String::new());
    for line in text.lines() {
        match (&kind, line.strip_prefix("```")) {
            (None, Some(name)) => kind = Some(name.to_owned()),
            (Some(name), Some(_)) => {
                match (name.as_str(), cases.last_mut()) {
                    ("http", _) => cases.push(Case {
                        id: format!("{folder}/{file}#{}", cases.len() + 1),
                        meta: meta.clone(),
                        input: bytes(&fence),
                        log: Vec::new(),
                    }),
                    ("log", Some(case)) => case.log = fence.lines().map(str::to_owned).collect(),
                    _ => {}
                }
                (kind, fence) = (None, String::new());
            }
            (Some(_), None) => {
                fence.push_str(line);
                fence.push('\n');
            }
            (None, None) if line.starts_with("<!-- meta=") => meta = line.to_owned(),
            (None, None) => {}
        }
    }
    cases
}

/// The value after `key=` up to the next blank.
fn value<'a>(line: &'a str, key: &str) -> &'a str {
    line.split_once(key).and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default()
}

fn messages(log: &[String]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for line in log {
        if line.contains(" message begin") {
            messages.push(Message::default());
        }
        let Some(message) = messages.last_mut() else { continue };
        let span = line.split_once(" span[").map(|(_, span)| span.split_once("]=").unwrap_or((span, "")));
        match span {
            Some(("protocol", text)) => message.protocol = text.trim_matches('"').to_owned(),
            Some(("header_field", text)) => message.names.push(text.trim_matches('"').to_owned()),
            Some(("body", _)) => message.body += value(line, "len=").parse::<u64>().expect("a length"),
            Some(_) => {}
            None if line.contains("headers complete") => {
                message.status = Some(value(line, "status=").parse().expect("a status"));
                message.flags = u32::from_str_radix(value(line, "flags="), 16).expect("flags");
            }
            None if line.contains("message complete") => message.complete = true,
            None if line.contains(" error code=") => {
                message.error =
                    line.split_once("reason=").map(|(_, reason)| reason.trim_matches('"').to_owned());
            }
            None => {}
        }
    }
    messages
}

/// Errors of llhttp's strict mode that are none for a browser (rule 3).
const LENIENT: [&str; 8] = [
    "Invalid HTTP version",
    "Expected dot",
    "Expected space after version",
    "Missing expected CR after response line",
    "Invalid header token",
    "Invalid character in chunk size",
    "Invalid character in chunk extensions",
    "Invalid character in chunk extensions quoted value",
];

/// In the flags of llhttp: chunks, or a length.
const FRAMED: u32 = 0x8 | 0x20;

fn expected(case: &Case) -> Expected {
    let messages = messages(&case.log);
    let interim =
        |message: &&Message| message.status.is_some_and(|status| status / 100 == 1 && status != 101);
    let Some(message) = messages.iter().find(|message| !interim(message)) else {
        return Expected::NoResponse;
    };
    if message.protocol != "HTTP" {
        return Expected::NoResponse;
    }
    let lenient = !message.complete && message.error.as_deref().is_some_and(|error| LENIENT.contains(&error));
    if lenient {
        // The status stands in the first line; without one nobody reads it.
        let line = String::from_utf8_lossy(&case.input);
        let status = line.split(' ').nth(1).and_then(|word| word.get(..3)?.parse().ok());
        let response = |status| Expected::Response { status, names: None, body: None };
        return status.map_or(Expected::NoResponse, response);
    }
    let Some(status) = message.status else { return Expected::NoResponse };
    let names = Some(message.names.clone());
    if case.meta.contains("skipBody") {
        return Expected::Response { status, names, body: None };
    }
    let broken = !message.complete && (message.error.is_some() || message.flags & FRAMED != 0);
    Expected::Response { status, names, body: Some((message.body, broken)) }
}

/// Answers every connection with these bytes.
fn serve(input: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let input = input.clone();
            thread::spawn(move || answer(&mut stream, &input));
        }
    });
    address
}

fn answer(stream: &mut TcpStream, input: &[u8]) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    let _ = stream.write_all(input);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn fetch(input: Vec<u8>) -> Report {
    let address = serve(input);
    safeurl_fetcher::fetch(Invocation {
        attempt: "llhttp/1".to_owned(),
        url: format!("http://{address}/"),
        fallback_url: None,
        method: Method::Get,
        headers: Vec::new(),
        user_agent: "test agent".to_owned(),
        timeout_ms: 60_000,
        // Some lead into the world.
        max_redirects: 0,
        body_cap: 1024 * 1024,
        output_cap: 1024 * 1024,
        respect_robots: false,
        evidence: false,
        egress: Egress::Bridge(Bridge {
            allow_networks: vec![format!("{}/32", address.ip())],
            // Nobody is asked for a name.
            resolvers: vec!["127.0.0.1:1".to_owned()],
            ..Bridge::default()
        }),
    })
    .expect("a good invocation")
}

fn check(expected: &Expected, report: &Report) -> Result<(), String> {
    let hop = &report.requests[0];
    let class = hop.error.as_ref().map(|error| error.class);
    let differ = |what: &str| {
        let names: Vec<_> = hop.headers.iter().map(|header| header.name.as_str()).collect();
        let said = hop.error.as_ref().map(|error| &error.message);
        Err(format!(
            "{what}: expected {expected:?}, got {:?} {names:?} {:?} {said:?}",
            hop.status, hop.encoded_size
        ))
    };
    let Expected::Response { status, names, body } = expected else {
        let refused = hop.status.is_none() && class == Some(ErrorClass::HttpProtocol);
        return if refused { Ok(()) } else { differ("accepted") };
    };
    if hop.status != Some(*status) {
        return differ("status");
    }
    if names.as_ref().is_some_and(|names| hop.headers.iter().map(|header| &header.name).ne(names)) {
        return differ("headers");
    }
    let broken = class == Some(ErrorClass::Body);
    if body.is_some_and(|(bytes, ends_badly)| hop.encoded_size != Some(bytes) || broken != ends_badly) {
        return differ("body");
    }
    Ok(())
}

#[test]
fn responses_and_requests_are_read_as_their_authors_say() {
    let folder = tally::corpora().join("http_torture/llhttp/test");
    let (mut all, mut fences) = (Vec::new(), 0);
    for kind in ["response", "request"] {
        let listed = std::fs::read_dir(folder.join(kind)).expect("the folder can be listed");
        let mut files: Vec<_> =
            listed.map(|file| file.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        files.sort();
        for file in files {
            let text = tally::text(&format!("http_torture/llhttp/test/{kind}/{file}"));
            fences += text.matches("```http").count();
            all.extend(cases(kind, &file).into_iter().map(|case| (kind, case)));
        }
    }
    let requests = all.iter().filter(|(kind, _)| *kind == "request").count();
    println!("{} responses, {requests} requests", all.len() - requests);
    let mut tally = tally::Tally::new("llhttp", fences);
    for (kind, case) in all {
        assert!(!case.log.is_empty(), "{} has no log", case.id);
        let expected = if kind == "request" { Expected::NoResponse } else { expected(&case) };
        tally.case(case.id, check(&expected, &fetch(case.input)));
    }
    tally.finish();
}
