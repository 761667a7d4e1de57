//! What bytes are, whatever they are called, and whether a browser shows them as a page.
//!
//! The MIME Sniffing standard (<https://mimesniff.spec.whatwg.org>) decides what a browser does with a response; its
//! signatures and those of the formats that malware comes in say what the bytes are. The two differ on purpose: a program
//! that is declared as a page is shown as one, and is reported for what it is.

use data_url::mime::Mime;

use super::Source;
use super::magic::MAGIC;
use super::{container, mime, textual};

/// Neither a known format nor text.
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// The standard's resource header.
const HEADER_BYTES: usize = 1445;

/// Searched for tags where bytes that begin as something else are declared as a page.
const TAG_SEARCH_BYTES: usize = 64 * 1024;

/// The type of `bytes`; `None` when there are none.
pub(crate) fn sniff(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return None;
    }
    let text = is_text(bytes);
    let by_mark = MAGIC.iter().find(|magic| magic.fits(bytes) && !(text && magic.is_weak()));
    let kind = container::kind(bytes).or_else(|| by_mark.map(|magic| magic.kind));
    Some(kind.unwrap_or_else(|| if text { textual::kind(bytes) } else { UNKNOWN }))
}

/// No byte that text does not have; a byte order mark vouches for the rest (MIME Sniffing section 7.2).
fn is_text(bytes: &[u8]) -> bool {
    let front = bytes.get(..HEADER_BYTES).unwrap_or(bytes);
    [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf"].iter().any(|mark| front.starts_with(mark))
        || !front.iter().any(|byte| matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f))
}

/// Whether a type is one of text.
pub(super) fn is_textual(kind: &str) -> bool {
    kind.starts_with("text/")
        || kind.ends_with("xml")
        || kind.ends_with("json")
        || matches!(
            kind,
            "application/hta"
                | "application/x-mswinurl"
                | "application/x-desktop"
                | "application/x-bat"
                | "application/x-powershell"
        )
}

/// Whether a browser shows the body as a page, and runs its scripts.
///
/// That is HTML by the standard's computed type, XHTML, XML whose elements are XHTML, and a picture in SVG that has
/// scripts or a page inside: opened by itself, it is a page. An XSL transformation is not carried out.
pub(super) fn is_page(source: &Source<'_>, bytes: &[u8], sniffed: Option<&str>) -> bool {
    let declared = source.declared.and_then(mime::extract);
    let essence = declared.as_ref().and_then(mime::essence);
    match essence.as_deref() {
        // With nosniff nothing that could run a script is found in bytes without a type.
        None | Some("unknown/unknown" | "application/unknown" | "*/*") => {
            !source.options.is_some_and(is_nosniff)
                && match sniffed {
                    Some("text/html" | "application/hta") => true,
                    Some(_) => bytes.trim_ascii_start().starts_with(b"<?xml") && is_xml_page(bytes),
                    None => false,
                }
        }
        Some("text/html" | "application/xhtml+xml") => is_markup(bytes, sniffed),
        Some(_) if declared.as_ref().is_some_and(is_xml) => is_xml_page(bytes),
        Some(_) => false,
    }
}

/// The first value of X-Content-Type-Options (<https://fetch.spec.whatwg.org/#determine-nosniff>).
fn is_nosniff(options: &str) -> bool {
    options.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("nosniff"))
}

fn is_xml(mime: &Mime) -> bool {
    mime.subtype.ends_with("+xml") || mime.matches("text", "xml") || mime.matches("application", "xml")
}

/// A browser shows whatever is declared as HTML. We leave out bytes in which there is nothing to show: those that begin as
/// another format, are no text and hold no tag. `GIF89a` in front of a page does not hide it.
fn is_markup(bytes: &[u8], sniffed: Option<&str>) -> bool {
    let front = bytes.get(..TAG_SEARCH_BYTES).unwrap_or(bytes);
    sniffed.is_none_or(|kind| is_textual(kind) || kind == UNKNOWN)
        || is_text(bytes)
        || holds(front, &["<!doctype html", "<html", "<body", "<script", "<form", "<iframe", "<meta "])
}

/// XML that a browser shows as a page: it has elements of XHTML, or is a picture that does something.
fn is_xml_page(bytes: &[u8]) -> bool {
    holds(bytes, &["http://www.w3.org/1999/xhtml"])
        || holds(bytes, &["<svg"])
            && holds(bytes, &["<script", "<foreignobject", "onload=", "onclick=", "javascript:"])
}

/// Whether one of the words stands in the bytes, in any case.
fn holds(bytes: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| {
        let word = word.as_bytes();
        let Some((first, rest)) = word.split_first() else { return false };
        let mut left = bytes;
        while let Some(at) = left.iter().position(|byte| byte.eq_ignore_ascii_case(first)) {
            left = left.get(at + 1..).unwrap_or_default();
            if left.get(..rest.len()).is_some_and(|found| found.eq_ignore_ascii_case(rest)) {
                return true;
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn formats_are_known_by_their_mark() {
        let mut disc = vec![0; 0x8001];
        disc.extend_from_slice(b"CD001");
        let cases: [(&[u8], &str); 21] = [
            (b"MZ\x90\x00", "application/x-msdownload"),
            (b"\x7fELF\x02", "application/x-elf"),
            (b"\xca\xfe\xba\xbe\x00\x00\x00\x02", "application/x-mach-binary"),
            (b"\xca\xfe\xba\xbe\x00\x00\x00\x34", "application/java-vm"),
            (b"%PDF-1.7", "application/pdf"),
            (b"PK\x05\x06", "application/zip"),
            (b"Rar!\x1a\x07\x01\x00", "application/vnd.rar"),
            (b"Rar!\x1a\x07\x00", "application/vnd.rar"),
            (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
            (b"#!/bin/sh\n", "text/x-shellscript"),
            (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
            (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "application/onenote"),
            (b"vhdxfile", "application/x-vhdx"),
            (b"\x00\x01\x00\x00Standard Jet DB\x00", "application/x-msaccess"),
            (b"\x00\x01\x00\x00\x00\x0f", "font/ttf"),
            (b"{\\rtf1", "application/rtf"),
            (b"ID3\x03\x00", "audio/mpeg"),
            (b"dex\n035\x00", "application/vnd.android.dex"),
            (b"a\x00b", UNKNOWN),
            (b"\xef\xbb\xbfa\x00b", "text/plain"),
            (b"plain", "text/plain"),
        ];
        for (bytes, kind) in cases {
            assert_eq!(sniff(bytes), Some(kind), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(sniff(&disc), Some("application/x-iso9660-image"));
        assert_eq!(sniff(b""), None);
    }

    #[test]
    fn a_word_that_begins_like_a_format_is_text() {
        for word in
            ["BMW is a car", "MZ what", "FWS", "BZh", "ID3 is a tag", "OTTO", "a -lh option", "dex\nx"]
        {
            assert_eq!(sniff(word.as_bytes()), Some("text/plain"), "{word}");
        }
    }

    fn page(declared: Option<&str>, options: Option<&str>, bytes: &[u8]) -> bool {
        let url = Url::parse("http://a.test/").expect("a URL");
        is_page(&Source { url: &url, declared, disposition: None, options }, bytes, sniff(bytes))
    }

    #[test]
    fn what_is_declared_as_html_is_a_page_whatever_stands_in_front() {
        let html = Some("text/html");
        for bytes in
            [&b"words"[..], b"GIF89a<script>x</script>", b"GIF89a\x01\x00<ScRipt>", b"MZ\x00<html>", b""]
        {
            assert!(page(html, None, bytes), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(page(Some("text/plain, text/html"), Some("nosniff"), b"x"));
        for bytes in [&b"MZ\x90\x00\x03"[..], b"\x89PNG\r\n\x1a\n\x00"] {
            assert!(!page(html, None, bytes), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn bytes_without_a_type_are_a_page_by_their_first_tag_unless_sniffing_is_forbidden() {
        for declared in [None, Some("*/*"), Some("nonsense"), Some("unknown/unknown")] {
            assert!(page(declared, None, b"<!doctype html>"), "{declared:?}");
            assert!(!page(declared, Some("NoSniff, x"), b"<!doctype html>"), "{declared:?}");
            assert!(!page(declared, None, b"words"), "{declared:?}");
        }
        for declared in ["text/plain", "application/octet-stream", "image/png"] {
            assert!(!page(Some(declared), None, b"<!doctype html>"), "{declared}");
        }
    }

    #[test]
    fn xml_is_a_page_where_it_does_what_a_page_does() {
        let active = b"<svg xmlns='http://www.w3.org/2000/svg'><script>x</script></svg>";
        let picture = b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0'/></svg>";
        let xhtml = b"<?xml version='1.0'?><x:html xmlns:x='http://www.w3.org/1999/xhtml'/>";
        for declared in ["image/svg+xml", "text/xml", "application/xml; charset=utf-8"] {
            assert!(page(Some(declared), None, active), "{declared}");
            assert!(page(Some(declared), None, xhtml), "{declared}");
            assert!(!page(Some(declared), None, picture), "{declared}");
            assert!(!page(Some(declared), None, b"<rss/>"), "{declared}");
        }
        assert!(page(None, None, xhtml));
        assert!(!page(None, None, active), "without a type and an XML declaration it is text to a browser");
    }
}
