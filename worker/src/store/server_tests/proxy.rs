//! A way to a server that loses answers: it passes calls on, and when told to, waits until the server has answered a
//! COMMIT and then closes the connection instead of passing the answer on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Proxy {
    address: SocketAddr,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    pub(super) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let cuts = Arc::<AtomicU32>::default();
        let counted = Arc::clone(&cuts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server, Arc::clone(&counted)));
            }
        });
        Self { address, cuts }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the answers to so many of the next COMMITs.
    pub(super) fn lose(&self, answers: u32) {
        self.cuts.store(answers, Ordering::SeqCst);
    }

    /// How many are still to be lost.
    pub(super) fn left(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, cuts: Arc<AtomicU32>) -> Option<()> {
    let mut upstream = TcpStream::connect(server).await.ok()?;
    loop {
        let call = message(&mut client).await?;
        upstream.write_all(&call).await.ok()?;
        let answer = message(&mut upstream).await?;
        let commits = call.windows(8).any(|part| part == b"\"COMMIT\"");
        if commits
            && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        {
            return None;
        }
        client.write_all(&answer).await.ok()?;
    }
}

/// One HTTP message, head and body; both sides of a Hrana server say how long it is.
async fn message(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(end) = read.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
        if from.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.expect("a length").trim().parse().expect("a number");
    while read.len() < head + length {
        if from.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    Some(read)
}
