//! From a body's bytes to facts: what it is, what it is called, and what an HTML page holds.
//!
//! Hostile bytes are parsed in here, inside the container, and nowhere else. Work, memory and every list are
//! bounded; a page that is too much is read as far as it goes and the content says `truncated`.

mod address;
mod charset;
mod collect;
mod comment;
mod contact;
mod dom;
mod email;
mod embedded;
mod file_name;
mod form;
mod json_ld;
mod marker;
mod parse;
mod phone;
mod script;
mod sniff;
mod text;
mod visible;

use std::time::Duration;

use safeurl_protocol::{Content, Features};
use tokio::time::Instant;
use url::Url;

/// A megabyte takes some 50 ms; a page that needs this long is built to take long.
const PARSE_LIMIT: Duration = Duration::from_secs(5);

/// What the response says about its body.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) url: &'a Url,
    /// Content-Type.
    pub(crate) declared: Option<&'a str>,
    /// Content-Disposition.
    pub(crate) disposition: Option<&'a str>,
}

/// What a body is.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) content: Content,
    /// Present for HTML.
    pub(crate) features: Option<Features>,
    /// The refresh a browser that runs scripts would act upon.
    pub(crate) refresh: Option<Refresh>,
    /// The address of the page's icon, absolute, or whole where it carries the icon itself.
    pub(crate) icon: Option<String>,
}

/// A meta refresh as it stands in the page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refresh {
    /// The `content` attribute.
    pub(crate) value: String,
    /// What its target is relative to.
    pub(crate) base: Url,
}

/// Reads a body. Stops at `deadline`, keeping what was found.
pub(crate) fn read(source: &Source<'_>, bytes: &[u8], truncated: bool, deadline: Instant) -> Document {
    let sniffed = sniff::sniff(bytes);
    let html = is_html(source.declared, sniffed);
    let charset = is_text(source.declared, sniffed).then(|| charset::detect(bytes, source.declared, html));
    let page = match charset {
        Some(encoding) if html => {
            let deadline = deadline.min(Instant::now() + PARSE_LIMIT).into_std();
            let parsed = parse::parse(bytes, encoding, deadline);
            let page = collect::collect(&parsed.dom, source.url, deadline);
            let stopped = parsed.stopped || page.stopped;
            Some((page, stopped))
        }
        _ => None,
    };
    let attachment = source.disposition.is_some_and(file_name::is_attachment);
    let content = Content {
        sha256: crate::report::sha256(bytes),
        md5: Some(crate::report::md5(bytes)),
        size: bytes.len() as u64,
        declared_mime_type: source.declared.map(|value| crate::report::cut(value.to_owned(), 256)),
        sniffed_mime_type: sniffed.map(str::to_owned),
        charset: charset.map(|encoding| encoding.name().to_ascii_lowercase()),
        truncated: truncated || page.as_ref().is_some_and(|(_, stopped)| *stopped),
        file_name: file_name::of(source, html),
        name_matches_type: None,
        attachment,
        text: page.as_ref().map(|(page, _)| page.text.clone()),
    };
    let (features, refresh, icon) = match page {
        Some((page, _)) => (Some(page.features), page.refresh, page.icon),
        None => (None, None, None),
    };
    Document { content, features, refresh, icon }
}

/// The facts of a page in UTF-8, by itself.
pub(crate) fn features(html: &[u8], url: &str) -> Option<Features> {
    let url = Url::parse(url).ok()?;
    let deadline = std::time::Instant::now() + PARSE_LIMIT;
    let parsed = parse::parse(html, encoding_rs::UTF_8, deadline);
    Some(collect::collect(&parsed.dom, &url, deadline).features)
}

/// The type of a Content-Type value without parameters, lower case; `None` when it is not a type.
pub(crate) fn essence(declared: &str) -> Option<String> {
    let essence = declared.split([';', ',']).next()?.trim().to_ascii_lowercase();
    let (kind, sub) = essence.split_once('/')?;
    let good = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b))
    };
    (good(kind) && good(sub) && essence.len() <= 127).then_some(essence)
}

/// As a browser decides: a declared type counts, except that bytes which plainly are something else are not
/// parsed as a page, and a type that says nothing leaves it to the bytes.
fn is_html(declared: Option<&str>, sniffed: Option<&str>) -> bool {
    match declared.and_then(essence).as_deref() {
        Some("text/html" | "application/xhtml+xml") => {
            sniffed.is_none_or(|kind| {
                kind.starts_with("text/") || kind.ends_with("xml") || kind.ends_with("json")
            }) || sniffed == Some(sniff::UNKNOWN)
        }
        None | Some("unknown/unknown" | "application/unknown" | "*/*") => sniffed == Some("text/html"),
        Some(_) => false,
    }
}

fn is_text(declared: Option<&str>, sniffed: Option<&str>) -> bool {
    is_html(declared, sniffed)
        || sniffed
            .is_some_and(|kind| kind.starts_with("text/") || kind.ends_with("xml") || kind.ends_with("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn document(declared: Option<&str>, bytes: &[u8]) -> Document {
        let url = Url::parse("http://a.test/dir/invoice.pdf").expect("a URL");
        let far = Instant::now() + Duration::from_secs(600);
        read(&Source { url: &url, declared, disposition: None }, bytes, false, far)
    }

    #[test]
    fn a_program_that_calls_itself_a_page_or_a_pdf_is_named_for_what_it_is() {
        for declared in ["text/html", "application/pdf"] {
            let got = document(Some(declared), b"MZ\x90\x00\x03\x00\x00\x00");
            assert_eq!(got.content.sniffed_mime_type.as_deref(), Some("application/x-msdownload"));
            assert_eq!((got.features, got.content.charset), (None, None));
            assert_eq!(got.content.file_name.as_deref(), Some("invoice.pdf"));
        }
    }

    #[test]
    fn a_page_without_a_type_is_a_page_and_one_declared_as_text_is_not() {
        let page = b"<!doctype html><title>x</title>";
        assert!(document(None, page).features.is_some());
        assert!(document(Some("text/html; charset=utf-8"), b"plain words").features.is_some());
        assert!(document(Some("text/plain"), page).features.is_none());
    }

    #[test]
    fn an_empty_body_declared_as_html_is_a_page_without_anything() {
        let got = document(Some("text/html"), b"");
        assert_eq!((got.content.size, got.content.sniffed_mime_type), (0, None));
        assert_eq!(got.features, Some(Features::default()));
    }

    #[test]
    fn an_essence_is_a_type_and_nothing_else() {
        assert_eq!(essence("Text/HTML; charset=x").as_deref(), Some("text/html"));
        assert_eq!(essence("application/xhtml+xml").as_deref(), Some("application/xhtml+xml"));
        for nonsense in ["", "html", "/", "a/", "a b/c", "text/html<script>"] {
            assert_eq!(essence(nonsense), None, "{nonsense:?}");
        }
    }

    /// A xorshift of fixed seed: the same bytes in every run, and no dependency.
    fn noise(mut seed: u64, length: usize, alphabet: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            match usize::try_from(seed % (alphabet.len() as u64 + 8)).ok().and_then(|n| alphabet.get(n)) {
                Some(word) => bytes.extend_from_slice(word),
                None => bytes.push((seed >> 32) as u8),
            }
        }
        bytes
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let words: [&[u8]; 36] = [
            b"<form ",
            b"</form>",
            b"<input type=password ",
            b"form=x ",
            b"id=x ",
            b"<table>",
            b"<tr>",
            b"<td>",
            b"<template>",
            b"</template>",
            b"<svg>",
            b"<math>",
            b"<a href=",
            b"</a>",
            b"<b>",
            b"</b>",
            b"<p>",
            b"<script>",
            b"</script>",
            b"<title>",
            b"</title>",
            b"<iframe src=\"",
            b"\">",
            b"<base href=//",
            b"<meta http-equiv=refresh content=\"0;url=",
            b"<select>",
            b"<option>",
            b"<frameset>",
            b"<noscript>",
            b"</noscript>",
            b"<!--",
            b"-->",
            b"<meta charset=",
            b"&#x",
            b"\xf0\x9f",
            b"style=\"width:",
        ];
        for seed in 1..=300u64 {
            let bytes = noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 2000, &words);
            for declared in [None, Some("text/html"), Some("text/html; charset=utf-16le")] {
                let got = document(declared, &bytes);
                assert_eq!(got.content.size, bytes.len() as u64);
            }
        }
    }
}
