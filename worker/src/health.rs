//! Answers over HTTP whether a worker lives, whether it can take jobs, and its metrics.
//!
//! Owns the listener and its connections. It is there before database and engine answer, because it says that they
//! do not. Whoever asks holds nothing up: a connection serves one request within a few seconds, the oldest goes when
//! there are too many, and the database is counted at most once a second, by one task. It has no authentication.

mod answer;
mod counting;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::metrics::Metrics;
use crate::store::Store;
use counting::Counting;

/// Connections at a time. A probe, a scraper and a person need three.
const MOST_CONNECTIONS: usize = 32;

/// For one connection from its beginning to its end. A scrape takes milliseconds, and at most [`counting::PATIENCE`].
const CONNECTION: Duration = Duration::from_secs(10);

/// For the head of a request.
const HEAD: Duration = Duration::from_secs(5);

/// The longest head of a request in bytes, and most fields in it. What has come by then is looked at once more, so up
/// to twice as much may be held.
pub(crate) const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

/// How long nobody is let in when the process has no descriptor left.
const BREATH: Duration = Duration::from_millis(100);

/// Why there is no health address.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be had.
    #[error("cannot listen at {address} (worker.health)")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The listener. It ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct Health {
    address: SocketAddr,
    counting: Arc<Counting>,
    tasks: JoinSet<()>,
}

impl Health {
    /// Answers from now on.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn listen(address: SocketAddr, metrics: Metrics) -> Result<Self, HealthError> {
        let failed = |source| HealthError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let counting = Arc::new(Counting::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, metrics, Arc::clone(&counting)));
        Ok(Self { address, counting, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Scrapes tell from now on what this database holds.
    pub fn count(&mut self, store: Store) {
        self.tasks.spawn(Arc::clone(&self.counting).run(store));
    }

    /// Scrapes tell from now on how many containers this engine has.
    pub fn count_on(&self, engine_id: &str) {
        self.counting.of_engine(engine_id.to_owned());
    }
}

async fn accept(listener: TcpListener, metrics: Metrics, counting: Arc<Counting>) {
    let mut connections = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    sleep(BREATH).await;
                    continue;
                };
                oldest_first.retain(|connection| !connection.is_finished());
                if oldest_first.len() >= MOST_CONNECTIONS && let Some(oldest) = oldest_first.pop_front() {
                    oldest.abort();
                }
                let serve = serve(stream, metrics.clone(), Arc::clone(&counting));
                oldest_first.push_back(connections.spawn(timeout(CONNECTION, serve)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one request. Whatever a client does wrong ends its connection and nothing else.
async fn serve<S>(stream: S, metrics: Metrics, counting: Arc<Counting>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (metrics, counting) = (metrics.clone(), Arc::clone(&counting));
        async move {
            let answer = answer::to(request.method(), request.uri().path(), &metrics, &counting).await;
            Ok::<Response<Full<Bytes>>, Infallible>(answer)
        }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MAX_FIELDS)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Serves a connection while no database is counted.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin, metrics: &Metrics) {
    serve(stream, metrics.clone(), Arc::new(Counting::default())).await;
}

#[cfg(test)]
mod tests;
