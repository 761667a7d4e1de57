//! The gateway against loopback without it: many bytes, one connection, many connections at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::report::Report;
use super::series::{Series, Unit};
use super::stage::Bench;
use crate::cli::assemble;
use crate::gateway::{Budgets, Gateway, GatewayConfig};

/// How often the bytes are sent each way.
const FLOODS: usize = 3;

/// Connections at once.
const CROWD: usize = 256;

/// Connections that may wait to be accepted: room for the whole crowd.
const BACKLOG: u32 = 1024;

/// How often there are that many.
const CROWDS: usize = 5;

/// What is read at a time.
const BUFFER: usize = 256 * 1024;

/// Nothing here takes so long.
const LONG: Duration = Duration::from_secs(120);

/// The largest head of the gateway's answer.
const MAX_HEAD: usize = 8 * 1024;

/// Measures.
pub(super) async fn measure(
    bench: &Bench,
    runs: usize,
    volume: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let server = Server::start().await?;
    let run_dir = bench.settings().sandbox.run_dir.join("measured");
    let config = GatewayConfig { run_dir, ..assemble::gateway(bench.settings()) };
    let gateway = Gateway::spawn(config).await.context("cannot start the egress gateway")?;
    // The gateway lets in whom the door is for: here it is this process.
    let door = gateway.open(gateway.new_door(), rustix::process::getuid().as_raw()).await?;
    door.bind("bench/1", budgets()).await?;
    let through = Way::Through(door.mount_dir.join("gw.sock"), server.address);
    let direct = Way::Direct(server.address);

    let (mut direct_flood, mut flood) = (Vec::new(), Vec::new());
    for _ in 0..FLOODS {
        direct_flood.push(rate(&direct, volume).await?);
        flood.push(rate(&through, volume).await?);
    }
    let (mut direct_one, mut one) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        direct_one.push(first_byte(&direct).await?);
        one.push(first_byte(&through).await?);
    }
    let (mut direct_crowd, mut crowd) = (Vec::new(), Vec::new());
    for _ in 0..CROWDS {
        direct_crowd.push(crowded(&direct).await?);
        crowd.push(crowded(&through).await?);
    }
    door.close().await?;
    door.discard().context("cannot remove a socket")?;
    gateway.shutdown().await;

    let mib = volume >> 20;
    let speed = Unit::MebibytesPerSecond;
    report.measured(Series::new("directFlood", format!("{mib} MiB over loopback"), speed, direct_flood));
    report.measured(Series::new("gatewayFlood", "  and through the gateway", speed, flood));
    let millis = Unit::Millis;
    report.measured(Series::new("directConnection", "connection to first byte", millis, direct_one));
    report.measured(Series::new("gatewayConnection", "  and through the gateway", millis, one));
    let what = format!("{CROWD} connections at once, each to its first byte");
    report.measured(Series::new("directCrowd", what, millis, direct_crowd));
    report.measured(Series::new("gatewayCrowd", "  and through the gateway", millis, crowd));
    report.ratio(
        "gatewayToDirect",
        "bytes a second through the gateway for one without it",
        "gatewayFlood",
        &["directFlood"],
    );
    Ok(())
}

/// Far more than is measured.
const fn budgets() -> Budgets {
    Budgets {
        deadline_ms: 3_600_000,
        max_connections: u32::MAX,
        max_concurrent: CROWD as u32,
        max_hosts: 1,
        bytes_in: u64::MAX,
        bytes_in_at_once: u64::MAX,
        bytes_in_rate: u64::MAX,
        bytes_out: u64::MAX,
    }
}

/// Sends as many bytes as it is asked for, the number in eight bytes.
struct Server {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Server {
    async fn start() -> anyhow::Result<Self> {
        let (listener, address) = listener().context("cannot listen on loopback")?;
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                        // Who misses bytes notices.
                        connections.spawn(async move { drop(send(stream).await) });
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, _serving: serving })
    }
}

/// Who finds no room among those that wait to be accepted tries again after a second, and that is what would be measured.
fn listener() -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn send(mut stream: TcpStream) -> std::io::Result<()> {
    let bytes = vec![0; BUFFER];
    let mut left = stream.read_u64().await?;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
        stream.write_all(&bytes[..size]).await?;
        left -= size as u64;
    }
    stream.shutdown().await
}

/// A way to the server.
#[derive(Clone)]
enum Way {
    Direct(SocketAddr),
    Through(PathBuf, SocketAddr),
}

trait Stream: AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Stream for T {}

impl Way {
    async fn connect(&self) -> anyhow::Result<Box<dyn Stream>> {
        match self {
            Self::Direct(address) => Ok(Box::new(TcpStream::connect(address).await?)),
            Self::Through(socket, address) => {
                let mut stream = UnixStream::connect(socket).await.context("cannot reach the gateway")?;
                stream.write_all(format!("CONNECT {address} HTTP/1.1\r\n\r\n").as_bytes()).await?;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if head.len() > MAX_HEAD {
                        bail!("the gateway's answer has no end");
                    }
                    // A byte at a time: what follows the head is the server's.
                    head.push(stream.read_u8().await.context("the gateway hung up")?);
                }
                if !head.starts_with(b"HTTP/1.1 200") {
                    bail!("the gateway refused: {}", String::from_utf8_lossy(&head).trim());
                }
                Ok(Box::new(stream))
            }
        }
    }
}

/// Takes so many bytes, all of them, and says how fast they came.
async fn take(way: &Way, volume: u64) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let taking = async {
        let mut stream = way.connect().await?;
        stream.write_u64(volume).await?;
        let (mut buffer, mut taken) = (vec![0; BUFFER], 0);
        while taken < volume {
            match stream.read(&mut buffer).await? {
                0 => bail!("the connection ended after {taken} of {volume} bytes"),
                size => taken += size as u64,
            }
        }
        Ok(())
    };
    tokio::time::timeout(LONG, taking).await.context("the bytes did not come")??;
    Ok(begun.elapsed())
}

async fn rate(way: &Way, volume: u64) -> anyhow::Result<f64> {
    let took = take(way, volume).await?;
    Ok(volume as f64 / f64::from(1 << 20) / took.as_secs_f64())
}

async fn first_byte(way: &Way) -> anyhow::Result<f64> {
    Ok(take(way, 1).await?.as_secs_f64() * 1e3)
}

async fn crowded(way: &Way) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut crowd = JoinSet::new();
    for _ in 0..CROWD {
        let way = way.clone();
        crowd.spawn(async move { take(&way, 1).await });
    }
    while let Some(one) = crowd.join_next().await {
        one.context("a connection failed")??;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
