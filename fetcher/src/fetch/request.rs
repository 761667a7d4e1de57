//! What a request says: the headers a browser sends when a person opens a page.

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use url::Url;

use super::Context;

/// What Chrome sends for a page that is opened.
const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
const ACCEPT_LANGUAGE: &str = "en-US,en;q=0.9";

/// The request for `url` with the usual headers; `extra` replaces those of the same name.
pub(super) fn build(
    context: &Context<'_>,
    url: &Url,
    extra: &HeaderMap,
) -> Result<Request<Empty<Bytes>>, String> {
    let host = host_header(url);
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = url[url::Position::BeforePath..url::Position::AfterQuery]
        .parse()
        .map_err(|error| format!("the path cannot be sent: {error}"))?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(&host).map_err(|_| "the host cannot be sent".to_owned())?;
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::USER_AGENT, context.plan.user_agent.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
    headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(ACCEPT_LANGUAGE));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    for name in extra.keys() {
        headers.remove(name);
    }
    for (name, value) in extra {
        headers.append(name, value.clone());
    }
    Ok(request)
}

/// Host, with the port when it is not the scheme's own.
fn host_header(url: &Url) -> String {
    match (url.host_str().unwrap_or_default(), url.port()) {
        (host, None) => host.to_owned(),
        (host, Some(port)) => format!("{host}:{port}"),
    }
}
