//! The page that the scans of a measurement fetch, on loopback, and when each was asked for.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A small page such as there are many: a title, some text, a link.
const PAGE: &str = include_str!("../../../../tests/demo/article.html");

/// A request's head is longer only by mistake. In bytes.
const MAX_HEAD: usize = 16 * 1024;

type Connected = Arc<Mutex<HashMap<String, Instant>>>;

/// The server; dropping it stops it.
pub(super) struct Site {
    address: SocketAddr,
    connected: Connected,
    _serving: JoinSet<()>,
}

impl Site {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, connected) = (listener.local_addr()?, Connected::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&connected)));
        Ok(Self { address, connected, _serving: serving })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a page that nobody else asks for.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// When the connection was there on which this path was asked for.
    pub(super) fn connected(&self, path: &str) -> Option<Instant> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).remove(path)
    }
}

async fn serve(listener: TcpListener, connected: Connected) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let at = Instant::now();
                let connected = Arc::clone(&connected);
                // A client that goes away is missed by its scan, which fails.
                connections.spawn(async move { drop(answer(stream, at, &connected).await) });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(mut stream: TcpStream, at: Instant, connected: &Connected) -> io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    if let Some(path) = String::from_utf8_lossy(&head).split(' ').nth(1) {
        connected.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), at);
    }
    let length = PAGE.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{PAGE}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
