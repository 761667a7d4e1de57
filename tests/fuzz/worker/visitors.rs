//! What anybody who reaches them may send to the addresses that a process of ours listens at.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::cli::demo_site::pages::{HOSTS, METADATA, Reply};
use crate::cli::demo_site::server;
use crate::health;
use crate::metrics::Metrics;

/// Comes in pieces of one length, and ends.
struct Pieces<'a> {
    left: &'a [u8],
    length: usize,
}

impl<'a> Pieces<'a> {
    fn of(data: &'a [u8], length: u8) -> Self {
        Self { left: data, length: usize::from(length).max(1) }
    }
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.left.split_at(self.length.min(self.left.len()).min(buffer.remaining()));
        buffer.put_slice(now);
        self.left = later;
        Poll::Ready(Ok(()))
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime without a network needs nothing").block_on(future)
}

/// With a field behind the first line that takes so many times 256 bytes: so inputs reach the caps.
fn padded(data: &[u8], times: u8) -> Vec<u8> {
    if times == 0 {
        return data.to_vec();
    }
    let (first, rest) =
        data.split_at(data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |at| at + 1));
    let padding = "x".repeat(usize::from(times) * 256);
    [first, b"X-Padding: ", padding.as_bytes(), b"\r\n", rest].concat()
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// One byte for the length of the pieces, one for a padding; then what stands on a connection to `worker.health`.
pub(super) fn health_request(data: &[u8]) {
    let [length, times, data @ ..] = data else { return };
    let sent = padded(data, *times);
    let mut client = Pieces::of(&sent, *length);
    let mut said = Vec::new();
    block_on(health::over(tokio::io::join(&mut client, &mut said), &METRICS));
    let taken = sent.len() - client.left.len();
    assert!(taken <= 2 * health::MAX_HEAD, "{taken} bytes were read");
    if said.is_empty() {
        return;
    }
    let said = String::from_utf8(said).expect("whoever asks, the answer is text");
    let (head, body) = said.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).unwrap_or_default();
    assert!(matches!(status, "200" | "400" | "404" | "405" | "414" | "431" | "503"), "{head}");
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let announced = announced.map(|length| length.parse::<usize>().expect("a number"));
    // One request and one answer, however many requests were sent; a HEAD has its length and not its body.
    assert!(announced == Some(body.len()) || body.is_empty(), "{said}");
    // None of it is what the client said.
    let ours = ["", "{\"alive\":", "{\"ready\":", "# HELP ", "not found: there are ", "only GET and HEAD "];
    assert!(body.is_empty() || ours[1..].iter().any(|ours| body.starts_with(ours)), "{body}");
    assert!(usize::from(*times) * 256 <= 2 * health::MAX_HEAD || !matches!(status, "200" | "503"), "{head}");
}

/// The same for the web server of the demonstration.
pub(super) fn demo_request(data: &[u8]) {
    const PORT: u16 = 8080;
    let [length, times, data @ ..] = data else { return };
    let sent = padded(data, *times);
    let mut whole = Pieces { left: &sent, length: sent.len().max(1) };
    let mut pieces = Pieces::of(&sent, *length);
    let asked = |client| block_on(server::asked(client, PORT)).expect("memory can be read");
    let (at_once, in_pieces) = (asked(&mut whole), asked(&mut pieces));
    for left in [whole.left, pieces.left] {
        let taken = sent.len() - left.len();
        assert!(taken as u64 <= server::MAX_HEAD, "{taken} bytes were read");
    }
    // What follows a head says nothing, whether it came with it or not.
    assert_eq!(at_once, in_pieces);
    let Some(reply) = at_once else { return };
    assert!(usize::from(*times) * 256 < 16 * 1024, "a head that is too long");
    match reply {
        Reply::Redirect { status, to } => {
            let host = to.strip_prefix("http://").and_then(|rest| rest.split_once(":8080/"));
            let ours = host.is_some_and(|(host, _)| HOSTS.contains(&host)) || to == METADATA;
            assert!((300..400).contains(&status) && ours, "{to}");
        }
        Reply::Whole { mime_type, body } => assert!(!mime_type.is_empty() && !body.is_empty()),
        Reply::Endless | Reply::Missing => {}
    }
}
