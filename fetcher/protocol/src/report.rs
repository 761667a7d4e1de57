use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ErrorClass;

/// What the fetcher claims to have seen. Names follow the scan document; what only the supervisor can know
/// (addresses, DNS and connect times, own and foreign domains) is not in here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`crate::SCHEMA`].
    pub schema: u32,
    /// The attempt of the invocation.
    pub attempt: String,
    /// One entry per HTTP exchange, in order; the first is the first hop.
    pub requests: Vec<Exchange>,
    /// The body of the last response; `null` when no response head arrived.
    pub content: Option<Content>,
    /// What the last document holds, when it is HTML.
    pub features: Option<Features>,
    /// What the fetcher used, as it says of itself.
    pub usage: Usage,
}

/// A header as it came or goes. Names keep their case on the wire and are compared without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Field name.
    pub name: String,
    /// Field value; bytes that are not UTF-8 are read as Latin-1.
    pub value: String,
}

/// One request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// Absolute URL without fragment.
    pub url: String,
    /// Request method.
    pub method: String,
    /// Status code; `null` when no response head arrived.
    pub status: Option<u16>,
    /// Reason phrase.
    pub status_text: Option<String>,
    /// `http/1.0` or `http/1.1`.
    pub protocol: Option<String>,
    /// Response headers in the order they came.
    pub headers: Vec<Header>,
    /// Essence of the declared content type, lower case.
    pub mime_type: Option<String>,
    /// Decoded bytes read.
    pub size: Option<u64>,
    /// Bytes read off the wire, after transfer coding, before content decoding.
    pub encoded_size: Option<u64>,
    /// Lower-case hex SHA-256 of the decoded bytes read.
    pub sha256: Option<String>,
    /// Where the response sends a browser.
    pub redirect: Option<Redirect>,
    /// What went wrong on this hop.
    pub error: Option<HopError>,
    /// The gateway's number of the connection used; `null` when none was made or in bridge mode.
    pub connection: Option<u64>,
    /// Times of this exchange.
    pub timings: Timings,
    /// Facts of the TLS connection; `null` for plain http.
    pub tls: Option<Tls>,
}

/// Why a hop ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopError {
    /// Stable class.
    pub class: ErrorClass,
    /// A sentence for a person.
    pub message: String,
}

/// A redirect out of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// By what means.
    pub kind: RedirectKind,
    /// Absolute target as a URL parser gives it; the raw text when it is not a URL.
    pub to: String,
}

/// Means of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedirectKind {
    /// A 3xx status with a Location.
    Http,
    /// A `<meta http-equiv=refresh>`.
    Meta,
    /// A Refresh header.
    Header,
}

/// Durations of one exchange in milliseconds, from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// The TLS handshake.
    pub tls_ms: Option<u64>,
    /// Until the response head was complete.
    pub first_byte_ms: Option<u64>,
    /// Until the exchange was over.
    pub total_ms: u64,
}

/// What a TLS server showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Such as `TLSv1.3`.
    pub protocol: Option<String>,
    /// Such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher: Option<String>,
    /// Negotiated application protocol.
    pub alpn: Option<String>,
    /// The chain leads to a root we know, the name fits and the dates are right.
    pub verified: bool,
    /// Why it is not verified.
    pub error: Option<String>,
    /// Distinguished name of the leaf's subject.
    pub subject: Option<String>,
    /// Distinguished name of the leaf's issuer.
    pub issuer: Option<String>,
    /// Subject alternative names: DNS names and addresses.
    pub san_list: Vec<String>,
    /// Start of validity, seconds since the epoch.
    pub valid_from: Option<i64>,
    /// End of validity, seconds since the epoch.
    pub valid_to: Option<i64>,
    /// Lower-case hex SHA-256 of the leaf certificate.
    pub sha256: Option<String>,
}

/// The body of the last response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Lower-case hex SHA-256 of the decoded bytes kept.
    pub sha256: String,
    /// Lower-case hex MD5; `null` where it is not computed.
    pub md5: Option<String>,
    /// Decoded bytes kept.
    pub size: u64,
    /// The whole Content-Type value.
    pub declared_mime_type: Option<String>,
    /// What the bytes look like.
    pub sniffed_mime_type: Option<String>,
    /// WHATWG name of the encoding the text was read with.
    pub charset: Option<String>,
    /// A cap, a deadline or a broken transfer cut the body short.
    pub truncated: bool,
    /// File name from Content-Disposition or the URL's last segment, for downloads.
    pub file_name: Option<String>,
    /// The server asked for the body to be saved (Content-Disposition: attachment).
    pub attachment: bool,
    /// Visible text of a page.
    pub text: Option<TextStatistics>,
}

/// Statistics of the visible text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextStatistics {
    /// Words, separated by white space.
    pub words: u64,
    /// Language by the text itself; `null` where not detected.
    pub language: Option<String>,
    /// The first part of the visible text, for the analysis; never stored.
    pub excerpt: String,
}

/// What an HTML page holds. Every list is capped; what was left out is counted where a count is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Text of the first `title` element of the document, white space collapsed.
    pub title: Option<String>,
    /// `<meta name=description>`.
    pub description: Option<String>,
    /// `lang` of the root element.
    pub language: Option<String>,
    /// `<link rel=canonical>`, absolute.
    pub canonical: Option<String>,
    /// `name` or `http-equiv` of each meta element (lower case) to its content; the first one wins.
    pub meta: BTreeMap<String, String>,
    /// `property="og:…"` of meta elements, without the prefix.
    pub open_graph: BTreeMap<String, String>,
    /// Links out of the page.
    pub links: Links,
    /// Forms in tree order.
    pub forms: Vec<Form>,
    /// Number of forms in the document, also those beyond the cap.
    pub form_count: u64,
    /// Scripts in tree order.
    pub scripts: Vec<Script>,
    /// Number of scripts, also those beyond the cap.
    pub script_count: u64,
    /// Frames in tree order.
    pub iframes: Vec<Frame>,
    /// Target of a meta refresh, absolute.
    pub meta_refresh: Option<String>,
    /// Password fields anywhere, also outside of forms.
    pub password_fields: u64,
    /// Absolute URLs of images, style sheets, icons and other things the page loads, capped.
    pub resources: Vec<String>,
}

/// Links of a page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Links {
    /// Number of `a` and `area` elements with an href.
    pub total: u64,
    /// The first of them.
    pub list: Vec<Link>,
    /// There were more than the list holds.
    pub capped: bool,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Absolute, or the raw text when it is not a URL.
    pub href: String,
    /// Text of the element, white space collapsed, capped.
    pub text: String,
}

/// One form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// Where it posts, absolute; the page itself when it names nothing.
    pub action: String,
    /// `GET`, `POST` or `DIALOG`.
    pub method: String,
    /// Inputs, selects, text areas and buttons that belong to it.
    pub inputs: Vec<FormInput>,
    /// One of them is a password field.
    pub has_password: bool,
}

/// One control of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormInput {
    /// `name`, or `id` where that is missing; may be empty.
    pub name: String,
    /// `type` in lower case; `select`, `textarea` and `button` for those elements.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One script element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// Absolute source of an external script.
    pub src: Option<String>,
    /// Lower-case hex SHA-256 of an inline script.
    pub inline_sha256: Option<String>,
    /// Bytes of an inline script.
    pub size: Option<u64>,
    /// Names of suspicious constructs found in an inline script, from a fixed list (see the fetcher's
    /// `page/script.rs`): hostile bytes are read in the container, not in the supervisor.
    pub traits: Vec<String>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Absolute source.
    pub src: Option<String>,
    /// Not visible by its attributes or inline style.
    pub hidden: bool,
}

/// What the fetcher used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Peak resident set of the process.
    pub peak_memory_bytes: Option<u64>,
    /// User and system time of the process.
    pub cpu_ms: Option<u64>,
    /// From reading the invocation to writing the report.
    pub run_ms: u64,
}
