use serde::{Deserialize, Serialize};

/// Why one exchange with a server went wrong, as the fetcher names it.
///
/// The first ten are also failure classes of a whole scan when they hit the first hop before a
/// response head arrived; the others can only happen after a response, where they are evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Not a URL this program can fetch.
    InvalidTarget,
    /// The gateway's policy refused the address or port.
    EgressDenied,
    /// The name did not resolve.
    Dns,
    /// No resolver answered, so whether the name exists is unknown; worth another try.
    DnsUnavailable,
    /// The site's robots.txt does not allow it, and the job keeps to that.
    RobotsDisallowed,
    /// No TCP connection.
    Connect,
    /// The TLS handshake failed (a bad certificate alone does not fail it).
    Tls,
    /// What came back is not HTTP.
    HttpProtocol,
    /// The deadline passed.
    Timeout,
    /// A budget of this attempt (connections, hosts, bytes) was used up.
    Budget,
    /// The body broke off, or lied about its length or encoding.
    Body,
    /// A redirect led to a page already visited with the same request.
    RedirectLoop,
    /// More redirects than the invocation allows.
    TooManyRedirects,
    /// A redirect led to something that is not http or https.
    RedirectRefused,
}

impl ErrorClass {
    /// The stable name, as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTarget => "invalid_target",
            Self::EgressDenied => "egress_denied",
            Self::Dns => "dns",
            Self::DnsUnavailable => "dns_unavailable",
            Self::RobotsDisallowed => "robots_disallowed",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::HttpProtocol => "http_protocol",
            Self::Timeout => "timeout",
            Self::Budget => "budget",
            Self::Body => "body",
            Self::RedirectLoop => "redirect_loop",
            Self::TooManyRedirects => "too_many_redirects",
            Self::RedirectRefused => "redirect_refused",
        }
    }
}
