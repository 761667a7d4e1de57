//! Reads a response's body: decodes it, keeps a prefix, and says how it ended.
//!
//! Nothing here fails: whatever arrived before a cap, a deadline or a broken transfer is kept and judged.
//! Decoding goes straight into the capped buffer, so that a small bomb never becomes a large one.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes};
use safeurl_protocol::{ErrorClass, HopError};
use tokio::time::Instant;

/// First bytes of every gzip stream (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

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
            Err(Stop::Broken(message)) => {
                error = Some(hop_error(ErrorClass::Body, message));
                break;
            }
        }
    }
    let finished = decoder.finish();
    if error.is_none() && !cut {
        match finished.1 {
            Ok(()) => {}
            Err(Stop::Full) => cut = true,
            Err(Stop::Broken(message)) => error = Some(hop_error(ErrorClass::Body, message)),
        }
    }
    Read { bytes: finished.0, encoded, truncated: cut || error.is_some(), error }
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
    Full,
    Broken(String),
}

/// Keeps at most `cap` bytes; a write of more fails, which is how a decoder is stopped in the middle.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    cap: usize,
    full: bool,
}

impl Write for Kept {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.cap.saturating_sub(self.bytes.len());
        let taken = data.get(..room).unwrap_or(data);
        self.bytes.extend_from_slice(taken);
        if taken.len() < data.len() {
            self.full = true;
            return Err(io::Error::other("full"));
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder {
    /// As it comes; with a complaint when the encoding is not one we decode.
    Plain(Kept, Option<String>),
    /// gzip was announced and nothing has arrived; the first bytes are collected here.
    Pending(Kept, Vec<u8>),
    Gzip(Box<GzDecoder<Kept>>, bool),
}

impl Decoder {
    fn new(encoding: Option<&str>, cap: usize) -> Self {
        let kept = Kept { bytes: Vec::new(), cap, full: false };
        match encoding.map(|value| value.trim().to_ascii_lowercase()).as_deref() {
            None | Some("" | "identity") => Self::Plain(kept, None),
            Some("gzip" | "x-gzip") => Self::Pending(kept, Vec::new()),
            Some(other) => {
                let name: String = other.chars().take(40).collect();
                Self::Plain(kept, Some(format!("the content encoding {name:?} is not one we asked for")))
            }
        }
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Stop> {
        match self {
            Self::Plain(kept, _) => kept.write_all(data).map_err(|_| Stop::Full),
            Self::Pending(kept, first) => {
                first.extend_from_slice(data);
                if first.len() < GZIP_MAGIC.len() {
                    return Ok(());
                }
                let (kept, first) = (std::mem::take(kept), std::mem::take(first));
                *self = if first.starts_with(&GZIP_MAGIC) {
                    Self::Gzip(Box::new(GzDecoder::new(kept)), false)
                } else {
                    Self::Plain(kept, Some("the body is announced as gzip and is not".to_owned()))
                };
                self.push(&first)
            }
            Self::Gzip(decoder, ended) => {
                let mut rest = data;
                // What follows the first member is ignored, as browsers do.
                while !rest.is_empty() && !*ended {
                    match decoder.write(rest) {
                        Ok(0) => *ended = true,
                        Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                        Err(_) if decoder.get_ref().full => return Err(Stop::Full),
                        Err(error) => {
                            return Err(Stop::Broken(format!("the gzip stream is broken: {error}")));
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// What was kept, and whether the stream ended as it should.
    fn finish(self) -> (Vec<u8>, Result<(), Stop>) {
        match self {
            Self::Plain(kept, None) => (kept.bytes, Ok(())),
            Self::Plain(kept, Some(complaint)) if kept.bytes.is_empty() => {
                drop(complaint);
                (kept.bytes, Ok(()))
            }
            Self::Plain(kept, Some(complaint)) => (kept.bytes, Err(Stop::Broken(complaint))),
            Self::Pending(mut kept, first) => {
                let empty = first.is_empty();
                let written = kept.write_all(&first);
                let end = match written {
                    Err(_) => Err(Stop::Full),
                    Ok(()) if empty => Ok(()),
                    Ok(()) => Err(Stop::Broken("the body is announced as gzip and is not".to_owned())),
                };
                (kept.bytes, end)
            }
            Self::Gzip(mut decoder, _) => {
                let ended = decoder.try_finish();
                let kept = std::mem::take(decoder.get_mut());
                let end = match ended {
                    Ok(()) => Ok(()),
                    Err(_) if kept.full => Err(Stop::Full),
                    Err(error) => Err(Stop::Broken(format!("the gzip stream is broken: {error}"))),
                };
                (kept.bytes, end)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use http_body_util::Full;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).expect("writing to memory");
        encoder.finish().expect("writing to memory")
    }

    async fn got(data: Vec<u8>, encoding: Option<&str>, cap: usize) -> Read {
        let far = Instant::now() + std::time::Duration::from_secs(600);
        read(Full::new(Bytes::from(data)), encoding, cap, far).await
    }

    fn class(read: &Read) -> Option<ErrorClass> {
        read.error.as_ref().map(|error| error.class)
    }

    #[tokio::test]
    async fn a_body_as_long_as_the_cap_is_whole_and_one_byte_more_is_cut() {
        let whole = got(b"12345".to_vec(), None, 5).await;
        assert_eq!((whole.bytes.as_slice(), whole.truncated), (&b"12345"[..], false));
        let cut = got(b"123456".to_vec(), None, 5).await;
        assert_eq!((cut.bytes.as_slice(), cut.truncated, class(&cut)), (&b"12345"[..], true, None));
    }

    #[tokio::test]
    async fn gzip_is_decoded_and_both_sizes_are_counted() {
        let data = b"hello ".repeat(100);
        let packed = gzip(&data);
        for encoding in ["gzip", "x-gzip", " GZIP "] {
            let read = got(packed.clone(), Some(encoding), 10_000).await;
            assert_eq!((&read.bytes, read.encoded, read.truncated), (&data, packed.len() as u64, false));
        }
    }

    #[tokio::test]
    async fn a_bomb_stops_at_the_cap() {
        let read = got(gzip(&vec![0; 5_000_000]), Some("gzip"), 1000).await;
        assert_eq!((read.bytes.len(), read.truncated, class(&read)), (1000, true, None));
        assert!(read.bytes.capacity() < 100_000);
    }

    #[tokio::test]
    async fn a_gzip_stream_that_breaks_off_keeps_its_prefix() {
        let noise: Vec<u8> = (0..50_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut packed = gzip(&noise);
        packed.truncate(packed.len() / 2);
        let read = got(packed, Some("gzip"), 100_000).await;
        assert!(!read.bytes.is_empty() && noise.starts_with(&read.bytes));
        assert_eq!((read.truncated, class(&read)), (true, Some(ErrorClass::Body)));
    }

    #[tokio::test]
    async fn encodings_that_lie_or_are_unknown_keep_the_bytes_as_they_came() {
        for (encoding, data) in [("gzip", &b"<html>"[..]), ("gzip", b"x"), ("br", b"\x8b\x02")] {
            let read = got(data.to_vec(), Some(encoding), 100).await;
            assert_eq!((read.bytes.as_slice(), class(&read)), (data, Some(ErrorClass::Body)), "{encoding}");
        }
        for encoding in ["gzip", "br"] {
            assert_eq!(class(&got(Vec::new(), Some(encoding), 100).await), None);
        }
    }

    #[tokio::test]
    async fn what_follows_a_gzip_stream_is_ignored() {
        let mut packed = gzip(b"page");
        packed.extend_from_slice(b"trailing");
        let read = got(packed, Some("gzip"), 100).await;
        assert_eq!((read.bytes.as_slice(), read.error), (&b"page"[..], None));
    }
}
