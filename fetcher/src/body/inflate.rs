//! gzip (RFC 1952) and deflate, which servers send in two forms.

use std::io::Write as _;

use flate2::write::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::Stop;
use super::coding::Sink;

/// Output is passed on in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;

fn broken(error: &dyn std::fmt::Display) -> Stop {
    Stop::Broken(format!("the gzip stream is broken: {error}"))
}

/// One gzip member; what follows it is ignored, as browsers do.
pub(super) struct Gzip {
    /// Takes a piece of output at a time, whatever the input.
    decoder: GzDecoder<Vec<u8>>,
    ended: bool,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { decoder: GzDecoder::new(Vec::new()), ended: false }
    }

    fn drain(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let piece = self.decoder.get_mut();
        let passed = if piece.is_empty() { Ok(()) } else { sink(piece) };
        piece.clear();
        passed
    }

    pub(super) fn push(&mut self, data: &[u8], sink: &mut Sink<'_>) -> Result<(), Stop> {
        let mut rest = data;
        while !rest.is_empty() && !self.ended {
            let wrote = self.decoder.write(rest);
            self.drain(sink)?;
            match wrote {
                Ok(0) => self.ended = true,
                Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let ended = self.decoder.try_finish();
        self.drain(sink)?;
        ended.map_err(|error| broken(&error))
    }
}

/// zlib (RFC 1950), as the standard has it, or the bare stream (RFC 1951), as many servers do: the first two bytes
/// tell, since a bare stream that looks like a zlib header would be a block of a kind that does not exist.
pub(super) struct Deflate {
    first: Vec<u8>,
    stream: Option<Decompress>,
    ended: bool,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self { first: Vec::new(), stream: None, ended: false }
    }

    pub(super) fn push(&mut self, data: &[u8], sink: &mut Sink<'_>) -> Result<(), Stop> {
        if self.stream.is_some() {
            return self.inflate(data, sink);
        }
        self.first.extend_from_slice(data);
        let &[one, two, ..] = self.first.as_slice() else { return Ok(()) };
        self.begin(is_zlib(one, two), sink)
    }

    fn begin(&mut self, zlib: bool, sink: &mut Sink<'_>) -> Result<(), Stop> {
        self.stream = Some(Decompress::new(zlib));
        let first = std::mem::take(&mut self.first);
        self.inflate(&first, sink)
    }

    fn inflate(&mut self, mut rest: &[u8], sink: &mut Sink<'_>) -> Result<(), Stop> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut piece = vec![0; PIECE_BYTES];
        while !self.ended {
            let (read, written) = (stream.total_in(), stream.total_out());
            let status = stream
                .decompress(rest, &mut piece, FlushDecompress::None)
                .map_err(|error| Stop::Broken(format!("the deflate stream is broken: {error}")))?;
            let read = usize::try_from(stream.total_in() - read).unwrap_or(usize::MAX);
            let written = usize::try_from(stream.total_out() - written).unwrap_or(usize::MAX);
            sink(piece.get(..written).unwrap_or_default())?;
            rest = rest.get(read..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            // Nothing more comes out of what there is.
            if read == 0 && written == 0 || rest.is_empty() && written < PIECE_BYTES {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        if self.stream.is_none() {
            // One byte alone can be a whole bare stream.
            self.begin(false, sink)?;
        }
        if self.ended { Ok(()) } else { Err(Stop::Broken("the deflate stream breaks off".to_owned())) }
    }
}

/// Method 8, a window of at most 32 KiB, and a multiple of 31.
fn is_zlib(one: u8, two: u8) -> bool {
    one & 0x0f == 8 && one >> 4 <= 7 && u16::from_be_bytes([one, two]).is_multiple_of(31)
}
