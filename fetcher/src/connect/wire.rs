//! What lies between a server's bytes and the parser of its protocol.
//!
//! It keeps the first bytes, because the HTTP parser gives names back in lower case, and to tell who it is that does
//! not speak the protocol. It ends a head that does not end. It lets an answer be read although the server no longer
//! listens, since who refuses a request often hangs up before it has arrived. And it turns a TLS stream that ends without a close_notify
//! into a plain end of file: many servers end so, browsers accept it, and a transfer that was really cut short still
//! shows by its length or its chunks.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Duplex;

/// A response's head, with those of interim responses before it, is not longer than this. Chrome draws its line at
/// 256 KiB as well, and what a browser shows must not be hidden from us.
pub(crate) const MAX_HEAD_BYTES: usize = 256 * 1024;

/// The bytes read so far, until somebody takes them.
#[derive(Debug, Clone)]
pub(crate) struct Tape(Arc<Mutex<Option<Recording>>>);

#[derive(Debug)]
struct Recording {
    bytes: Vec<u8>,
    /// Kept of them at most.
    keep: usize,
    read: usize,
    /// More than this is not read while the tape runs.
    limit: usize,
    /// Why reading failed: parsers pass an error's kind on, or nothing of it.
    trouble: Option<Trouble>,
}

/// Why reading failed before the tape was taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    /// So many bytes arrived and the head did not end.
    NoEnd(usize),
    /// The server ended the TLS connection with this alert. One that wants a certificate of its visitors says so in
    /// TLS 1.3 only after the handshake.
    Alert(u8),
    /// What the server sent after the handshake is no TLS, or more of it than anybody takes.
    Misbehaved(String),
}

/// What a tape holds.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trouble: Option<Trouble>,
}

impl Tape {
    fn push(&self, bytes: &[u8]) {
        if let Some(tape) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let room = tape.keep.saturating_sub(tape.bytes.len());
            tape.bytes.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            tape.read = tape.read.saturating_add(bytes.len());
        }
    }

    /// Whether more was read than may be.
    fn is_full(&self) -> bool {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(tape) if tape.read >= tape.limit => {
                tape.trouble = Some(Trouble::NoEnd(tape.limit));
                true
            }
            _ => false,
        }
    }

    fn fail(&self, error: &io::Error) {
        let trouble = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert)) => Trouble::Alert(u8::from(*alert)),
            Some(other) => Trouble::Misbehaved(other.to_string()),
            // More in one flight than it holds.
            None if error.kind() == io::ErrorKind::InvalidData => Trouble::Misbehaved(error.to_string()),
            None => return,
        };
        if let Some(tape) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            tape.trouble = Some(trouble);
        }
    }

    /// Ends the recording and gives what there is.
    pub(crate) fn take(&self) -> Taken {
        let tape = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        tape.map(|tape| Taken { bytes: tape.bytes, trouble: tape.trouble }).unwrap_or_default()
    }
}

/// A stream with a tape.
pub(crate) struct Wire {
    inner: Box<dyn Duplex>,
    tape: Tape,
    /// Writing failed once: what is still written goes nowhere, and reading tells the rest.
    unheard: bool,
}

impl Wire {
    /// Wraps a stream; the tape runs until it is taken, keeps the first `keep` bytes, and lets `limit` bytes pass.
    pub(crate) fn new(inner: Box<dyn Duplex>, keep: usize, limit: usize) -> (Self, Tape) {
        let recording = Recording { bytes: Vec::new(), keep, read: 0, limit, trouble: None };
        let tape = Tape(Arc::new(Mutex::new(Some(recording))));
        (Self { inner, tape: tape.clone(), unheard: false }, tape)
    }
}

impl Wire {
    /// A server that hung up may still have said something.
    fn hung_up(&mut self, error: io::Error) -> io::Result<()> {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                self.unheard = true;
                Ok(())
            }
            _ => Err(error),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.tape.is_full() {
            return Poll::Ready(Err(io::Error::other("the head does not end")));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                self.tape.push(buffer.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                self.tape.fail(&error);
                Poll::Ready(Err(error))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.unheard {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.inner).poll_write(context, bytes));
        Poll::Ready(written.or_else(|error| self.hung_up(error).map(|()| bytes.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unheard {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(context));
        Poll::Ready(flushed.or_else(|error| self.hung_up(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
