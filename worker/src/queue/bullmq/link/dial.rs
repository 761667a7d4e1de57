//! One connection: made, greeted, named.
//!
//! The stream is our own and the client's protocol runs on it: so the certificates that are believed are those that the
//! database's connection believes, a refused password keeps what Redis says of it, and a connection that Redis has closed
//! is known before anything is sent into it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _,
    RedisConnectionInfo,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::debug;

use super::RedisConfig;
use super::error::{RedisError, code};
use crate::queue::bullmq::keys::Keys;

/// How long a connection may take, with its names, its encryption and its greeting.
const CONNECT: Duration = Duration::from_secs(5);

/// What a connection is for; BullMQ's programs count workers by the names of their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue::bullmq) enum Role {
    /// Everything but the blocking wait. Named as Python's workers name theirs.
    Calls,
    /// The blocking wait. Named as Node's workers name theirs.
    Blocking,
}

/// Where a connection goes to.
enum Place {
    Tcp { host: String, port: u16, tls: Option<Tls> },
    Unix(PathBuf),
}

struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Makes connections.
pub(super) struct Dialer {
    place: Place,
    login: RedisConnectionInfo,
    names: [String; 2],
}

/// A connection that ends when it is dropped.
pub(in crate::queue::bullmq) struct Wire {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
}

impl Dialer {
    pub(super) fn new(
        config: &RedisConfig,
        keys: &Keys,
        certificates: impl FnOnce() -> ClientConfig,
    ) -> Result<Self, RedisError> {
        let (info, encrypted) = parsed(&config.url).map_err(|source| RedisError::Address { source })?;
        let place = match info.addr().clone() {
            ConnectionAddr::Tcp(host, port) => {
                let tls = encrypted.then(|| tls(&host, certificates())).transpose()?;
                Place::Tcp { host, port, tls }
            }
            ConnectionAddr::Unix(path) => Place::Unix(path),
            _ => return Err(address("this kind of address is not supported")),
        };
        let queue = base64::engine::general_purpose::STANDARD.encode(keys.queue());
        let names = [
            format!("{}:{}:w:{}", keys.prefix(), keys.queue(), config.name),
            format!("{}:{queue}:w:{}", keys.prefix(), config.name),
        ];
        Ok(Self { place, login: info.redis_settings().clone(), names })
    }

    /// A connection that is logged in.
    pub(super) async fn dial(&self, role: Role) -> Result<Wire, RedisError> {
        match timeout(CONNECT, self.connect(role)).await {
            Ok(result) => result,
            Err(_) => Err(RedisError::Unavailable { source: None }),
        }
    }

    async fn connect(&self, role: Role) -> Result<Wire, RedisError> {
        let silent = |error: std::io::Error| RedisError::Unavailable { source: Some(error.into()) };
        let mut wire = match &self.place {
            Place::Unix(path) => Wire::over(UnixStream::connect(path).await.map_err(silent)?).await?,
            Place::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(silent)?;
                // Calls are small and answered one by one.
                stream.set_nodelay(true).map_err(silent)?;
                match tls {
                    None => Wire::over(stream).await?,
                    Some(tls) => {
                        let stream = tls.connector.connect(tls.name.clone(), stream).await;
                        Wire::over(stream.map_err(distrusted)?).await?
                    }
                }
            }
        };
        self.log_in(&mut wire).await?;
        self.introduce(&mut wire, role).await?;
        Ok(wire)
    }

    async fn log_in(&self, wire: &mut Wire) -> Result<(), RedisError> {
        if let Some(password) = self.login.password() {
            let mut auth = redis::cmd("AUTH");
            let answer = match self.login.username() {
                None => wire.tell(auth.arg(password)).await,
                Some(user) => match wire.tell(auth.arg(user).arg(password)).await {
                    // Before Redis 6 there were no users.
                    Err(error)
                        if error.detail().is_some_and(|text| text.contains("wrong number of arguments")) =>
                    {
                        wire.tell(redis::cmd("AUTH").arg(password)).await
                    }
                    answer => answer,
                },
            };
            answer.map_err(|source| match source.detail() {
                Some(text) if text.contains("without any password configured") => RedisError::Denied {
                    operation: "log in",
                    cure: "it has no password: leave queue.redis_password empty".into(),
                    source,
                },
                _ => RedisError::of("log in", source),
            })?;
        }
        match self.login.db() {
            0 => Ok(()),
            number => {
                let answer = wire.tell(redis::cmd("SELECT").arg(number)).await;
                answer.map_err(|source| RedisError::of("select the database of that number", source))
            }
        }
    }

    /// A name is for people and counts of workers: without it everything works.
    async fn introduce(&self, wire: &mut Wire, role: Role) -> Result<(), RedisError> {
        let [calls, blocking] = &self.names;
        let name = match role {
            Role::Calls => calls,
            Role::Blocking => blocking,
        };
        match wire.tell(redis::cmd("CLIENT").arg("SETNAME").arg(name)).await {
            Ok(()) => Ok(()),
            Err(error) if code(&error).is_some_and(|code| code != "NOAUTH" && code != "LOADING") => {
                debug!(%error, "the connection to Redis stays without a name");
                Ok(())
            }
            Err(source) => Err(RedisError::of("name the connection", source)),
        }
    }
}

impl Wire {
    async fn over<S>(stream: S) -> Result<Self, RedisError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The client's own deadline is half a second and would cut the blocking wait off; each caller here has its own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let plain = RedisConnectionInfo::default().set_skip_set_lib_name();
        let made = MultiplexedConnection::new_with_config(&plain, stream, config).await;
        let (connection, driver) = made.map_err(|source| RedisError::of("connect", source))?;
        Ok(Self { connection, driver: tokio::spawn(driver) })
    }

    /// For one call.
    pub(in crate::queue::bullmq) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Whether nothing sent into it would arrive.
    pub(super) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Ends it for everybody who uses it: its answers may be those of other calls.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }

    async fn tell(&mut self, command: &Cmd) -> Result<(), redis::RedisError> {
        command.query_async::<redis::Value>(&mut self.connection).await.map(drop)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The address, and whether it is encrypted.
fn parsed(url: &str) -> Result<(ConnectionInfo, bool), redis::RedisError> {
    if url.contains('#') {
        return Err((
            ErrorKind::InvalidClientConfig,
            "an address has no part after #: certificates are always checked",
        )
            .into());
    }
    match url.strip_prefix("rediss://") {
        Some(rest) => Ok((format!("redis://{rest}").into_connection_info()?, true)),
        None => Ok((url.into_connection_info()?, false)),
    }
}

fn tls(host: &str, certificates: ClientConfig) -> Result<Tls, RedisError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| address("the host has no name that a certificate could have"))?;
    Ok(Tls { connector: TlsConnector::from(Arc::new(certificates)), name })
}

/// A certificate that is not believed stays so until somebody changes something; other trouble is the network's.
fn distrusted(error: std::io::Error) -> RedisError {
    let certificate = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match certificate {
        Some(rustls::Error::InvalidCertificate(_)) => RedisError::Denied {
            operation: "trust it",
            cure: "its certificate is not believed: SSL_CERT_FILE names the file of the authority that signed it"
                .into(),
            source: error.into(),
        },
        _ => RedisError::Unavailable { source: Some(error.into()) },
    }
}

fn address(what: &'static str) -> RedisError {
    RedisError::Address { source: (ErrorKind::InvalidClientConfig, what).into() }
}
