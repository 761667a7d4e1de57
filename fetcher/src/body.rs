//! Reads a response's body: decodes it, keeps a prefix, and says how it ended.
//!
//! Nothing here fails: whatever arrived before a cap, a deadline or a broken transfer is kept and judged.
//! Decoding goes straight into the capped buffer, so that a small bomb never becomes a large one.

mod coding;
mod inflate;
mod unbrotli;
mod unzstd;

use coding::Decoder;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes};
use safeurl_protocol::{ErrorClass, HopError};
use tokio::time::Instant;

/// What was read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Read {
    /// The decoded prefix.
    pub(crate) bytes: Vec<u8>,
    /// Bytes before content decoding.
    pub(crate) encoded: u64,
    /// Not all of it was kept.
    pub(crate) truncated: bool,
    pub(crate) error: Option<HopError>,
}

/// Reads until the end, the cap or the deadline. `encoding` is the Content-Encoding's value.
pub(crate) async fn read<B>(mut body: B, encoding: Option<&str>, cap: usize, deadline: Instant) -> Read
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error,
{
    let mut decoder = Decoder::new(encoding, cap);
    let mut encoded = 0u64;
    let mut error = None;
    let mut cut = false;
    loop {
        let frame = match tokio::time::timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(broken))) => {
                error = Some(hop_error(ErrorClass::Body, format!("the body broke off: {}", chain(&broken))));
                break;
            }
            Ok(None) => break,
            Err(_) => {
                error = Some(hop_error(ErrorClass::Timeout, "the deadline passed while reading the body"));
                break;
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        encoded = encoded.saturating_add(data.len() as u64);
        match decoder.push(&data) {
            Ok(()) => {}
            Err(Stop::Full) => {
                cut = true;
                break;
            }
            Err(Stop::Broken(message) | Stop::Bomb(message)) => {
                error = Some(hop_error(ErrorClass::Body, message));
                break;
            }
        }
    }
    let (bytes, ended) = decoder.finish();
    if error.is_none() && !cut {
        match ended {
            Ok(()) => {}
            Err(Stop::Full) => cut = true,
            Err(Stop::Broken(message) | Stop::Bomb(message)) => {
                error = Some(hop_error(ErrorClass::Body, message));
            }
        }
    }
    Read { bytes, encoded, truncated: cut || error.is_some(), error }
}

fn hop_error(class: ErrorClass, message: impl Into<String>) -> HopError {
    HopError { class, message: message.into() }
}

/// An error with its causes, since the outermost rarely says anything.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Why no more bytes are wanted.
#[derive(Debug, PartialEq)]
enum Stop {
    /// The cap is reached.
    Full,
    /// The coding does not hold what it says.
    Broken(String),
    /// What comes out is out of proportion to what goes in.
    Bomb(String),
}

/// Keeps at most `cap` bytes.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    cap: usize,
}

impl Kept {
    const fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), cap }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// An error once more comes than is kept, which is how a decoder is stopped in the middle.
    fn push(&mut self, data: &[u8]) -> Result<(), Stop> {
        let room = self.cap.saturating_sub(self.bytes.len());
        let taken = data.get(..room).unwrap_or(data);
        self.bytes.extend_from_slice(taken);
        if taken.len() < data.len() { Err(Stop::Full) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
