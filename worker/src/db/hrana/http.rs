//! Calls to a server, each with a deadline, and what went wrong by whether the server may have acted on it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::wire::{PipelineRequest, PipelineResponse, Refusal};
use crate::db::location::Remote;
use crate::db::{DbError, Patience};
use crate::tls;

/// How long a connection may take: a packet that opens one is sent again after one second and after three.
const CONNECT: Duration = Duration::from_secs(4);

/// The largest answer that is read. A server of its own accord sends 10 MB at most.
const LARGEST: usize = 64 * 1024 * 1024;

/// A handle to a server. Clones share its connections.
#[derive(Clone)]
pub(in crate::db) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: Arc<Server>,
}

struct Server {
    remote: Remote,
    token: Option<HeaderValue>,
    /// Calls so far; each is a round trip.
    calls: AtomicU64,
    /// Rows that the server has read for them.
    #[cfg(test)]
    rows_read: AtomicU64,
}

/// Why a call did not bring what it was for.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server has not got it.
    Unsent(String),
    /// The server may have acted on it.
    NoAnswer(String),
    /// The server does not know the stream, or not any more, or knows it by another baton.
    Unknown(String),
    /// It has ended the stream because nothing was heard of it, and did nothing with this call.
    Expired,
    /// The call is refused whenever it comes: by the token, by the name of the database, by the certificate.
    Refused(DbError),
}

impl Client {
    pub(in crate::db) fn new(remote: Remote, token: Option<&str>) -> Result<Self, DbError> {
        let token = token.filter(|token| !token.is_empty()).map(bearer).transpose()?;
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT));
        http.set_nodelay(true);
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        let server = Server {
            remote,
            token,
            calls: AtomicU64::new(0),
            #[cfg(test)]
            rows_read: AtomicU64::new(0),
        };
        Ok(Self { pool, server: Arc::new(server) })
    }

    pub(in crate::db) fn remote(&self) -> &Remote {
        &self.server.remote
    }

    /// How many calls were made.
    #[cfg(test)]
    pub(in crate::db) fn calls(&self) -> u64 {
        self.server.calls.load(Ordering::Relaxed)
    }

    /// How many rows the server has read.
    #[cfg(test)]
    pub(in crate::db) fn rows_read(&self) -> u64 {
        self.server.rows_read.load(Ordering::Relaxed)
    }

    /// One call. `base` is where the stream was sent to, if it was.
    pub(super) async fn call(
        &self,
        base: Option<&Uri>,
        request: &PipelineRequest,
        patience: Patience,
    ) -> Result<PipelineResponse, Fault> {
        self.server.calls.fetch_add(1, Ordering::Relaxed);
        let has_baton = request.baton.is_some();
        let request = self.request(base, request).map_err(Fault::Unsent)?;
        let answered = tokio::time::timeout(patience.deadline(), self.exchange(request)).await;
        let (status, body) = answered.unwrap_or_else(|_| {
            Err(Fault::NoAnswer(format!("no answer within {} s", patience.deadline().as_secs())))
        })?;
        match status {
            StatusCode::OK => {
                #[cfg(test)]
                self.server.rows_read.fetch_add(super::wire::rows_read(&body), Ordering::Relaxed);
                serde_json::from_slice(&body)
                    .map_err(|error| Fault::NoAnswer(format!("the answer is not Hrana's: {error}")))
            }
            status => Err(self.failed(status, &body, has_baton)),
        }
    }

    fn request(&self, base: Option<&Uri>, request: &PipelineRequest) -> Result<Request<Full<Bytes>>, String> {
        let body = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        let place = self.server.remote.pipeline(base).map_err(|error| error.to_string())?;
        let mut request = Request::post(place).header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.server.token {
            request = request.header(AUTHORIZATION, token);
        }
        request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Fault> {
        let response = self.pool.request(request).await.map_err(|error| match untrusted(&error) {
            Some(source) => {
                Fault::Refused(DbError::Untrusted { url: self.server.remote.to_string(), source })
            }
            None if error.is_connect() => Fault::Unsent(chain(&error)),
            None => Fault::NoAnswer(chain(&error)),
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| Fault::NoAnswer(chain(error.as_ref())))?;
        Ok((status, body.to_bytes()))
    }

    fn failed(&self, status: StatusCode, body: &[u8], has_baton: bool) -> Fault {
        let url = || self.server.remote.to_string();
        let refusal = serde_json::from_slice::<Refusal>(body).ok();
        let code = refusal.as_ref().and_then(|refusal| refusal.code.as_deref());
        // What a server says may be long, and is shown to a person.
        let said: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Fault::Refused(DbError::Denied { url: url(), status: status.as_u16(), said })
            }
            StatusCode::NOT_FOUND => Fault::Refused(DbError::Absent { url: url(), said }),
            _ if code == Some("STREAM_EXPIRED") => Fault::Expired,
            StatusCode::BAD_REQUEST if has_baton => Fault::Unknown(said),
            status => Fault::NoAnswer(format!("HTTP status {}: {said}", status.as_u16())),
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, DbError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| DbError::Location { url: "***".to_owned(), reason: "its token is no token" })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What TLS says against the server, if that is what ended the call.
fn untrusted(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    causes(error).find_map(said_by_tls).filter(is_verdict).cloned()
}

/// An io::Error does not name what it carries as its source, and may carry another one.
fn said_by_tls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref().or_else(|| said_by_tls(cause.downcast_ref::<std::io::Error>()?.get_ref()?))
}

/// Whether waiting mends nothing: the two sides do not agree. Anything else may be a connection that broke.
const fn is_verdict(error: &&rustls::Error) -> bool {
    use rustls::Error::{
        AlertReceived, InvalidCertificate, InvalidMessage, NoCertificatesPresented, PeerIncompatible,
    };
    matches!(
        error,
        InvalidCertificate(_)
            | NoCertificatesPresented
            | PeerIncompatible(_)
            | AlertReceived(_)
            | InvalidMessage(_)
    )
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
