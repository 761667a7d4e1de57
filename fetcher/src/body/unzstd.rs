//! Zstandard (RFC 8878): frames after each other, windows of at most 8 MiB.
//!
//! The frames are cut into blocks in here, so that the decoder never waits for more bytes than it has, and its buffer
//! is emptied after each block, which holds 128 KiB at most. The optional checksum is not looked at.

use std::io::Read as _;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Stop;
use super::coding::Sink;

/// What RFC 9659 allows for a content coding and browsers take.
const MAX_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// RFC 8878 section 3.1.1.2.4.
const MAX_BLOCK_BYTES: usize = 128 * 1024;

/// Output is passed on in pieces of this size.
const PIECE_BYTES: usize = 32 * 1024;

const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

/// An empty last block and room for a checksum: what ends a frame that broke off, since the decoder gives its last
/// window only then.
const LAST_WORDS: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Frame,
    Block { checksum: bool },
    Skip(u64),
}

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Bytes of a part that is not yet whole: a frame's header or one block.
    pending: Vec<u8>,
    next: Next,
    frames: u64,
    /// What follows the last frame and is none is ignored.
    ended: bool,
}

fn broken(error: &dyn std::fmt::Display) -> Stop {
    Stop::Broken(format!("the zstd stream is broken: {error}"))
}

impl Zstd {
    pub(super) fn new() -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        Self { decoder, pending: Vec::new(), next: Next::Frame, frames: 0, ended: false }
    }

    pub(super) fn push(&mut self, mut data: &[u8], sink: &mut Sink<'_>) -> Result<(), Stop> {
        while !data.is_empty() && !self.ended {
            if let Next::Skip(left) = self.next {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
                data = data.get(taken..).unwrap_or_default();
                let left = left - taken as u64;
                self.next = if left == 0 { Next::Frame } else { Next::Skip(left) };
                continue;
            }
            // How long the part is shows as it arrives.
            let wanted = self.wanted()?;
            let missing = wanted.saturating_sub(self.pending.len());
            let (taken, rest) = data.split_at(missing.min(data.len()));
            self.pending.extend_from_slice(taken);
            data = rest;
            if self.pending.len() == self.wanted()? {
                self.part(sink)?;
            }
        }
        Ok(())
    }

    /// Bytes of the part that begins with `pending`, as far as these tell.
    fn wanted(&self) -> Result<usize, Stop> {
        match self.next {
            Next::Skip(_) => Ok(0),
            Next::Frame => Ok(header_bytes(&self.pending)),
            Next::Block { checksum } => block_bytes(&self.pending, checksum),
        }
    }

    /// Takes a whole part.
    fn part(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let part = std::mem::take(&mut self.pending);
        match self.next {
            Next::Skip(_) => Ok(()),
            Next::Frame => self.header(&part),
            Next::Block { .. } => {
                self.decoder
                    .decode_blocks(part.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| broken(&error))?;
                if self.decoder.is_finished() {
                    self.next = Next::Frame;
                }
                self.drain(sink)
            }
        }
    }

    fn header(&mut self, part: &[u8]) -> Result<(), Stop> {
        if let &[low, 0x2a, 0x4d, 0x18, a, b, c, d] = part
            && low & 0xf0 == 0x50
        {
            let length = u64::from(u32::from_le_bytes([a, b, c, d]));
            self.next = if length == 0 { Next::Frame } else { Next::Skip(length) };
            return Ok(());
        }
        if !part.starts_with(&MAGIC) {
            self.ended = self.frames > 0;
            return if self.ended { Ok(()) } else { Err(broken(&"it does not begin like one")) };
        }
        self.decoder.reset(part).map_err(|error| broken(&error))?;
        self.frames += 1;
        self.next = Next::Block { checksum: part.get(4).is_some_and(|descriptor| descriptor & 4 != 0) };
        Ok(())
    }

    fn drain(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = self.decoder.read(&mut piece).map_err(|error| broken(&error))?;
            if read == 0 {
                return Ok(());
            }
            sink(piece.get(..read).unwrap_or_default())?;
        }
    }

    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        if self.next == Next::Frame && (self.pending.is_empty() || self.frames > 0) {
            return Ok(());
        }
        if matches!(self.next, Next::Block { .. }) {
            let ended =
                self.decoder.decode_blocks(LAST_WORDS.as_slice(), BlockDecodingStrategy::UptoBlocks(1));
            ended.map_err(|error| broken(&error))?;
            self.drain(sink)?;
        }
        Err(Stop::Broken("the zstd stream breaks off".to_owned()))
    }
}

/// Magic number, descriptor, and what the descriptor announces: window, dictionary, content size. The 8 bytes of a
/// skippable frame's magic number and length; 4 where there is no frame.
fn header_bytes(part: &[u8]) -> usize {
    match part {
        [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50 => 8,
        [magic @ .., descriptor] if magic == MAGIC => announced(*descriptor),
        [a, b, c, d, descriptor, ..] if [*a, *b, *c, *d] == MAGIC => announced(*descriptor),
        _ if part == MAGIC => 5,
        _ => 4,
    }
}

fn announced(descriptor: u8) -> usize {
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match (descriptor >> 6, single) {
        (0, false) => 0,
        (0, true) => 1,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    5 + usize::from(!single) + dictionary + size
}

/// The three bytes before a block and what they announce.
fn block_bytes(part: &[u8], checksum: bool) -> Result<usize, Stop> {
    let &[a, b, c, ..] = part else { return Ok(3) };
    let word = u32::from_le_bytes([a, b, c, 0]);
    let size = usize::try_from(word >> 3).unwrap_or(usize::MAX);
    if size > MAX_BLOCK_BYTES {
        return Err(broken(&"a block is larger than blocks are"));
    }
    // A block of one byte repeated holds that byte only.
    let held = if (word >> 1) & 3 == 1 { 1 } else { size };
    let sum = if checksum && word & 1 == 1 { 4 } else { 0 };
    Ok(3 + held + sum)
}
