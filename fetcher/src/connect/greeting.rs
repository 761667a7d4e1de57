//! What speaks on a port, by the first bytes it says. Pure.
//!
//! A link to the wrong port is a common mistake and a common trick; whoever reads the report is told which it is,
//! not which byte a parser stumbled over.

use super::tls::alert;

/// As much of an answer as is looked at.
pub(crate) const FIRST_BYTES: usize = 64;

/// Of a stranger's banner, so much is quoted.
const MAX_QUOTED: usize = 40;

/// Banners and their protocols; the first that fits.
const BANNERS: &[(&[u8], &str)] = &[
    (b"SSH-", "SSH"),
    (b"RFB ", "VNC"),
    (b"+OK", "POP3"),
    (b"* OK", "IMAP"),
    (b"* PREAUTH", "IMAP"),
    (b"* BYE", "IMAP"),
    (b"-ERR", "Redis or POP3"),
    (b"+PONG", "Redis"),
    (b"RTSP/", "RTSP"),
    (b"SIP/", "SIP"),
    (b"AMQP", "AMQP"),
    (b"@RSYNCD", "rsync"),
    (b"INFO {", "NATS"),
    (b"ERROR\r\n", "memcached"),
    (b"<?xml version='1.0'?><stream", "XMPP"),
    (b"<stream:", "XMPP"),
    (b":irc", "IRC"),
    (b"NOTICE AUTH", "IRC"),
    (b"\xff\xfb", "Telnet"),
    (b"\xff\xfd", "Telnet"),
    (b"\x03\x00\x00", "RDP"),
];

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Greeting {
    /// A status line.
    Http,
    /// A TLS record with an alert: its version and its code.
    Alert(u16, u8),
    /// A TLS record with a ServerHello of this version.
    Hello(u16),
    /// Another TLS record.
    Tls,
    /// An answer of SSL 2.0.
    Ssl2,
    /// A frame of HTTP/2 settings.
    Http2,
    /// A protocol known by its banner.
    Banner(&'static str),
    /// Nothing at all.
    Silence,
    Unknown,
}

/// Reads the first bytes of an answer.
pub(crate) fn greeting(bytes: &[u8]) -> Greeting {
    match bytes {
        [] => Greeting::Silence,
        // Content type, version, length; in clear text an alert is two bytes: level and code.
        [21, 3, minor @ 0..=4, 0, 2, _, code, ..] => Greeting::Alert(version(*minor), *code),
        [22, 3, 0..=4, _, _, 2, _, _, _, 3, minor, ..] => Greeting::Hello(version(*minor)),
        [20..=23, 3, 0..=4, ..] => Greeting::Tls,
        // A length with the high bit, then SERVER-HELLO or ERROR.
        [high, _, 0 | 4, ..] if high & 0x80 != 0 => Greeting::Ssl2,
        // Length (a multiple of six), type SETTINGS, no flag but ACK, stream 0.
        [0, 0, length, 4, 0 | 1, 0, 0, 0, 0, ..] if length.is_multiple_of(6) => Greeting::Http2,
        _ if bytes.starts_with(b"HTTP/") => Greeting::Http,
        // FTP and SMTP both greet with 220; only their words differ.
        _ if bytes.starts_with(b"220") || bytes.starts_with(b"421") || bytes.starts_with(b"554") => {
            Greeting::Banner(mail_or_files(bytes))
        }
        _ => BANNERS
            .iter()
            .find(|(banner, _)| bytes.starts_with(banner))
            .map_or(Greeting::Unknown, |(_, protocol)| Greeting::Banner(protocol)),
    }
}

fn mail_or_files(bytes: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(bytes).to_ascii_uppercase();
    if text.contains("SMTP") {
        "SMTP"
    } else if text.contains("FTP") {
        "FTP"
    } else {
        "SMTP or FTP"
    }
}

const fn version(minor: u8) -> u16 {
    0x0300 | minor as u16
}

/// The name of a version of TLS.
const fn version_name(version: u16) -> &'static str {
    match version {
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        _ => "TLS 1.3",
    }
}

const TOO_OLD: &str = "which browsers no longer accept";

/// Why there is no TLS with who answered so; `None` when the bytes do not tell. The URL is what would work with a
/// server that speaks plain HTTP.
pub(crate) fn instead_of_tls(bytes: &[u8], plain_url: &str) -> Option<String> {
    match greeting(bytes) {
        Greeting::Http | Greeting::Http2 => Some(plain(plain_url)),
        // Simple servers explain a request that they cannot read without any head.
        Greeting::Unknown if is_page(bytes) => Some(plain(plain_url)),
        Greeting::Alert(version, 70) if version < 0x0303 => {
            Some(format!("{} (it answered in {})", alert::sentence(70), version_name(version)))
        }
        Greeting::Alert(_, code) => Some(alert::sentence(code)),
        Greeting::Hello(version) if version < 0x0303 => {
            Some(format!("the server speaks {} at most, {TOO_OLD}", version_name(version)))
        }
        Greeting::Ssl2 => Some(format!("the server speaks SSL 2.0 at most, {TOO_OLD}")),
        Greeting::Banner(protocol) => {
            Some(format!("the server speaks {protocol}, not TLS: {}", quoted(bytes)))
        }
        Greeting::Unknown => Some(format!("the server does not answer with TLS, but with {}", quoted(bytes))),
        Greeting::Hello(_) | Greeting::Tls | Greeting::Silence => None,
    }
}

fn plain(url: &str) -> String {
    format!("the server does not answer with TLS but with plain HTTP; {url} would work")
}

fn is_page(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    let begins = |tag: &[u8]| bytes.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    begins(b"<!doctype html") || begins(b"<html")
}

/// Why there is no HTTP with who answered so; `None` when the bytes do not tell. The URL is what would work with a
/// server that speaks TLS.
pub(crate) fn instead_of_http(bytes: &[u8], tls_url: &str) -> Option<String> {
    match greeting(bytes) {
        Greeting::Alert(..) | Greeting::Hello(_) | Greeting::Tls => {
            Some(format!("the port speaks TLS, not plain HTTP; {tls_url} would work"))
        }
        Greeting::Ssl2 => Some(format!("the port speaks SSL 2.0, {TOO_OLD}")),
        Greeting::Http2 => Some("the server speaks HTTP/2 without having been asked to".to_owned()),
        Greeting::Banner(protocol) => {
            Some(format!("the server speaks {protocol}, not HTTP: {}", quoted(bytes)))
        }
        Greeting::Unknown => Some(format!("the answer is not HTTP: it begins with {}", quoted(bytes))),
        Greeting::Http | Greeting::Silence => None,
    }
}

/// The first line, with everything escaped that is not plain text.
fn quoted(bytes: &[u8]) -> String {
    let line =
        bytes.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
    let line = line.get(..MAX_QUOTED).unwrap_or(line);
    format!("\"{}\"", line.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_on_a_port_is_told_by_the_first_bytes() {
        for (bytes, expected) in [
            (&b""[..], Greeting::Silence),
            (b"HTTP/1.1 400 Bad Request\r\n", Greeting::Http),
            (&[21, 3, 1, 0, 2, 2, 70], Greeting::Alert(0x0301, 70)),
            (&[22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1, 9, 9], Greeting::Hello(0x0301)),
            (&[22, 3, 0, 0, 42, 2, 0, 0, 38, 3, 0, 9, 9], Greeting::Hello(0x0300)),
            (&[22, 3, 3, 0, 42], Greeting::Tls),
            (&[0x80, 0x03, 0, 0, 1], Greeting::Ssl2),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3], Greeting::Http2),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Greeting::Banner("SSH")),
            (b"220 mail.test ESMTP Postfix\r\n", Greeting::Banner("SMTP")),
            (b"220 (vsFTPd 3.0.3)\r\n", Greeting::Banner("FTP")),
            (b"* OK IMAP4rev1 ready\r\n", Greeting::Banner("IMAP")),
            (b"<html>", Greeting::Unknown),
            (&[21], Greeting::Unknown),
        ] {
            assert_eq!(greeting(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_banner_is_quoted_without_what_a_terminal_would_obey() {
        let said = instead_of_http(b"SSH-2.0-\x1b[31m\xff\"evil\r\nmore", "").expect("a reason");
        assert_eq!(said, r#"the server speaks SSH, not HTTP: "SSH-2.0-\x1b[31m\xff\"evil""#);
        let long = instead_of_http(&[b'x'; 500], "").expect("a reason");
        assert!(long.len() < 100, "{long}");
    }
}
