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
    /// The hops: one entry per exchange that led to a document, in order; the first is the first hop.
    pub requests: Vec<Exchange>,
    /// Exchanges beside the hops: robots.txt before one, the icon after the last.
    pub side: Vec<SideRequest>,
    /// The body of the last response; `null` when no response head arrived.
    pub content: Option<Content>,
    /// What the last document holds, when it is HTML.
    pub features: Option<Features>,
    /// What the fetcher used, as it says of itself.
    pub usage: Usage,
    /// The decoded body of the last response in base64, capped, where the invocation asks for evidence; never stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

impl Report {
    /// All exchanges in the order they were made. Takes time for what there is and not for its square: the report may
    /// be anybody's.
    pub fn in_order(&self) -> impl Iterator<Item = (Purpose, &Exchange)> {
        let mut order: Vec<_> =
            self.side.iter().map(|side| (side.before, side.purpose, &side.exchange)).collect();
        let hops = self.requests.iter().enumerate();
        // What was made before a hop stands in front of it already, and the sort leaves it there.
        order.extend(hops.map(|(n, exchange)| (n, Purpose::Document, exchange)));
        order.sort_by_key(|(before, _, _)| *before);
        order.into_iter().map(|(_, purpose, exchange)| (purpose, exchange))
    }
}

/// An exchange that served a hop or the page and was not one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SideRequest {
    /// What for.
    pub purpose: Purpose,
    /// Index of the hop before which it was made; the number of hops for what came after the last.
    pub before: usize,
    /// What happened.
    pub exchange: Exchange,
}

/// What an exchange was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A hop: what a person would have seen, or been sent on by.
    #[default]
    Document,
    /// The rules of the site for programs (RFC 9309).
    Robots,
    /// The page's icon.
    Favicon,
}

/// What robots.txt says about a hop, when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotsDecision {
    /// Whether the hop was allowed.
    pub allowed: bool,
    /// Where the decision comes from.
    pub source: RobotsSource,
    /// The line that decided, such as `Disallow: /private`.
    pub rule: Option<String>,
}

/// Where a decision about robots comes from (RFC 9309 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RobotsSource {
    /// A file was read.
    File,
    /// There is no file (a 4xx answer): all is allowed.
    Missing,
    /// Whether there is one could not be learnt (a 5xx answer, no connection): nothing is allowed.
    Unreachable,
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
    /// `http/1.0`, `http/1.1` or `h2`; `http/0.9` for a page without a head, `icy`, or another version that the server
    /// says it speaks.
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
    /// What robots.txt says about this hop; `null` when it was not asked.
    pub robots: Option<RobotsDecision>,
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
    /// The certificates the server sent, leaf first, capped.
    pub chain: Vec<Certificate>,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Distinguished name of its subject; `null` when it cannot be read.
    pub subject: Option<String>,
    /// Distinguished name of its issuer.
    pub issuer: Option<String>,
    /// Start of validity, seconds since the epoch.
    pub valid_from: Option<i64>,
    /// End of validity, seconds since the epoch.
    pub valid_to: Option<i64>,
    /// Lower-case hex SHA-256 of its DER form.
    pub sha256: String,
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
    /// Whether the file name's extension fits what the bytes are; `null` when either says nothing.
    pub name_matches_type: Option<bool>,
    /// The server asked for the body to be saved (Content-Disposition: attachment).
    pub attachment: bool,
    /// Visible text of a page.
    pub text: Option<TextStatistics>,
}

/// Statistics of the visible text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextStatistics {
    /// Words; where a script does not part them by spaces, an estimate.
    pub words: u64,
    /// Language by the text itself. Always `null`: the supervisor tells it by the excerpt.
    pub language: Option<String>,
    /// The first part of the visible text, for the analysis; never stored.
    pub excerpt: String,
}

/// What an HTML page holds. Every list is capped; `capped` and the counts tell where something was left out.
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
    /// `@type` of every JSON-LD object, without doubles.
    pub json_ld: Vec<String>,
    /// Links out of the page.
    pub links: Links,
    /// Forms in tree order, those of embedded documents behind the page's own.
    pub forms: Vec<Form>,
    /// Number of forms, embedded ones too, also those beyond the cap.
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
    /// Where inline scripts would send a browser, as far as it can be read without running them.
    pub possible_redirects: Vec<PossibleRedirect>,
    /// Documents inside the page's own text: data and blob addresses, `srcdoc`.
    pub embedded: Vec<Embedded>,
    /// Comments that say something: of tools that made or copied the page, of its authors, or hidden markup.
    pub comments: Vec<String>,
    /// E-mail addresses, also disguised ones, in lower case of the domain.
    pub emails: Vec<String>,
    /// Texts that look like telephone numbers; the supervisor decides which are.
    pub phones: Vec<PhoneText>,
    /// Traces that frameworks and tools leave in markup, from a fixed list (see the fetcher's `page/marker.rs`).
    pub markers: Vec<String>,
    /// The page's icon.
    pub favicon: Option<Favicon>,
    /// Names of the lists above that hold less than there was, as they stand in JSON.
    pub capped: Vec<String>,
}

/// A target in an inline script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PossibleRedirect {
    /// Absolute, or the raw text when it is not a URL.
    pub to: String,
    /// By what means.
    pub by: RedirectMeans,
}

/// How a script would send a browser elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedirectMeans {
    /// `location = …`, `location.href = …`, `location.assign(…)`.
    Location,
    /// `location.replace(…)`.
    Replace,
    /// `window.open(…)`.
    Open,
    /// A meta refresh written by a script.
    Meta,
}

/// A document inside the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Embedded {
    /// How it is carried.
    pub kind: EmbeddedKind,
    /// Name of the element that holds or names it.
    pub element: String,
    /// Its declared type; `null` for blobs.
    pub mime_type: Option<String>,
    /// Its decoded bytes; `null` for blobs.
    pub size: Option<u64>,
    /// Lower-case hex SHA-256 of those bytes.
    pub sha256: Option<String>,
}

/// How a document is carried inside another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddedKind {
    /// A `data:` URL.
    Data,
    /// A `blob:` URL, whose content a script makes.
    Blob,
    /// The `srcdoc` of a frame.
    Srcdoc,
}

/// A text that looks like a telephone number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneText {
    /// Digits and what people write between them, capped.
    pub text: String,
    /// Somebody meant it as one: a `tel:` link or structured data, not just running text.
    pub marked: bool,
}

/// The page's icon, as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Favicon {
    /// Where it is.
    pub url: String,
    /// Lower-case hex SHA-256 of its bytes.
    pub sha256: String,
    /// MurmurHash3 (32 bits, x86, seed 0) of its base64 in lines of 76 characters, as Shodan and others index it.
    pub mmh3: i32,
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
    /// Not in the page's own markup: in a document it carries in itself, or written by a script.
    #[serde(default)]
    pub embedded: bool,
}

/// One control of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormInput {
    /// `name`, or `id` where that is missing; may be empty.
    pub name: String,
    /// `type` in lower case; `select`, `textarea` and `button` for those elements.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where this control makes the form post instead (`formaction`), absolute.
    #[serde(rename = "formAction")]
    pub form_action: Option<String>,
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
