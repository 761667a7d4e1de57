//! Reads facts out of a response head.
//!
//! The HTTP parser has already accepted it; the raw bytes are read once more because the parser gives names
//! back in lower case and out of order. What the two disagree on is read as the parser has it.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use safeurl_protocol::Header;

/// A value is cut here in the report; cookies and policies of large sites stay below.
const MAX_VALUE_BYTES: usize = 8 * 1024;

/// UTF-8, else Latin-1, as the protocol has it.
pub(crate) fn text(value: &HeaderValue) -> String {
    latin(value.as_bytes())
}

/// The first value of a header.
pub(crate) fn first(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(text)
}

/// The values of a header that is a list, as one.
pub(crate) fn joined(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(text).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// All headers, by name and order of the wire where the raw head can be matched.
pub(crate) fn list(headers: &HeaderMap, raw: &[u8]) -> Vec<Header> {
    let (_, on_wire) = from_wire(raw);
    if on_wire.len() == headers.len() {
        return on_wire;
    }
    headers.iter().map(|(name, value)| header(name.as_str().to_owned(), text(value))).collect()
}

fn header(name: String, value: String) -> Header {
    Header { name, value: crate::report::cut(value, MAX_VALUE_BYTES) }
}

fn latin(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The reason phrase as it came: the parser gives back none with bytes beyond ASCII.
pub(crate) fn reason(raw: &[u8]) -> Option<String> {
    let (status_line, _) = from_wire(raw);
    let phrase = status_line.splitn(3, |byte| *byte == b' ').nth(2)?;
    Some(latin(phrase.trim_ascii()))
}

/// The status line and the header lines of the last head in `raw`: those of 1xx responses come before it.
fn from_wire(raw: &[u8]) -> (&[u8], Vec<Header>) {
    let mut found = Vec::new();
    let mut status_line = &raw[..0];
    // Inside a head, and whether it is that of an interim response; blank lines before a head mean nothing.
    let mut head = None;
    for line in raw.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        match head {
            None if line.is_empty() => {}
            None => {
                status_line = line;
                head = Some(is_interim(line));
            }
            Some(false) if line.is_empty() => break,
            Some(true) if line.is_empty() => {
                head = None;
                found.clear();
            }
            Some(_) => add(&mut found, line),
        }
    }
    (status_line, found)
}

fn add(found: &mut Vec<Header>, line: &[u8]) {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        // A folded value goes on, as the parser reads it too.
        if let Some(Header { value, .. }) = found.last_mut() {
            let folded = format!("{value} {}", latin(line.trim_ascii()));
            *value = crate::report::cut(folded, MAX_VALUE_BYTES);
        }
    } else if let Some(colon) = line.iter().position(|byte| *byte == b':') {
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        found.push(header(latin(name.trim_ascii()), latin(value)));
    }
}

/// 101 ends the conversation in HTTP and is the answer itself.
fn is_interim(status_line: &[u8]) -> bool {
    let status = status_line.split(|byte| *byte == b' ').nth(1);
    status.is_some_and(|status| status.starts_with(b"1") && status != b"101")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_case_and_order_and_values_their_bytes() {
        let raw = b"HTTP/1.1 200 OK\r\nX-B: 1\r\n\tand 2\r\nseT-Cookie:a\r\nX-Latin: \xe9\r\n\r\nBody: no";
        let found: Vec<_> = from_wire(raw).1.into_iter().map(|h| (h.name, h.value)).collect();
        let expected = [("X-B", "1 and 2"), ("seT-Cookie", "a"), ("X-Latin", "é")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn the_headers_of_an_interim_response_are_not_those_of_the_page() {
        let raw = b"\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        let (_, found) = from_wire(raw);
        assert_eq!(found, [Header { name: "A".to_owned(), value: "b".to_owned() }]);
    }

    #[test]
    fn a_head_that_cannot_be_matched_is_listed_as_parsed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("1"));
        let listed = list(&headers, b"garbage");
        assert_eq!(listed, [Header { name: "x-a".to_owned(), value: "1".to_owned() }]);
    }
}
