//! The way from a host and a port to a byte stream.
//!
//! Through the gateway the container has no network and somebody else resolves, decides and dials; in
//! bridge mode the same rules are applied in here. TLS comes on top of either. Everything ends in one
//! boxed stream, so that an exchange does not care which way it went.

pub(crate) mod bridge;
pub(crate) mod certificate;
pub(crate) mod gateway;
pub(crate) mod greeting;
pub(crate) mod tls;
pub(crate) mod wire;

use std::path::PathBuf;

use safeurl_protocol::ErrorClass;
use tokio::io::{AsyncRead, AsyncWrite};

/// How to reach the network.
#[derive(Debug)]
pub(crate) enum Way {
    /// HTTP CONNECT through the gateway listening here.
    Gateway(PathBuf),
    /// Resolve, check and dial in here.
    Bridge(Box<bridge::Rules>),
}

/// A byte stream to a server.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection as the way gave it.
pub(crate) struct Opened {
    pub(crate) stream: Box<dyn Duplex>,
    /// The gateway's number of it.
    pub(crate) connection: Option<u64>,
}

/// Why there is no connection.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused {
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
    /// The gateway's number of the refusal, when it made an entry.
    pub(crate) connection: Option<u64>,
}

impl Refused {
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), connection: None }
    }
}

impl Way {
    /// Opens a connection. `host` is as a URL has it: an IPv6 address in brackets. No deadline of its own
    /// beyond what the gateway or the rules have; the caller's bounds it.
    pub(crate) async fn open(&self, host: &str, port: u16) -> Result<Opened, Refused> {
        match self {
            Self::Gateway(socket) => gateway::open(socket, host, port).await,
            Self::Bridge(rules) => rules.open(host, port).await,
        }
    }
}
