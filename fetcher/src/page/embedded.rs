//! Documents inside a page's own text: `data:` and `blob:` addresses, and the `srcdoc` of frames.
//!
//! Attackers put the page that matters in there, out of sight of whoever reads only the outer one. Each is named
//! with its type, size and digest; those that are HTML are handed on to be read like the page, one level deep.

use safeurl_protocol::{Embedded, EmbeddedKind};

use crate::report::{cut, prefix, sha256};

/// Pages that carry their parts in themselves have dozens of pictures, and few documents.
pub(super) const MAX_EMBEDDED: usize = 50;
/// Of a declared type.
const MAX_TYPE_BYTES: usize = 128;
/// More of one document is not decoded: as much as a whole page may have.
const MAX_DECODED_BYTES: usize = 10 * 1024 * 1024;

/// Types that are documents or programs; an image counts only where it can hold scripts.
const DOCUMENTS: &[&str] = &[
    "text/html",
    "application/xhtml+xml",
    "image/svg+xml",
    "application/pdf",
    "text/xml",
    "application/xml",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "text/ecmascript",
    "application/octet-stream",
    "application/zip",
    "application/hta",
    "application/x-msdownload",
];

/// A document found, and its text when it is HTML.
#[derive(Debug, PartialEq)]
pub(super) struct Found {
    pub(super) embedded: Embedded,
    pub(super) html: Option<Vec<u8>>,
}

/// The document an address carries; `None` for other addresses, and for data that is no document.
pub(super) fn of_address(element: &str, address: &str) -> Option<Found> {
    let address = address.trim_start_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control());
    let (scheme, rest) = address.split_once(':').filter(|(scheme, _)| scheme.len() == 4)?;
    if scheme.eq_ignore_ascii_case("blob") {
        let embedded = Embedded {
            kind: EmbeddedKind::Blob,
            element: element.to_owned(),
            mime_type: None,
            size: None,
            sha256: None,
        };
        return Some(Found { embedded, html: None });
    }
    if !scheme.eq_ignore_ascii_case("data") {
        return None;
    }
    let (head, body) = rest.split_once(',')?;
    let mut parts = prefix(head, 4 * MAX_TYPE_BYTES).split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = if kind.contains('/') { cut(kind, MAX_TYPE_BYTES) } else { "text/plain".to_owned() };
    // In a frame whatever it is becomes a document.
    let frame = matches!(element, "iframe" | "frame" | "object" | "embed");
    let picture = kind.starts_with("image/") && kind != "image/svg+xml";
    if !(DOCUMENTS.contains(&kind.as_str()) || (frame && !picture)) {
        return None;
    }
    let base64 = head.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));
    // The fragment is no part of the data.
    let body = body.split('#').next().unwrap_or_default();
    let mut bytes = percent_decoded(prefix(body, 2 * MAX_DECODED_BYTES));
    if base64 {
        bytes = base64_decoded(&bytes)?;
    }
    Some(found(EmbeddedKind::Data, element, kind, bytes))
}

/// The document of a frame's `srcdoc`.
pub(super) fn of_srcdoc(text: &str) -> Found {
    found(EmbeddedKind::Srcdoc, "iframe", "text/html".to_owned(), text.as_bytes().to_vec())
}

fn found(kind: EmbeddedKind, element: &str, mime_type: String, bytes: Vec<u8>) -> Found {
    let html = matches!(mime_type.as_str(), "text/html" | "application/xhtml+xml" | "image/svg+xml");
    let embedded = Embedded {
        kind,
        element: element.to_owned(),
        size: Some(bytes.len() as u64),
        sha256: Some(sha256(&bytes)),
        mime_type: Some(mime_type),
    };
    Found { embedded, html: html.then_some(bytes) }
}

/// <https://url.spec.whatwg.org/#percent-decode>
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    decoded
}

/// Base64 as browsers forgive it: <https://infra.spec.whatwg.org/#forgiving-base64-decode>, and what comes before
/// something that is none; `None` when that is nothing.
pub(super) fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in text.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (!decoded.is_empty() || text.is_empty()).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(element: &str, address: &str) -> Option<(String, u64)> {
        let embedded = of_address(element, address)?.embedded;
        Some((embedded.mime_type?, embedded.size?))
    }

    #[test]
    fn documents_in_addresses_are_named_with_type_size_and_digest() {
        let got = of_address("iframe", " DATA:Text/HTML;charset=utf-8;Base64,PGI+ eA%3D%3D#f").expect("one");
        assert_eq!(got.html.as_deref(), Some(&b"<b>x"[..]));
        assert_eq!(got.embedded.sha256.as_deref(), Some(sha256(b"<b>x").as_str()));
        assert_eq!(data("a", "data:text/html,<p>%41"), Some(("text/html".to_owned(), 4)));
        assert_eq!(data("img", "data:image/svg+xml,<svg>"), Some(("image/svg+xml".to_owned(), 5)));
        assert_eq!(data("iframe", "data:,x"), Some(("text/plain".to_owned(), 1)));
        assert_eq!(data("iframe", "data:text/html,"), Some(("text/html".to_owned(), 0)));
        let blob = of_address("a", "blob:https://a.test/1-2").expect("one").embedded;
        assert_eq!((blob.kind, blob.size), (EmbeddedKind::Blob, None));
    }

    #[test]
    fn pictures_and_other_addresses_are_none() {
        for (element, address) in [
            ("img", "data:image/png;base64,AAAA"),
            ("iframe", "data:image/gif;base64,AAAA"),
            ("a", "data:text/plain,x"),
            ("a", "data:text/html"),
            ("a", "http://a.test/"),
            ("a", ":"),
            ("iframe", "data:text/html;base64,!!"),
        ] {
            assert_eq!(of_address(element, address), None, "{address}");
        }
    }

    #[test]
    fn decoding_follows_the_standards() {
        assert_eq!(percent_decoded("%41%zz%4"), b"A%zz%4");
        assert_eq!(base64_decoded(b"TWFu\nTQ==").as_deref(), Some(&b"ManM"[..]));
        assert_eq!(base64_decoded(b"TWE").as_deref(), Some(&b"Ma"[..]));
        assert_eq!(base64_decoded(b"="), None);
    }
}
