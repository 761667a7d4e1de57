//! The request a container may make: `CONNECT host:port HTTP/1.1`, and nothing else.
//!
//! A pure function over bytes, strict on purpose: the other side is our own fetcher, or something that took it
//! over. Whether the host may be dialled is decided elsewhere.

/// The longest head, final empty line included.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The most header fields; our fetcher sends one.
const MAX_FIELDS: usize = 32;

/// The longest host: a domain name in text form (RFC 1035 section 2.3.4), with room for a trailing dot.
const MAX_HOST_BYTES: usize = 254;

/// Where a connection is wanted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// A name or an address in any spelling, without the brackets of IPv6; never empty.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a head is not a CONNECT request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Longer than [`MAX_HEAD_BYTES`].
    #[error("the request head is too long")]
    TooLong,
    /// Bytes after the head: nothing may be sent before the answer.
    #[error("there are bytes after the request head")]
    Early,
    /// Control characters, bare line feeds, or bytes that are not ASCII.
    #[error("the request head has characters that do not belong there")]
    Characters,
    /// Not three words separated by single spaces.
    #[error("the request line is malformed")]
    RequestLine,
    /// Another method than CONNECT.
    #[error("only the method CONNECT is served")]
    Method,
    /// Another version than HTTP/1.1.
    #[error("only HTTP/1.1 is served")]
    Version,
    /// Not `host:port` or `[address]:port`.
    #[error("the target is not host:port")]
    Target,
    /// A field that is malformed, or too many of them.
    #[error("a header field is malformed")]
    Field,
    /// A CONNECT request has no body (RFC 9110 section 9.3.6).
    #[error("the request announces a body")]
    Body,
}

/// Reads a request head.
///
/// `Ok(None)` means that the head is not complete yet.
///
/// # Errors
/// [`BadRequest`] as soon as the bytes cannot become a request that is served.
pub fn parse(bytes: &[u8]) -> Result<Option<Connect>, BadRequest> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() >= MAX_HEAD_BYTES { Err(BadRequest::TooLong) } else { Ok(None) };
    };
    if end + 4 > MAX_HEAD_BYTES {
        return Err(BadRequest::TooLong);
    }
    if end + 4 < bytes.len() {
        return Err(BadRequest::Early);
    }
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| BadRequest::Characters)?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    if head.replace("\r\n", "").bytes().any(|b| !matches!(b, b' '..=b'~' | b'\t')) {
        return Err(BadRequest::Characters);
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BadRequest::RequestLine);
    };
    if method != "CONNECT" {
        return Err(BadRequest::Method);
    }
    if version != "HTTP/1.1" {
        return Err(BadRequest::Version);
    }
    let connect = authority(target).ok_or(BadRequest::Target)?;
    for (n, line) in lines.enumerate() {
        if n >= MAX_FIELDS {
            return Err(BadRequest::Field);
        }
        field(line)?;
    }
    Ok(Some(connect))
}

fn field(line: &str) -> Result<(), BadRequest> {
    let (name, _) = line.split_once(':').ok_or(BadRequest::Field)?;
    // RFC 9110 section 5.6.2; this also refuses folded lines and space before the colon.
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(BadRequest::Field);
    }
    if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
        return Err(BadRequest::Body);
    }
    Ok(())
}

fn authority(target: &str) -> Option<Connect> {
    let (host, port) = target.rsplit_once(':')?;
    if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok()?;
    let host = match host.strip_prefix('[') {
        Some(rest) => {
            let inner = rest.strip_suffix(']')?;
            inner.contains(':').then_some(inner)?
        }
        None => (!host.contains(':')).then_some(host)?,
    };
    // What the URL standard forbids in a host can only be there to confuse another parser. Everything else may come
    // out of a link, and whether it is a name is the resolver's to say, which writes down what it refuses.
    let forbidden = |b: u8| !b.is_ascii_graphic() || b"/\\@?#[]<>^|".contains(&b);
    if host.is_empty() || host.len() > MAX_HOST_BYTES || host.bytes().any(forbidden) {
        return None;
    }
    Some(Connect { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn connect(target: &str) -> Result<Option<Connect>, BadRequest> {
        parse(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())
    }

    #[test]
    fn host_and_port_are_read_as_they_stand() {
        for (target, host, port) in [
            ("example.com:443", "example.com", 443),
            ("Example.COM.:80", "Example.COM.", 80),
            ("127.0.0.1:0", "127.0.0.1", 0),
            ("0x7f.1:65535", "0x7f.1", 65535),
            ("[::1]:8080", "::1", 8080),
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
            ("%31.example:80", "%31.example", 80),
            ("${a}\"`.example:80", "${a}\"`.example", 80),
        ] {
            assert_eq!(connect(target), Ok(Some(Connect { host: host.into(), port })), "{target}");
        }
    }

    #[test]
    fn anything_but_host_and_port_is_refused() {
        let long = format!("{}:80", "a".repeat(255));
        for target in [
            "\t.example:80",
            "example.com\t:80",
            "example.com",
            "example.com:",
            ":80",
            "example.com:http",
            "example.com:+80",
            "example.com:65536",
            "example.com:000080",
            "a:b:80",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[example.com]:80",
            "[[::1]]:80",
            "http://example.com:80",
            "user@example.com:80",
            "a/b:80",
            "a\\b:80",
            "a?b:80",
            "a#b:80",
            &long,
        ] {
            assert_eq!(connect(target), Err(BadRequest::Target), "{target}");
        }
    }

    #[test]
    fn only_a_clean_connect_request_without_a_body_is_read() {
        for (head, error) in [
            ("GET http://example.com/ HTTP/1.1\r\n\r\n", BadRequest::Method),
            ("connect a:80 HTTP/1.1\r\n\r\n", BadRequest::Method),
            ("CONNECT a:80 HTTP/1.0\r\n\r\n", BadRequest::Version),
            ("CONNECT a:80 HTTP/2\r\n\r\n", BadRequest::Version),
            ("CONNECT  a:80 HTTP/1.1\r\n\r\n", BadRequest::RequestLine),
            ("CONNECT a:80\r\n\r\n", BadRequest::RequestLine),
            ("\r\nCONNECT a:80 HTTP/1.1\r\n\r\n", BadRequest::RequestLine),
            ("CONNECT a:80 HTTP/1.1\nX: y\r\n\r\n", BadRequest::Characters),
            ("CONNECT a:80 HTTP/1.1\r\nX: \u{0}\r\n\r\n", BadRequest::Characters),
            ("CONNECT ä:80 HTTP/1.1\r\n\r\n", BadRequest::Characters),
            ("CONNECT a:80 HTTP/1.1\r\nX\r\n\r\n", BadRequest::Field),
            ("CONNECT a:80 HTTP/1.1\r\nX : y\r\n\r\n", BadRequest::Field),
            ("CONNECT a:80 HTTP/1.1\r\nX: y\r\n folded\r\n\r\n", BadRequest::Field),
            ("CONNECT a:80 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", BadRequest::Body),
            ("CONNECT a:80 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", BadRequest::Body),
            ("CONNECT a:80 HTTP/1.1\r\n\r\nX", BadRequest::Early),
        ] {
            assert_eq!(parse(head.as_bytes()), Err(error), "{head:?}");
        }
        let fields = "X: y\r\n".repeat(MAX_FIELDS + 1);
        let head = format!("CONNECT a:80 HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(parse(head.as_bytes()), Err(BadRequest::Field));
    }

    #[test]
    fn a_head_is_complete_at_its_empty_line_and_never_longer_than_the_limit() {
        let head = b"CONNECT a:80 HTTP/1.1\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(parse(&head[..end]), Ok(None), "the first {end} bytes");
        }
        assert!(parse(head).expect("a request").is_some());
        assert_eq!(parse(&vec![b'a'; MAX_HEAD_BYTES]), Err(BadRequest::TooLong));
        let mut padded = b"CONNECT a:80 HTTP/1.1\r\nX: ".to_vec();
        padded.resize(MAX_HEAD_BYTES - 3, b'y');
        padded.extend_from_slice(b"\r\n\r\n");
        assert_eq!(parse(&padded), Err(BadRequest::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_read_is_a_usable_host(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            target in "[\\[\\]:.a-z0-9%@/-]{0,24}",
        ) {
            let _ = parse(&noise);
            if let Ok(Some(read)) = connect(&target) {
                prop_assert!(!read.host.is_empty() && read.host.len() <= MAX_HOST_BYTES);
                prop_assert!(!read.host.contains(['/', '@', '[', ']', ' ']));
            }
        }
    }
}
