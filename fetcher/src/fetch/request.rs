//! What a request says: the headers of one browser, in its order.
//!
//! It is Firefox ESR 140 on Windows in American English: its header names are in title case throughout over HTTP/1.1,
//! which is the one form the HTTP library writes, and it sends no client hints that would have to fit each
//! other. Order and values are those of captures of versions 135 to 141. A job with a User-Agent of its own keeps
//! the rest: what it looks like then is its choice.

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use url::Url;

use super::site::{Relation, is_trustworthy};

/// A page that is opened; since Firefox 132.
const ACCEPT_PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
/// A picture.
const ACCEPT_IMAGE: &str = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5";
const ACCEPT_LANGUAGE: &str = "en-US,en;q=0.5";
/// To whom it trusts; others might break what they do not understand, and did.
const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";
const ACCEPT_ENCODING_PLAIN: &str = "gzip, deflate";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A page; `typed` when a person asked for it, not another page.
    Page { typed: bool },
    /// The page's icon.
    Icon,
    /// robots.txt, which no browser asks for: nothing about a visitor goes with it.
    Robots,
}

/// One request.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) url: &'a Url,
    pub(super) purpose: For,
    pub(super) site: Relation,
    pub(super) referer: Option<String>,
    pub(super) cookies: Option<String>,
    /// Replace those of the same name.
    pub(super) extra: &'a HeaderMap,
    /// Decoded bytes kept of the body.
    pub(super) body_cap: usize,
    /// The head must have arrived by then.
    pub(super) head_deadline: Instant,
    /// The body too.
    pub(super) deadline: Instant,
    /// Reading what a page holds ends then.
    pub(super) parse_deadline: Instant,
}

/// The request.
pub(super) fn build(user_agent: &HeaderValue, ask: &Ask<'_>) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = ask.url[url::Position::BeforePath..url::Position::AfterQuery]
        .parse()
        .map_err(|error| format!("the path cannot be sent: {error}"))?;
    *request.headers_mut() = replaced(usual(user_agent, ask)?, ask.extra);
    Ok(request)
}

/// What the browser sends by itself.
fn usual(user_agent: &HeaderValue, ask: &Ask<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let fixed = HeaderValue::from_static;
    let trusted = is_trustworthy(ask.url);
    let page = matches!(ask.purpose, For::Page { .. });
    let accept = match ask.purpose {
        For::Page { .. } => ACCEPT_PAGE,
        For::Icon => ACCEPT_IMAGE,
        For::Robots => "*/*",
    };
    let host =
        HeaderValue::from_str(&host_header(ask.url)).map_err(|_| "the host cannot be sent".to_owned())?;
    let encoding = if trusted { ACCEPT_ENCODING } else { ACCEPT_ENCODING_PLAIN };
    let mut headers = vec![
        (header::HOST, host),
        (header::USER_AGENT, user_agent.clone()),
        (header::ACCEPT, fixed(accept)),
        (header::ACCEPT_LANGUAGE, fixed(ACCEPT_LANGUAGE)),
        (header::ACCEPT_ENCODING, fixed(encoding)),
        (header::CONNECTION, fixed("keep-alive")),
    ];
    // Neither fails for what a URL parser and a header parser let through; without it the request is still one.
    let text = |value: &str| HeaderValue::from_bytes(value.as_bytes()).ok();
    if let Some(referer) = ask.referer.as_deref().and_then(text) {
        headers.push((header::REFERER, referer));
    }
    if let Some(cookies) = ask.cookies.as_deref().and_then(text) {
        headers.push((header::COOKIE, cookies));
    }
    if page {
        headers.push((header::UPGRADE_INSECURE_REQUESTS, fixed("1")));
    }
    if trusted && ask.purpose != For::Robots {
        let (dest, mode) = if page { ("document", "navigate") } else { ("image", "no-cors") };
        headers.push((HeaderName::from_static("sec-fetch-dest"), fixed(dest)));
        headers.push((HeaderName::from_static("sec-fetch-mode"), fixed(mode)));
        headers.push((HeaderName::from_static("sec-fetch-site"), fixed(ask.site.as_str())));
        if ask.purpose == (For::Page { typed: true }) {
            headers.push((HeaderName::from_static("sec-fetch-user"), fixed("?1")));
        }
    }
    let priority = match ask.purpose {
        For::Page { .. } => Some("u=0, i"),
        For::Icon => Some("u=6"),
        For::Robots => None,
    };
    headers.extend(priority.map(|value| (HeaderName::from_static("priority"), fixed(value))));
    Ok(headers)
}

/// Puts extra headers in the place of those of the same name, and the others at the end. Cookies that were given go
/// before those the site has set, or a site that asks for its own would never be satisfied.
fn replaced(usual: Vec<(HeaderName, HeaderValue)>, extra: &HeaderMap) -> HeaderMap {
    // Appending to a map nothing was taken out of keeps the order.
    let mut headers = HeaderMap::new();
    for (name, value) in usual {
        if !extra.contains_key(&name) {
            headers.append(name, value);
        } else if name == header::COOKIE {
            let mut all: Vec<&[u8]> = extra.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
            all.push(value.as_bytes());
            // Header values joined by visible characters are a header value.
            if let Ok(value) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
                headers.append(name, value);
            }
        } else {
            for value in extra.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    for name in extra.keys() {
        if !headers.contains_key(name) {
            for value in extra.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    headers
}

/// Host, with the port when it is not the scheme's own.
fn host_header(url: &Url) -> String {
    match (url.host_str().unwrap_or_default(), url.port()) {
        (host, None) => host.to_owned(),
        (host, Some(port)) => format!("{host}:{port}"),
    }
}
