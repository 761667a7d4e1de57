//! What lies between a server's bytes and the HTTP parser.
//!
//! It keeps the raw response head, because the parser gives names back in lower case, and it turns a TLS
//! stream that ends without a close_notify into a plain end of file: many servers end so, browsers accept
//! it, and a transfer that was really cut short still shows by its length or its chunks.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Duplex;

/// A response head longer than this is refused by the parser too.
pub(crate) const MAX_HEAD_BYTES: usize = 128 * 1024;

/// The bytes read so far, until the head is out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tape(Arc<Mutex<Option<Vec<u8>>>>);

impl Tape {
    fn start(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    fn push(&self, bytes: &[u8]) {
        if let Some(kept) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let room = MAX_HEAD_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// Ends the recording and gives what there is.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

/// A stream with a tape.
pub(crate) struct Wire {
    inner: Box<dyn Duplex>,
    tape: Tape,
}

impl Wire {
    /// Wraps a stream; the tape runs until it is taken.
    pub(crate) fn new(inner: Box<dyn Duplex>) -> (Self, Tape) {
        let tape = Tape::default();
        tape.start();
        (Self { inner, tape: tape.clone() }, tape)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                self.tape.push(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
