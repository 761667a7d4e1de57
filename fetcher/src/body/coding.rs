//! Content codings (RFC 9110 section 8.4), several on top of each other, undone piece by piece.
//!
//! What comes out goes straight into the capped buffer, so that a small bomb never becomes a large one. Nothing is
//! believed but the bytes: a body that is not what it is announced as is kept as it came, with a complaint.

use super::inflate::{Deflate, Gzip};
use super::unbrotli::Brotli;
use super::unzstd::Zstd;
use super::{Kept, Stop};

/// Honest servers use one coding, seldom two; each one costs a window of up to 16 MiB.
const MAX_LAYERS: usize = 4;

/// A layer may give this much whatever it was given, so that a short page of blanks is no bomb.
const FREE_BYTES: u64 = 1024 * 1024;

/// Beyond that it may give so many bytes for each one received. Text packs 3 to 10 times, generated tables and logs 20
/// to 100 times; gzip made of zeros reaches 1032, brotli and zstd some 10,000 and more. Apache's mod_deflate draws its
/// line at 200 as well.
const MAX_RATIO: u64 = 200;

/// As much of a body as is kept beside its decoder until that gives its first byte, in case it never does.
const MAX_UNPROVEN_BYTES: usize = 64 * 1024;

/// Where a layer's output goes.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), Stop> + 'a;

enum Layer {
    Gzip(Gzip),
    Deflate(Deflate),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Layer {
    /// `None`: not a coding we know.
    fn new(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip(Gzip::new())),
            "deflate" => Some(Self::Deflate(Deflate::new())),
            "br" => Some(Self::Brotli(Box::new(Brotli::new()))),
            "zstd" => Some(Self::Zstd(Box::new(Zstd::new()))),
            _ => None,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Deflate(_) => "deflate",
            Self::Brotli(_) => "br",
            Self::Zstd(_) => "zstd",
        }
    }

    fn push(&mut self, data: &[u8], sink: &mut Sink<'_>) -> Result<(), Stop> {
        match self {
            Self::Gzip(layer) => layer.push(data, sink),
            Self::Deflate(layer) => layer.push(data, sink),
            Self::Brotli(layer) => layer.push(data, sink),
            Self::Zstd(layer) => layer.push(data, sink),
        }
    }

    /// Gives what is still held back, also of a stream that broke off, which is then said.
    fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), Stop> {
        match self {
            Self::Gzip(layer) => layer.finish(sink),
            Self::Deflate(layer) => layer.finish(sink),
            Self::Brotli(layer) => layer.finish(),
            Self::Zstd(layer) => layer.finish(sink),
        }
    }
}

/// A layer and how much came out of it.
struct Stage {
    layer: Layer,
    given: u64,
}

impl Stage {
    /// Counts a piece that came out; an error when it is too much for what went in.
    fn count(given: &mut u64, piece: &[u8], name: &str, received: u64) -> Result<(), Stop> {
        *given = given.saturating_add(piece.len() as u64);
        if *given > FREE_BYTES && *given / MAX_RATIO > received {
            return Err(Stop::Bomb(format!(
                "the {name} stream grows to more than {MAX_RATIO} times its size: a decompression bomb"
            )));
        }
        Ok(())
    }
}

/// Passes bytes through all stages into the buffer.
fn feed(stages: &mut [Stage], kept: &mut Kept, received: u64, data: &[u8]) -> Result<(), Stop> {
    let Some((stage, rest)) = stages.split_first_mut() else { return kept.push(data) };
    let Stage { layer, given } = stage;
    let name = layer.name();
    layer.push(data, &mut |piece| {
        Stage::count(given, piece, name, received)?;
        feed(rest, kept, received, piece)
    })
}

/// Undoes a body's content codings.
pub(super) struct Decoder {
    kept: Kept,
    /// The last coding applied comes first.
    stages: Vec<Stage>,
    names: String,
    /// Why the bytes are kept as they came.
    complaint: Option<String>,
    /// The body so far, while nothing came out of the stages.
    unproven: Vec<u8>,
    received: u64,
}

impl Decoder {
    /// `encoding` is the value of Content-Encoding, those of several headers joined by commas.
    pub(super) fn new(encoding: Option<&str>, cap: usize) -> Self {
        let names: Vec<String> = encoding
            .unwrap_or_default()
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !matches!(name.as_str(), "" | "identity"))
            .take(MAX_LAYERS + 1)
            .collect();
        let (stages, complaint) = match stages(&names) {
            Ok(stages) => (stages, None),
            Err(complaint) => (Vec::new(), Some(complaint)),
        };
        Self {
            kept: Kept::new(cap),
            stages,
            names: names.join(", "),
            complaint,
            unproven: Vec::new(),
            received: 0,
        }
    }

    pub(super) fn push(&mut self, data: &[u8]) -> Result<(), Stop> {
        self.received = self.received.saturating_add(data.len() as u64);
        if !self.stages.is_empty() && self.kept.is_empty() {
            let room = MAX_UNPROVEN_BYTES.saturating_sub(self.unproven.len());
            self.unproven.extend_from_slice(data.get(..room).unwrap_or(data));
        }
        let fed = feed(&mut self.stages, &mut self.kept, self.received, data);
        if !self.kept.is_empty() {
            self.unproven = Vec::new();
        }
        match fed {
            Err(Stop::Broken(why)) if self.is_a_lie() => self.as_it_came(&why),
            other => other,
        }
    }

    /// What was kept, and whether the stream ended as it should.
    pub(super) fn finish(mut self) -> (Vec<u8>, Result<(), Stop>) {
        let mut end = Ok(());
        // An empty body is empty in every coding.
        if self.received > 0 {
            for first in 0..self.stages.len() {
                let Some((stage, rest)) = self.stages.get_mut(first..).and_then(<[_]>::split_first_mut)
                else {
                    break;
                };
                let Stage { layer, given } = stage;
                let (name, kept, received) = (layer.name(), &mut self.kept, self.received);
                let finished = layer.finish(&mut |piece| {
                    Stage::count(given, piece, name, received)?;
                    feed(rest, kept, received, piece)
                });
                end = end.and(finished);
            }
        }
        if let Err(Stop::Broken(why)) = &end
            && self.is_a_lie()
        {
            let why = why.clone();
            end = self.as_it_came(&why);
        }
        if let (Ok(()), Some(complaint)) = (&end, self.complaint)
            && self.received > 0
        {
            end = Err(Stop::Broken(complaint));
        }
        (self.kept.bytes, end)
    }

    /// Nothing ever came out of the stages, and all that went in is still here.
    fn is_a_lie(&self) -> bool {
        !self.stages.is_empty() && self.kept.is_empty() && self.unproven.len() as u64 == self.received
    }

    fn as_it_came(&mut self, why: &str) -> Result<(), Stop> {
        self.complaint = Some(format!("the body is announced as {} and is not: {why}", self.names));
        self.stages.clear();
        self.kept.push(&std::mem::take(&mut self.unproven))
    }
}

fn stages(names: &[String]) -> Result<Vec<Stage>, String> {
    if names.len() > MAX_LAYERS {
        return Err(format!("the body has more than {MAX_LAYERS} content codings on top of each other"));
    }
    let stage = |name: &String| match Layer::new(name) {
        Some(layer) => Ok(Stage { layer, given: 0 }),
        None => {
            let name: String = name.chars().take(40).collect();
            Err(format!("the content encoding {name:?} is not one we asked for"))
        }
    };
    names.iter().rev().map(stage).collect()
}
