//! CONNECT through the gateway's unix socket, for http and https alike.
//!
//! The gateway is the only party in this conversation that is trusted, but its answer is capped all the
//! same. What it says in refusing decides the class of the hop's error; this file decides nothing more.

use std::path::Path;

use safeurl_protocol::ErrorClass;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::{Opened, Refused};

/// Far more than the gateway ever says.
const MAX_ANSWER_BYTES: u64 = 8 * 1024;

/// A refusal's one line of explanation.
const MAX_MESSAGE_BYTES: u64 = 512;

/// The head of the gateway's answer.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    status: u16,
    connection: Option<u64>,
    rule: Option<String>,
    error: Option<String>,
}

/// Asks for a connection.
pub(super) async fn open(socket: &Path, host: &str, port: u16) -> Result<Opened, Refused> {
    let broken = |error: std::io::Error| {
        Refused::new(ErrorClass::Connect, format!("the egress gateway did not answer: {error}"))
    };
    let mut stream = BufReader::new(UnixStream::connect(socket).await.map_err(broken)?);
    let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let head = read_head(&mut stream).await.map_err(broken)?;
    let answer = parse(&head)
        .ok_or_else(|| Refused::new(ErrorClass::Connect, "the egress gateway closed the connection"))?;
    if answer.status == 200 {
        let connection = answer.connection;
        return Ok(Opened { stream: Box::new(stream), connection });
    }
    let mut message = Vec::new();
    // The explanation is a courtesy: without it the class still stands.
    let _ = stream.take(MAX_MESSAGE_BYTES).read_until(b'\n', &mut message).await;
    Err(refusal(answer, String::from_utf8_lossy(&message).trim()))
}

async fn read_head(stream: &mut BufReader<UnixStream>) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut limited = stream.take(MAX_ANSWER_BYTES);
    loop {
        let before = head.len();
        limited.read_until(b'\n', &mut head).await?;
        let line = &head[before..];
        if line.is_empty() || line == b"\r\n" || line == b"\n" {
            return Ok(head);
        }
    }
}

/// `None`: not an answer at all.
fn parse(head: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.lines();
    let mut start = lines.next()?.split(' ');
    if !start.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let mut answer = Answer { status: start.next()?.parse().ok()?, ..Answer::default() };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "safeurl-connection" => answer.connection = value.parse().ok(),
            "safeurl-rule" => answer.rule = Some(value.to_owned()),
            "safeurl-error" => answer.error = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(answer)
}

fn refusal(answer: Answer, said: &str) -> Refused {
    let rule = answer.rule.as_deref().unwrap_or("unnamed");
    let (class, what) = match (answer.status, answer.error.as_deref()) {
        (403, _) => (ErrorClass::EgressDenied, format!("denied by the rule {rule}")),
        (429, _) => (ErrorClass::Budget, format!("the budget {rule} is used up")),
        // The whole fetch has a deadline of its own; this is one server that did not take the connection.
        (504, _) => (ErrorClass::Connect, "no connection in time".to_owned()),
        (_, Some("dns")) => (ErrorClass::Dns, "the name does not resolve".to_owned()),
        (_, Some("dns_unavailable")) => (ErrorClass::DnsUnavailable, "no resolver answered".to_owned()),
        (_, Some("connect")) => (ErrorClass::Connect, "no connection".to_owned()),
        (status, _) => (ErrorClass::Connect, format!("the egress gateway answered {status}")),
    };
    // The rule says it all: the gateway's sentence would only repeat it.
    let told = said.is_empty() || matches!(answer.status, 403 | 429);
    let message = if told { what } else { format!("{what}: {said}") };
    Refused { class, message, connection: answer.connection }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_gateway_has_its_class() {
        for (head, class) in [
            ("HTTP/1.1 403 Forbidden\r\nSafeurl-Rule: private\r\n\r\n", ErrorClass::EgressDenied),
            ("HTTP/1.1 502 x\r\nSafeurl-Error: dns\r\n\r\n", ErrorClass::Dns),
            ("HTTP/1.1 502 x\r\nsafeurl-error: dns_unavailable\r\n\r\n", ErrorClass::DnsUnavailable),
            ("HTTP/1.1 502 x\r\nSafeurl-Error: connect\r\n\r\n", ErrorClass::Connect),
            ("HTTP/1.1 504 x\r\nSafeurl-Error: connect\r\n\r\n", ErrorClass::Connect),
            ("HTTP/1.1 429 x\r\nSafeurl-Rule: connections\r\n\r\n", ErrorClass::Budget),
            ("HTTP/1.1 400 x\r\n\r\n", ErrorClass::Connect),
        ] {
            let answer = parse(head.as_bytes()).expect("an answer");
            assert_eq!(refusal(answer, "").class, class, "{head:?}");
        }
    }

    #[test]
    fn the_connection_number_is_read_and_nonsense_is_no_answer() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nSafeurl-Connection: 7\r\n\r\n").expect("an answer");
        assert_eq!((answer.status, answer.connection), (200, Some(7)));
        for head in [&b""[..], b"\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"\xff\xfe"] {
            assert_eq!(parse(head), None, "{head:?}");
        }
    }
}
