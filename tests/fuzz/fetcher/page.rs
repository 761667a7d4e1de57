//! What a body is and what it holds.

use std::time::Duration;

use encoding_rs::Encoding;
use safeurl_protocol::{Content, Features};
use tokio::time::Instant;
use url::Url;

use super::{block_on, first_line};
use crate::page::script::token::{tokens, unescaped};
use crate::page::{self, Document, Source};

const LONG: Duration = Duration::from_secs(120);

fn address() -> Url {
    Url::parse("https://site.test/folder/a%20file.html").expect("a URL of ours")
}

/// Reads a body, and what must hold of any.
fn document(declared: Option<&str>, disposition: Option<&str>, bytes: &[u8]) -> Document {
    let url = address();
    let source = Source { url: &url, declared, disposition, options: None };
    let document = block_on(async { page::read(&source, bytes, false, Instant::now() + LONG) });
    let content = &document.content;
    assert_eq!(content.size, bytes.len() as u64);
    assert_eq!(content.sha256, crate::report::sha256(bytes));
    if let Some(name) = &content.file_name {
        assert!(!name.is_empty() && name.len() <= 255, "{name:?}");
        assert!(!name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')), "{name:?}");
    }
    if let Some(charset) = &content.charset {
        let named =
            Encoding::for_label(charset.as_bytes()).map(|encoding| encoding.name().to_ascii_lowercase());
        assert_eq!(named.as_ref(), Some(charset), "no name of the standard");
    }
    let json = serde_json::to_string(content).expect("it can be written");
    assert_eq!(serde_json::from_str::<Content>(&json).expect("and read again"), *content);
    if let Some(features) = &document.features {
        features_hold(features);
    }
    document
}

fn features_hold(features: &Features) {
    let json = serde_json::to_string(features).expect("it can be written");
    assert_eq!(serde_json::from_str::<Features>(&json).expect("and read again"), *features);
    assert!(features.links.list.len() as u64 <= features.links.total && features.links.list.len() <= 500);
    assert!(features.forms.len() as u64 <= features.form_count);
    assert!(features.scripts.len() as u64 <= features.script_count && features.scripts.len() <= 200);
    assert!(features.iframes.len() <= 100 && features.resources.len() <= 300);
    let texts = [&features.title, &features.description, &features.language];
    assert!(texts.into_iter().flatten().all(|text| text.len() <= 2 * 1024));
    assert!(features.emails.iter().all(|email| email.contains('@')), "{:?}", features.emails);
}

/// A Content-Type, then the page.
pub(super) fn html(data: &[u8]) {
    let (declared, bytes) = first_line(data);
    let read = document(Some(&declared), None, bytes);
    // The same page says the same, unless there was no time to read it.
    if !read.content.truncated {
        assert_eq!(document(Some(&declared), None, bytes), read);
    }
}

/// A Content-Disposition, then the file.
pub(super) fn file(data: &[u8]) {
    let (disposition, bytes) = first_line(data);
    let read = document(None, Some(&disposition), bytes);
    let kind = page::type_of(bytes);
    assert_eq!(kind, read.content.sniffed_mime_type.as_deref());
    assert_eq!(kind.is_none(), bytes.is_empty());
    if let Some(kind) = kind {
        assert_eq!(page::essence(kind), Some(kind.to_ascii_lowercase()), "no type that anybody reads");
    }
}

/// A Content-Type, then bytes whose encoding is guessed.
pub(super) fn charset(data: &[u8]) {
    let (declared, bytes) = first_line(data);
    if let Some((written, encoding)) = page::mime_type(&declared) {
        let again = page::mime_type(&written);
        assert!(again.is_some_and(|(_, same)| same == encoding), "{declared:?} is written {written:?}");
    }
    let name = page::encoding_of(bytes, &address());
    assert_eq!(Encoding::for_label(name.as_bytes()).map(Encoding::name), Some(name));
    let mark = Encoding::for_bom(bytes).map(|(encoding, _)| encoding.name());
    assert!(mark.is_none_or(|mark| mark == name), "{mark:?} is marked and {name} is read");
}

pub(super) fn script(data: &[u8]) {
    let code = String::from_utf8_lossy(data);
    let mut end = 0;
    for token in tokens(&code) {
        let text = token.text(&code);
        if text.is_empty() {
            continue;
        }
        let start = text.as_ptr() as usize - code.as_ptr() as usize;
        assert!(start >= end, "tokens overlap at {start}");
        end = start + text.len();
        assert!(unescaped(text).chars().count() <= text.chars().count());
    }
    assert!(end <= code.len());
    let page = format!("<title>x</title><script>{code}</script>");
    let (features, _) = page::facts(page.as_bytes(), address().as_str()).expect("a URL of ours");
    features_hold(&features);
}
