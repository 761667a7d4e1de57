use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::Header;

/// The longest invocation line a fetcher reads, newline included.
pub const MAX_INVOCATION_BYTES: usize = 256 * 1024;

/// Where the gateway's socket is inside the container. Not under `/tmp`: a tmpfs would hide it.
pub const SOCKET_PATH: &str = "/run/safeurl/gw.sock";

/// One job for one fetcher: a single line of JSON on stdin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invocation {
    /// `<job id>/<n>`; the report must repeat it.
    pub attempt: String,
    /// Absolute http or https URL without userinfo.
    pub url: String,
    /// Tried when the first hop of `url` gets no response head (a submitted text without a scheme means
    /// https, then http). Both are the first hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_url: Option<String>,
    /// The request method.
    #[serde(default)]
    pub method: Method,
    /// Extra request headers; sent to the origin of `url` only.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// Value of the User-Agent header.
    pub user_agent: String,
    /// Milliseconds from reading this line to the report being written.
    pub timeout_ms: u64,
    /// Redirects followed before the fetch stops.
    pub max_redirects: u32,
    /// Bytes of decoded body kept; what is beyond is dropped and the content says `truncated`.
    pub body_cap: u64,
    /// The report's JSON must not be longer than this many bytes.
    pub output_cap: u64,
    /// Whether robots.txt is asked before each hop and kept to.
    #[serde(default)]
    pub respect_robots: bool,
    /// Whether the report carries the body, for a person who keeps evidence.
    #[serde(default)]
    pub evidence: bool,
    /// How to reach the network.
    pub egress: Egress,
}

/// The method of the submitted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The only method so far.
    #[default]
    Get,
}

/// The way out of the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Egress {
    /// HTTP CONNECT through the gateway listening on this unix socket; the container has no network.
    #[serde(rename_all = "camelCase")]
    Gateway {
        /// Path inside the container.
        socket: String,
    },
    /// The container has a network card and the fetcher applies the address rules by itself.
    Bridge(Bridge),
}

/// The address rules of a fetcher that dials by itself. Weaker than the gateway: a fetcher that was taken
/// over does not keep to them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bridge {
    /// CIDR networks that may be dialled although the rules would deny them.
    #[serde(default)]
    pub allow_networks: Vec<String>,
    /// Names with a fixed address.
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
    /// `address:port` of DNS servers; empty: those of `/etc/resolv.conf`.
    #[serde(default)]
    pub resolvers: Vec<String>,
    /// Whether addresses inside the well-known NAT64 prefix are judged by the IPv4 address they embed.
    #[serde(default)]
    pub nat64_recheck: bool,
}
