//! A way to Redis that can go bad: what is sent into it may be swallowed, as by a network that forgot a connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// A proxy on a socket of its own.
pub(crate) struct Proxy {
    path: PathBuf,
    swallows: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Beside the socket of a Redis.
    pub(crate) fn before(folder: &Path) -> Self {
        let path = folder.join("proxy.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (swallows, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task =
            tokio::spawn(serve(listener, folder.join("redis.sock"), swallows.clone(), accepted.clone()));
        Self { path, swallows, accepted, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on nothing comes back, over old connections and new ones; or everything does again, over new ones.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.swallows.store(swallows, Ordering::SeqCst);
    }

    /// How many connections were made.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: UnixListener,
    redis: PathBuf,
    swallows: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
) {
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        let Ok(server) = UnixStream::connect(&redis).await else { continue };
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(copy(from_client, to_server, Arc::new(AtomicBool::new(false))));
        tokio::spawn(copy(from_server, to_client, swallows.clone()));
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallows: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut swallowed = false;
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        swallowed |= swallows.load(Ordering::SeqCst);
        if !swallowed && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
