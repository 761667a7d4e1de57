//! An invocation after all checks: what the rest of the program works from.
//!
//! Parsing happens here once. A URL that cannot be fetched is not an error of the invocation: it is a
//! report about an invalid target. Headers that would break the framing of a request are refused.

use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use safeurl_protocol::{Bridge, Egress, Invocation};
use url::Url;

use crate::connect::Way;

/// The supervisor kills at the job's timeout; this much of it is kept to parse, write and be read.
const RESERVE: Duration = Duration::from_secs(1);

/// Escaped, it must fit into the report's header line of 1 KiB beside digest and length.
const MAX_ATTEMPT_BYTES: usize = 400;

/// A bound on times, so that no sum of them overflows.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// The longest name that fits a question to a name server (RFC 1035, section 2.3.4), without a final dot.
const MAX_NAME_BYTES: usize = 253;

/// They belong to the connection, not to the caller.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// One checked job.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) attempt: String,
    /// What to fetch first, as given; parsed by [`fetchable`] when its turn comes.
    pub(crate) url: String,
    /// What to try when that gets no response head.
    pub(crate) fallback_url: Option<String>,
    /// Sent to the origin of `url` only.
    pub(crate) headers: HeaderMap,
    pub(crate) user_agent: HeaderValue,
    /// From the invocation until the fetch stops.
    pub(crate) fetch_time: Duration,
    /// From the invocation until the supervisor's patience ends.
    pub(crate) whole_time: Duration,
    pub(crate) max_redirects: u32,
    pub(crate) body_cap: usize,
    pub(crate) output_cap: usize,
    /// Robots.txt is asked before each hop and kept to.
    pub(crate) respect_robots: bool,
    /// The report carries the body.
    pub(crate) evidence: bool,
    pub(crate) way: Way,
}

/// Why an invocation cannot be carried out at all.
#[derive(Debug, PartialEq)]
pub(crate) struct BadInvocation(String);

impl std::fmt::Display for BadInvocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Plan {
    /// Checks an invocation.
    pub(crate) fn new(invocation: Invocation) -> Result<Self, BadInvocation> {
        let bad = |message: String| Err(BadInvocation(message));
        if invocation.attempt.is_empty() || invocation.attempt.escape_default().count() > MAX_ATTEMPT_BYTES {
            return bad(format!("attempt: must have 1 to {MAX_ATTEMPT_BYTES} bytes"));
        }
        if invocation.timeout_ms == 0 || invocation.timeout_ms > MAX_TIMEOUT_MS {
            return bad(format!("timeoutMs: must be from 1 to {MAX_TIMEOUT_MS}"));
        }
        let Ok(user_agent) = HeaderValue::from_str(&invocation.user_agent) else {
            return bad("userAgent: not a header value".to_owned());
        };
        let mut headers = HeaderMap::new();
        for header in &invocation.headers {
            let (Ok(name), Ok(value)) =
                (HeaderName::try_from(&header.name), HeaderValue::from_str(&header.value))
            else {
                // The value may be a secret of the caller: it is not repeated.
                return bad(format!("headers: {:?} is not a header", header.name));
            };
            if FRAMING.contains(&name.as_str()) {
                return bad(format!("headers: {name} cannot be set"));
            }
            headers.append(name, value);
        }
        let whole_time = Duration::from_millis(invocation.timeout_ms);
        Ok(Self {
            attempt: invocation.attempt,
            url: invocation.url,
            fallback_url: invocation.fallback_url,
            headers,
            user_agent,
            fetch_time: whole_time.saturating_sub(RESERVE).max(whole_time / 2),
            whole_time,
            max_redirects: invocation.max_redirects,
            body_cap: usize::try_from(invocation.body_cap).unwrap_or(usize::MAX),
            output_cap: usize::try_from(invocation.output_cap).unwrap_or(usize::MAX),
            respect_robots: invocation.respect_robots,
            evidence: invocation.evidence,
            way: way(invocation.egress)?,
        })
    }
}

fn way(egress: Egress) -> Result<Way, BadInvocation> {
    match egress {
        Egress::Gateway { socket } => Ok(Way::Gateway(socket.into())),
        Egress::Bridge(bridge) => bridged(bridge),
    }
}

fn bridged(bridge: Bridge) -> Result<Way, BadInvocation> {
    crate::connect::bridge::Rules::new(bridge)
        .map(|rules| Way::Bridge(Box::new(rules)))
        .map_err(|message| BadInvocation(format!("egress: {message}")))
}

/// The URL to send a request to: http or https, without userinfo and fragment. The error says why not.
pub(crate) fn fetchable(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {} is not fetched, only http and https", url.scheme()));
    }
    if url.domain().is_some_and(|name| name.strip_suffix('.').unwrap_or(name).len() > MAX_NAME_BYTES) {
        return Err(format!("its host has more than {MAX_NAME_BYTES} bytes, which no name has"));
    }
    // Neither can fail for http and https; what a server hands out in a redirect is not sent on as credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use safeurl_protocol::{Header, Method};

    use super::*;

    fn invocation() -> Invocation {
        Invocation {
            attempt: "j/1".to_owned(),
            url: "http://a.test/".to_owned(),
            fallback_url: None,
            method: Method::Get,
            headers: Vec::new(),
            user_agent: "test".to_owned(),
            timeout_ms: 30_000,
            max_redirects: 10,
            body_cap: 1000,
            output_cap: 1000,
            respect_robots: false,
            evidence: false,
            egress: Egress::Gateway { socket: "/none".to_owned() },
        }
    }

    #[test]
    fn the_fetch_ends_one_second_before_the_timeout_and_never_at_once() {
        for (timeout_ms, fetch_ms) in [(30_000, 29_000), (2_000, 1_000), (1_000, 500), (1, 0)] {
            let plan = Plan::new(Invocation { timeout_ms, ..invocation() }).expect("a good invocation");
            assert_eq!(plan.fetch_time.as_millis(), fetch_ms, "{timeout_ms}");
        }
    }

    #[test]
    fn a_header_that_frames_the_request_is_refused_without_its_value() {
        for name in ["Host", "content-length", "Transfer-Encoding", "no header"] {
            let headers = vec![Header { name: name.to_owned(), value: "s3cret".to_owned() }];
            let error = Plan::new(Invocation { headers, ..invocation() }).expect_err("refused").to_string();
            assert!(error.contains("headers") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_attempt_that_would_not_fit_the_header_line_is_refused() {
        for attempt in [String::new(), "x".repeat(401), "\u{1}".repeat(200)] {
            assert!(Plan::new(Invocation { attempt, ..invocation() }).is_err());
        }
    }

    #[test]
    fn only_http_urls_are_fetchable_and_they_lose_userinfo_and_fragment() {
        assert_eq!(fetchable("http://u:p@a.test/x#y").expect("a URL").as_str(), "http://a.test/x");
        assert!(fetchable("ftp://a.test/").expect_err("refused").contains("ftp"));
        assert!(fetchable("nonsense").is_err());
    }

    #[test]
    fn a_host_that_is_longer_than_any_name_is_not_fetchable() {
        let name = |bytes: usize| format!("{}{}.test", "abc.".repeat(bytes / 4), "x".repeat(bytes % 4));
        for (bytes, end, fits) in [(248, "", true), (248, ".", true), (249, "", false), (249, ".", false)] {
            let name = name(bytes) + end;
            assert_eq!(fetchable(&format!("http://{name}/")).is_ok(), fits, "{} bytes", name.len());
        }
    }
}
