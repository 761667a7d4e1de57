//! From a body's bytes to facts: what it is, what it is called, and what an HTML page holds.
//!
//! Hostile bytes are parsed in here, inside the container, and nowhere else. Work, memory and every list are
//! bounded; a page that is too much is read as far as it goes and the content says `truncated`.

mod address;
mod charset;
mod collect;
mod comment;
mod contact;
mod container;
mod dom;
mod email;
mod embedded;
mod extension;
mod file_name;
mod form;
mod json_ld;
mod magic;
mod marker;
mod mime;
mod parse;
mod phone;
pub(crate) mod script;
mod sniff;
mod text;
mod textual;
mod visible;

use std::time::Duration;

use safeurl_protocol::{Content, Features, TextStatistics};
use tokio::time::Instant;
use url::Url;

use crate::fetch::Policy;

/// A megabyte takes some 50 ms; a page that needs this long is built to take long.
const PARSE_LIMIT: Duration = Duration::from_secs(5);

/// What the response says about its body.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) url: &'a Url,
    /// Content-Type; several of them joined by commas.
    pub(crate) declared: Option<&'a str>,
    /// Content-Disposition.
    pub(crate) disposition: Option<&'a str>,
    /// X-Content-Type-Options.
    pub(crate) options: Option<&'a str>,
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
    /// What the page says about the Referer of requests from it: the last `<meta name=referrer>` that means something.
    pub(crate) referrer: Option<Policy>,
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
    let html = sniff::is_page(source, bytes, sniffed);
    let charset =
        (html || sniffed.is_some_and(sniff::is_textual)).then(|| charset::detect(source, bytes, html));
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
    let file_name = file_name::of(source, html);
    let attachment = source.disposition.is_some_and(file_name::is_attachment);
    let content = Content {
        sha256: crate::report::sha256(bytes),
        md5: Some(crate::report::md5(bytes)),
        size: bytes.len() as u64,
        declared_mime_type: source.declared.map(|value| crate::report::cut(value.to_owned(), 256)),
        sniffed_mime_type: sniffed.map(str::to_owned),
        charset: charset.map(|encoding| encoding.name().to_ascii_lowercase()),
        truncated: truncated || page.as_ref().is_some_and(|(_, stopped)| *stopped),
        name_matches_type: file_name.as_deref().and_then(|name| extension::matches(name, sniffed)),
        file_name,
        attachment,
        text: page.as_ref().map(|(page, _)| page.text.clone()),
    };
    match page {
        Some((page, _)) => Document {
            content,
            features: Some(page.features),
            refresh: page.refresh,
            icon: page.icon,
            referrer: page.referrer,
        },
        None => Document { content, features: None, refresh: None, icon: None, referrer: None },
    }
}

/// The facts and the text of a page in UTF-8.
pub(crate) fn facts(html: &[u8], url: &str) -> Option<(Features, TextStatistics)> {
    let url = Url::parse(url).ok()?;
    let deadline = std::time::Instant::now() + PARSE_LIMIT;
    let parsed = parse::parse(html, encoding_rs::UTF_8, deadline);
    let page = collect::collect(&parsed.dom, &url, deadline);
    Some((page.features, page.text))
}

/// The type of bytes by themselves.
pub(crate) fn type_of(bytes: &[u8]) -> Option<&'static str> {
    sniff::sniff(bytes)
}

/// A MIME type in the standard's form, and the encoding it names.
pub(crate) fn mime_type(text: &str) -> Option<(String, Option<&'static str>)> {
    let mime = mime::parse(text)?;
    Some((mime.to_string(), mime::encoding(&mime).map(encoding_rs::Encoding::name)))
}

/// The encoding a page at `url` without a Content-Type is read with.
pub(crate) fn encoding_of(bytes: &[u8], url: &Url) -> &'static str {
    let source = Source { url, declared: None, disposition: None, options: None };
    charset::detect(&source, bytes, true).name()
}

/// The type that Content-Type values declare, without parameters, lower case; `None` when they are no type.
pub(crate) fn essence(declared: &str) -> Option<String> {
    mime::essence(&mime::extract(declared)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn document(declared: Option<&str>, bytes: &[u8]) -> Document {
        let url = Url::parse("http://a.test/dir/invoice.pdf").expect("a URL");
        let far = Instant::now() + Duration::from_secs(600);
        read(&Source { url: &url, declared, disposition: None, options: None }, bytes, false, far)
    }

    #[test]
    fn a_program_that_calls_itself_a_page_or_a_pdf_is_named_for_what_it_is() {
        for declared in ["text/html", "application/pdf"] {
            let got = document(Some(declared), b"MZ\x90\x00\x03\x00\x00\x00");
            assert_eq!(got.content.sniffed_mime_type.as_deref(), Some("application/x-msdownload"));
            assert_eq!((got.features, got.content.charset), (None, None));
            assert_eq!(got.content.file_name.as_deref(), Some("invoice.pdf"));
            assert_eq!(got.content.name_matches_type, Some(false));
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
