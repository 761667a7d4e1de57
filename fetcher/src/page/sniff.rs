//! What bytes look like, whatever they are called.
//!
//! The part of the MIME Sniffing standard (<https://mimesniff.spec.whatwg.org>) that tells pages, pictures and
//! text apart, and the formats malware comes in. Only the front of the bytes is looked at, except where a format
//! says otherwise.

/// Neither a known format nor text.
pub(super) const UNKNOWN: &str = "application/octet-stream";

/// The standard's resource header.
const TEXT_BYTES: usize = 1445;

/// Where the first volume descriptor of a disc image is (ECMA-119).
const ISO_OFFSET: usize = 0x8001;

/// Names of a zip's parts stand at its front and in its directory at the end.
const ZIP_SEARCH_BYTES: usize = 64 * 1024;

const MAGIC: [(&[u8], &str); 34] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"MZ", "application/x-msdownload"),
    (b"\x7fELF", "application/x-elf"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"MSCF\x00\x00\x00\x00", "application/vnd.ms-cab-compressed"),
    (b"ITSF\x03\x00\x00\x00", "application/vnd.ms-htmlhelp"),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "application/x-ms-shortcut"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "application/onenote"),
    (b"{\\rtf", "application/rtf"),
    (b"dex\n", "application/vnd.android.dex"),
    (b"\x00asm", "application/wasm"),
    (b"FWS", "application/vnd.adobe.flash.movie"),
    (b"CWS", "application/vnd.adobe.flash.movie"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"#!", "text/x-shellscript"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"OggS\x00", "application/ogg"),
    (b"wOF2", "font/woff2"),
];

/// The tags the standard takes for a page's first, and a few more that pages without a frame start with.
const TAGS: [&str; 26] = [
    "!doctype html",
    "html",
    "head",
    "script",
    "iframe",
    "h1",
    "div",
    "font",
    "table",
    "a",
    "style",
    "title",
    "b",
    "body",
    "br",
    "p",
    "!--",
    "meta",
    "form",
    "center",
    "link",
    "img",
    "span",
    "input",
    "noscript",
    "base",
];

/// The type of `bytes`; `None` when there are none.
pub(super) fn sniff(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return None;
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Some(zip(bytes));
    }
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic))
        && !(is_short(kind) && is_text(bytes))
    {
        return Some(kind);
    }
    Some(container(bytes).unwrap_or_else(|| if is_text(bytes) { text(bytes) } else { UNKNOWN }))
}

/// Two or three letters that words begin with too: `BM`, `MZ`, `FWS` and the like.
fn is_short(kind: &str) -> bool {
    matches!(
        kind,
        "image/bmp"
            | "application/x-msdownload"
            | "application/x-bzip2"
            | "application/vnd.adobe.flash.movie"
    )
}

/// Formats whose mark is not all at the front.
fn container(bytes: &[u8]) -> Option<&'static str> {
    let at = |from: usize, mark: &[u8]| bytes.get(from..).is_some_and(|rest| rest.starts_with(mark));
    if at(0, b"RIFF") {
        return match bytes.get(8..12) {
            Some(b"WEBP") => Some("image/webp"),
            Some(b"WAVE") => Some("audio/wave"),
            Some(b"AVI ") => Some("video/avi"),
            _ => None,
        };
    }
    if at(0, b"\xca\xfe\xba\xbe") {
        // A class file's version is 45 or more; no fat binary holds that many architectures.
        let count = bytes.get(4..8).and_then(|four| <[u8; 4]>::try_from(four).ok()).map(u32::from_be_bytes);
        let class = count.is_none_or(|count| count >= 45);
        return Some(if class { "application/java-vm" } else { "application/x-mach-binary" });
    }
    if at(4, b"ftyp") {
        return Some(if at(8, b"avif") { "image/avif" } else { "video/mp4" });
    }
    if at(ISO_OFFSET, b"CD001") {
        return Some("application/x-iso9660-image");
    }
    at(257, b"ustar").then_some("application/x-tar")
}

fn zip(bytes: &[u8]) -> &'static str {
    let front = bytes.get(..ZIP_SEARCH_BYTES).unwrap_or(bytes);
    let back = bytes.get(bytes.len().saturating_sub(ZIP_SEARCH_BYTES)..).unwrap_or(bytes);
    let holds = |name: &[u8]| [front, back].iter().any(|part| part.windows(name.len()).any(|at| at == name));
    for (name, kind) in [
        (&b"AndroidManifest.xml"[..], "application/vnd.android.package-archive"),
        (b"word/document.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"xl/workbook", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (
            b"ppt/presentation.xml",
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ),
        (b"META-INF/MANIFEST.MF", "application/java-archive"),
    ] {
        if holds(name) {
            return kind;
        }
    }
    "application/zip"
}

/// No byte that text does not have; a byte order mark of UTF-16 vouches for the rest.
fn is_text(bytes: &[u8]) -> bool {
    let front = bytes.get(..TEXT_BYTES).unwrap_or(bytes);
    front.starts_with(b"\xff\xfe")
        || front.starts_with(b"\xfe\xff")
        || !front.iter().any(|byte| matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f))
}

fn text(bytes: &[u8]) -> &'static str {
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if starts_with(start, "<?xml") {
        let front = start.get(..512).unwrap_or(start);
        return if front.windows(4).any(|at| at.eq_ignore_ascii_case(b"<svg")) {
            "image/svg+xml"
        } else {
            "text/xml"
        };
    }
    if starts_with(start, "<svg") {
        return "image/svg+xml";
    }
    if start.first() == Some(&b'<') && TAGS.iter().any(|tag| is_tag(&start[1..], tag)) {
        return "text/html";
    }
    let json = matches!(start.first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(start).is_ok();
    if json { "application/json" } else { "text/plain" }
}

fn starts_with(bytes: &[u8], word: &str) -> bool {
    bytes.get(..word.len()).is_some_and(|front| front.eq_ignore_ascii_case(word.as_bytes()))
}

fn is_tag(bytes: &[u8], tag: &str) -> bool {
    starts_with(bytes, tag)
        && (tag == "!--"
            || bytes.get(tag.len()).is_none_or(|next| next.is_ascii_whitespace() || b"/>".contains(next)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_known_by_their_first_tag() {
        for page in [
            "<!DOCTYPE html>",
            "\n\t <HTML lang=en>",
            "\u{feff}<script>",
            "<a href=x>",
            "<!--x-->",
            "<p>x",
            "<form/>",
        ] {
            assert_eq!(sniff(page.as_bytes()), Some("text/html"), "{page:?}");
        }
        for other in ["<abbr>", "<!doctype htmlx>", "<", "a < b", "<pre>"] {
            assert_eq!(sniff(other.as_bytes()), Some("text/plain"), "{other:?}");
        }
    }

    #[test]
    fn formats_are_known_by_their_mark() {
        let mut disc = vec![0; ISO_OFFSET];
        disc.extend_from_slice(b"CD001");
        let cases: [(&[u8], &str); 17] = [
            (b"MZ\x90\x00", "application/x-msdownload"),
            (b"\x7fELF\x02", "application/x-elf"),
            (b"\xca\xfe\xba\xbe\x00\x00\x00\x02", "application/x-mach-binary"),
            (b"\xca\xfe\xba\xbe\x00\x00\x00\x34", "application/java-vm"),
            (b"%PDF-1.7", "application/pdf"),
            (
                b"PK\x03\x04....word/document.xml",
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            (
                b"PK\x03\x04....META-INF/MANIFEST.MF..AndroidManifest.xml",
                "application/vnd.android.package-archive",
            ),
            (b"PK\x03\x04....META-INF/MANIFEST.MF", "application/java-archive"),
            (b"PK\x05\x06", "application/zip"),
            (b"Rar!\x1a\x07\x01", "application/vnd.rar"),
            (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
            (b"#!/bin/sh\n", "text/x-shellscript"),
            (b"<?xml version='1.0'?><svg>", "image/svg+xml"),
            (b"<?xml version='1.0'?><rss>", "text/xml"),
            (b" {\"a\": [1]}", "application/json"),
            (b"{not json", "text/plain"),
            (b"a\x00b", UNKNOWN),
        ];
        for (bytes, kind) in cases {
            assert_eq!(sniff(bytes), Some(kind), "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(sniff(&disc), Some("application/x-iso9660-image"));
        assert_eq!(sniff(b""), None);
    }

    #[test]
    fn a_word_that_begins_like_a_format_is_text() {
        for word in ["BMW is a car", "MZ what", "FWS", "BZh"] {
            assert_eq!(sniff(word.as_bytes()), Some("text/plain"), "{word}");
        }
    }
}
