//! Brotli (RFC 7932), with its windows of up to 16 MiB and without the larger ones, which no browser takes.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::Stop;
use super::coding::Sink;

/// Output is passed on in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;

pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    ended: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: BrotliState::new_strict(alloc(), alloc(), alloc()), total: 0, ended: false }
    }

    /// What follows the stream's end is ignored.
    pub(super) fn push(&mut self, data: &[u8], sink: &mut Sink<'_>) -> Result<(), Stop> {
        let mut piece = vec![0; PIECE_BYTES];
        let (mut left, mut read) = (data.len(), 0);
        while !self.ended {
            let (mut room, mut written) = (piece.len(), 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                data,
                &mut room,
                &mut written,
                &mut piece,
                &mut self.total,
                &mut self.state,
            );
            sink(piece.get(..written).unwrap_or_default())?;
            match result {
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::NeedsMoreInput => break,
                BrotliResult::ResultSuccess => self.ended = true,
                BrotliResult::ResultFailure => {
                    return Err(Stop::Broken("the br stream is broken".to_owned()));
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), Stop> {
        if self.ended { Ok(()) } else { Err(Stop::Broken("the br stream breaks off".to_owned())) }
    }
}
