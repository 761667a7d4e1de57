//! One connection out of a container, from its CONNECT request to its last byte.
//!
//! Every step waits on the end of the binding as well, so that closing a door cuts what is open. A connection is
//! in the ledger before its first byte flows; what cannot be written down is not carried.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use safeurl_protocol::ledger::{Decision, Entry, LedgerLine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use super::budget::{Direction, Spending};
use super::journal::{self, Journal};
use super::race;
use super::request::{self, BadRequest, Connect, MAX_HEAD_BYTES};
use super::resolve::{Outcome, Resolution, Resolver};

/// A request head is a few dozen bytes from a process on the same machine.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes carried at a time in each direction.
const CHUNK: usize = 16 * 1024;

/// What the connections of one attempt share.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) resolver: Arc<Resolver>,
    pub(super) connect_timeout: Duration,
    pub(super) journal: Journal,
    pub(super) spending: Spending,
    pub(super) next_seq: AtomicU64,
}

/// Set to the reason when the binding ends.
pub(super) type Ending = watch::Receiver<Option<&'static str>>;

/// Serves one connection. Whatever goes wrong concerns this connection only and is in its answer or in the ledger.
pub(super) async fn serve(mut client: UnixStream, attempt: Arc<Attempt>, mut ending: Ending) {
    let wanted = tokio::select! {
        _ = ended(&mut ending) => return,
        read = tokio::time::timeout(HEAD_TIMEOUT, read_head(&mut client)) => read,
    };
    let wanted = match wanted {
        Ok(Ok(Ok(wanted))) => wanted,
        Ok(Ok(Err(bad))) => {
            let answer = Answer { status: "400 Bad Request", seq: None, field: None, text: &bad.to_string() };
            return answer.send(&mut client, &mut ending).await;
        }
        // Silence, or nobody there any more: there is nobody to answer.
        Ok(Err(_)) | Err(_) => return,
    };
    // Closed without an answer, as for a door that nobody serves: the attempt is lost, and the site is left alone.
    if attempt.journal.is_torn() {
        return;
    }
    let seq = attempt.next_seq.fetch_add(1, Ordering::Relaxed);
    let entry = blank(seq, &wanted);
    let slot = match attempt.spending.admit(&wanted.host) {
        Ok(slot) => slot,
        Err(budget) => {
            let refusal = Refusal::budget(budget);
            return refuse(&mut client, &mut ending, &attempt, entry, refusal).await;
        }
    };
    match reach(&attempt, &wanted, entry, &mut ending).await {
        Ok((server, entry)) => {
            let opened = Instant::now();
            if attempt.journal.write(&LedgerLine::Connection(entry)).is_err() {
                return;
            }
            let carried = carry(client, server, seq, &attempt, &mut ending).await;
            let closed = LedgerLine::Closed {
                seq,
                bytes_in: carried.bytes_in,
                bytes_out: carried.bytes_out,
                duration_ms: millis(opened.elapsed()),
                error: carried.error,
            };
            // The connection is over either way; a ledger that cannot be written has no end line either.
            let _ = attempt.journal.write(&closed);
        }
        Err((entry, refusal)) => refuse(&mut client, &mut ending, &attempt, entry, refusal).await,
    }
    drop(slot);
}

async fn ended(ending: &mut Ending) -> &'static str {
    match ending.wait_for(Option::is_some).await {
        Ok(reason) => reason.unwrap_or("closed"),
        Err(_) => "closed",
    }
}

async fn read_head(client: &mut UnixStream) -> io::Result<Result<Connect, BadRequest>> {
    let mut head = Vec::with_capacity(256);
    loop {
        match request::parse(&head) {
            Ok(Some(wanted)) => return Ok(Ok(wanted)),
            Ok(None) => {}
            Err(bad) => return Ok(Err(bad)),
        }
        let room = (MAX_HEAD_BYTES + 1).saturating_sub(head.len()) as u64;
        if client.take(room).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn blank(seq: u64, wanted: &Connect) -> Entry {
    Entry {
        seq,
        host: wanted.host.clone(),
        port: wanted.port,
        addresses: Vec::new(),
        tried: Vec::new(),
        dialed: None,
        decision: Decision::Denied,
        rule: String::new(),
        bytes_in: 0,
        bytes_out: 0,
        opened_at: journal::now(),
        dns_ms: None,
        connect_ms: None,
        duration_ms: None,
        error: None,
    }
}

/// Why a connection was not made: the answer's status line, its field, and the sentence in its body.
struct Refusal {
    status: &'static str,
    field: (&'static str, String),
    text: String,
}

impl Refusal {
    fn budget(budget: &'static str) -> Self {
        Self {
            status: "429 Too Many Requests",
            field: ("Safeurl-Rule", budget.to_owned()),
            text: format!("the budget '{budget}' does not allow another connection"),
        }
    }

    fn denied(rule: &str) -> Self {
        let text = format!("denied by the rule '{rule}'");
        Self { status: "403 Forbidden", field: ("Safeurl-Rule", rule.to_owned()), text }
    }

    fn failed(status: &'static str, class: &str, text: String) -> Self {
        Self { status, field: ("Safeurl-Error", class.to_owned()), text }
    }
}

/// Resolves, checks and dials. The entry comes back filled in, with the connection or with the refusal.
async fn reach(
    attempt: &Attempt,
    wanted: &Connect,
    mut entry: Entry,
    ending: &mut Ending,
) -> Result<(TcpStream, Entry), (Entry, Refusal)> {
    let resolved = tokio::select! {
        reason = ended(ending) => Err(reason),
        resolution = attempt.resolver.resolve(&wanted.host, wanted.port) => Ok(resolution),
    };
    let Resolution { addresses, dns_time, outcome } = match resolved {
        Ok(resolution) => resolution,
        Err(reason) => {
            entry.rule = reason.to_owned();
            return Err((entry, Refusal::budget(reason)));
        }
    };
    entry.addresses = addresses.iter().map(ToString::to_string).collect();
    entry.dns_ms = dns_time.map(millis);
    let mut unresolved = |class: &'static str, text: &str| {
        entry.decision = Decision::Allowed;
        entry.rule = "unresolved".to_owned();
        entry.error = Some(text.to_owned());
        Refusal::failed("502 Bad Gateway", class, text.to_owned())
    };
    let (targets, rule) = match outcome {
        Outcome::Allowed { targets, rule } => (targets, rule),
        Outcome::Denied { rule } => {
            entry.rule = rule.to_owned();
            return Err((entry, Refusal::denied(rule)));
        }
        Outcome::NotFound => {
            let refusal = unresolved("dns", "the name has no address");
            return Err((entry, refusal));
        }
        Outcome::Unavailable => {
            let refusal = unresolved("dns_unavailable", "no name server answered");
            return Err((entry, refusal));
        }
    };
    entry.decision = Decision::Allowed;
    entry.rule = rule.to_owned();
    let started = Instant::now();
    let targets = race::ordered(&targets, race::has_route);
    let mut tried = Vec::with_capacity(targets.len());
    let dialled = tokio::select! {
        reason = ended(ending) => Err(reason),
        dialled = race::race(&targets, attempt.connect_timeout, &mut tried, |target| target.connect()) => Ok(dialled),
    };
    entry.tried = tried.iter().map(|target| target.address().ip().to_string()).collect();
    // Without a winner: dialled all the same.
    entry.dialed = entry.tried.last().cloned();
    match dialled {
        Ok(Ok((server, target))) => {
            entry.dialed = Some(target.address().ip().to_string());
            entry.connect_ms = Some(millis(started.elapsed()));
            Ok((server, entry))
        }
        Err(reason) => {
            entry.error = Some(reason.to_owned());
            entry.duration_ms = Some(millis(started.elapsed()));
            Err((entry, Refusal::budget(reason)))
        }
        Ok(Err(error)) => {
            entry.error = Some(error.kind().to_string());
            entry.duration_ms = Some(millis(started.elapsed()));
            let status = if error.kind() == io::ErrorKind::TimedOut {
                "504 Gateway Timeout"
            } else {
                "502 Bad Gateway"
            };
            let refusal = Refusal::failed(status, "connect", error.kind().to_string());
            Err((entry, refusal))
        }
    }
}

async fn refuse(
    client: &mut UnixStream,
    ending: &mut Ending,
    attempt: &Attempt,
    mut entry: Entry,
    refusal: Refusal,
) {
    let seq = entry.seq;
    if entry.rule.is_empty() {
        entry.rule = refusal.field.1.clone();
    }
    entry.duration_ms.get_or_insert(0);
    if attempt.journal.write(&LedgerLine::Connection(entry)).is_err() {
        return;
    }
    let (name, value) = refusal.field;
    let field = Some((name, value.as_str()));
    Answer { status: refusal.status, seq: Some(seq), field, text: &refusal.text }.send(client, ending).await;
}

/// An answer that ends the connection.
struct Answer<'a> {
    status: &'a str,
    seq: Option<u64>,
    field: Option<(&'a str, &'a str)>,
    text: &'a str,
}

impl Answer<'_> {
    async fn send(&self, client: &mut UnixStream, ending: &mut Ending) {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        if let Some(seq) = self.seq {
            head.push_str(&format!("Safeurl-Connection: {seq}\r\n"));
        }
        if let Some((name, value)) = self.field {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "Content-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}\n",
            self.text.len() + 1,
            self.text
        ));
        tokio::select! {
            _ = ended(ending) => {}
            // Who does not read the answer has not got one.
            _ = client.write_all(head.as_bytes()) => {}
        }
    }
}

/// What passed, and why it ended when not by either side closing.
struct Carried {
    bytes_in: u64,
    bytes_out: u64,
    error: Option<String>,
}

/// Carries bytes until the container closes its side, the server has closed and the container has seen it, a
/// budget is used up, or the binding ends. A half-closed client does not exist: an HTTP client that closes is gone.
async fn carry(
    mut client: UnixStream,
    mut server: TcpStream,
    seq: u64,
    attempt: &Attempt,
    ending: &mut Ending,
) -> Carried {
    let (bytes_in, bytes_out) = (AtomicU64::new(0), AtomicU64::new(0));
    let pumping = async {
        let established = format!("HTTP/1.1 200 Connection established\r\nSafeurl-Connection: {seq}\r\n\r\n");
        client.write_all(established.as_bytes()).await.map_err(|error| broken("container", &error))?;
        let (mut client_read, mut client_write) = client.split();
        let (mut server_read, mut server_write) = server.split();
        let incoming = async {
            let meter = Meter { spending: &attempt.spending, direction: Direction::In, passed: &bytes_in };
            pump(&mut server_read, &mut client_write, &meter, ("server", "container")).await?;
            client_write.shutdown().await.map_err(|error| broken("container", &error))
        };
        let outgoing = async {
            let meter = Meter { spending: &attempt.spending, direction: Direction::Out, passed: &bytes_out };
            pump(&mut client_read, &mut server_write, &meter, ("container", "server")).await
        };
        tokio::pin!(incoming, outgoing);
        tokio::select! {
            sent = &mut outgoing => sent,
            received = &mut incoming => {
                received?;
                // All is delivered; what the container still says reaches nobody, whatever becomes of it.
                let _ = outgoing.await;
                Ok(())
            }
        }
    };
    let result: Result<(), String> = tokio::select! {
        // What has ended by itself before the binding was not cut by it, whichever is heard of first.
        biased;
        result = pumping => result,
        reason = ended(ending) => Err(reason.to_owned()),
    };
    Carried {
        bytes_in: bytes_in.load(Ordering::Relaxed),
        bytes_out: bytes_out.load(Ordering::Relaxed),
        error: result.err(),
    }
}

struct Meter<'a> {
    spending: &'a Spending,
    direction: Direction,
    passed: &'a AtomicU64,
}

async fn pump(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    meter: &Meter<'_>,
    (source, sink): (&str, &str),
) -> Result<(), String> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await.map_err(|error| broken(source, &error))?;
        if read == 0 {
            return Ok(());
        }
        let passage = meter.spending.pass(meter.direction, read, tokio::time::Instant::now());
        if let Some(due) = passage.due {
            // Nothing is read meanwhile, so that it is the server that waits.
            tokio::time::sleep_until(due).await;
        }
        let mut rest = &chunk[..passage.bytes];
        while !rest.is_empty() {
            // Counted as it leaves, so that the ledger is right when the binding ends in the middle.
            let written = to.write(rest).await.map_err(|error| broken(sink, &error))?;
            if written == 0 {
                return Err(broken(sink, &io::ErrorKind::WriteZero.into()));
            }
            meter.passed.fetch_add(written as u64, Ordering::Relaxed);
            rest = &rest[written..];
        }
        if let Some(budget) = passage.used_up {
            return Err(budget.to_owned());
        }
    }
}

fn broken(side: &str, error: &io::Error) -> String {
    format!("{side}: {}", error.kind())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
