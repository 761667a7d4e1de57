//! The listeners of the demo site: one that serves pages by host name, one that never answers, and a port that is
//! taken so that nobody else listens on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::pages::{ENDLESS_MORE, ENDLESS_START, Reply, reply};
use super::rows::{Ports, Row, rows};

/// A request's head is longer only by mistake. In bytes.
pub(crate) const MAX_HEAD: u64 = 16 * 1024;

/// A client that has not asked by then, or does not take what it asked for, is let go.
const PATIENCE: Duration = Duration::from_secs(30);

/// No scan of the demonstration lasts longer; then even the endless page and the silent server end.
const FOR_EVER: Duration = Duration::from_secs(600);

/// How fast the endless page grows: slow enough that its reader's deadline comes before its cap.
const DRIP: Duration = Duration::from_millis(20);

/// The running site; dropping it stops it.
#[derive(Debug)]
pub struct DemoSite {
    rows: Vec<Row>,
    _tasks: JoinSet<()>,
    _reserved: TcpSocket,
}

impl DemoSite {
    pub(super) async fn start(listen: Ipv4Addr) -> io::Result<Self> {
        let any_port = SocketAddr::V4(SocketAddrV4::new(listen, 0));
        let web = TcpListener::bind(any_port).await?;
        let silent = TcpListener::bind(any_port).await?;
        // Bound but not listening: a connection is refused, and no other program can take the port.
        let reserved = TcpSocket::new_v4()?;
        reserved.bind(any_port)?;
        let port = |address: io::Result<SocketAddr>| address.map(|address| address.port());
        let ports = Ports {
            web: port(web.local_addr())?,
            silent: port(silent.local_addr())?,
            closed: port(reserved.local_addr())?,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(web, move |stream| answer(stream, ports.web)));
        tasks.spawn(accept(silent, say_nothing));
        Ok(Self { rows: rows(ports), _tasks: tasks, _reserved: reserved })
    }

    /// The scans of the demonstration.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Serves each connection in a task that ends with the listener's.
async fn accept<F, S>(listener: TcpListener, serve: F)
where
    F: Fn(TcpStream) -> S,
    S: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // One client's failure is no reason to stop serving the others; out of file descriptors is one
                // to wait a little.
                match accepted {
                    Ok((stream, _)) => {
                        let served = serve(stream);
                        connections.spawn(async move { drop(timeout(FOR_EVER, served).await) });
                    }
                    Err(_) => tokio::time::sleep(DRIP).await,
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Reads whatever comes and never writes.
async fn say_nothing(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn answer(mut stream: TcpStream, port: u16) -> io::Result<()> {
    let Some(reply) = timeout(PATIENCE, asked(&mut stream, port)).await.ok().transpose()?.flatten() else {
        return Ok(());
    };
    match reply {
        Reply::Whole { mime_type, body } => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {mime_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            send(&mut stream, head.as_bytes()).await?;
            send(&mut stream, &body).await?;
        }
        Reply::Redirect { status, to } => {
            let head = format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            send(&mut stream, head.as_bytes()).await?;
        }
        Reply::Missing => {
            let head = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            send(&mut stream, head.as_bytes()).await?;
        }
        Reply::Endless => {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n\r\n";
            send(&mut stream, head.as_bytes()).await?;
            send(&mut stream, ENDLESS_START.as_bytes()).await?;
            loop {
                send(&mut stream, ENDLESS_MORE.as_bytes()).await?;
                tokio::time::sleep(DRIP).await;
            }
        }
    }
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(bytes)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// What goes back to a client; `None` when it went away or sends no request.
pub(crate) async fn asked(stream: &mut (impl AsyncRead + Unpin), port: u16) -> io::Result<Option<Reply>> {
    let Some(head) = read_head(stream).await? else { return Ok(None) };
    let (host, path) = host_and_path(&head);
    Ok(Some(reply(host, path, port)))
}

/// The head of a request, without what came with its end. No more than [`MAX_HEAD`] is read.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut stream = stream.take(MAX_HEAD);
    let mut head = Vec::new();
    loop {
        // The end of a head may come in two pieces.
        let looked_at = head.len().saturating_sub(3);
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
        if let Some(end) = head[looked_at..].windows(4).position(|end| end == b"\r\n\r\n") {
            head.truncate(looked_at + end);
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
    }
}

/// The Host without its port, and the path without its query.
fn host_and_path(head: &str) -> (&str, &str) {
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let host = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map_or("", |(_, value)| value.trim());
    let host = host.split(':').next().unwrap_or_default();
    (host, target.split('?').next().unwrap_or_default())
}
