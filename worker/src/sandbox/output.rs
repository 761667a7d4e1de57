//! Reads what a container writes: a ready line, a header line, the report, and the end of standard error.
//!
//! Pure and incremental: bytes go in as they come, cut anywhere. Nothing is kept that could not be part of a report: a
//! line has its longest, and a report the length that it announced, which has a limit. What is wrong once stays wrong, and
//! a report that is whole stays whole: nobody waits for what may come after it, so whether it comes must not make a
//! difference. Refuses to parse the report itself: that is done once it is whole.

use safeurl_protocol::PROTOCOL;
use safeurl_protocol::frame::{MAX_LINE_BYTES, Ready, ReportHeader};
use sha2::{Digest, Sha256};

/// How much of standard error is kept: enough for a panic message with its place.
pub const STDERR_TAIL_BYTES: usize = 4 * 1024;

/// More on standard error than this is an attack on the engine's log, which is the other copy of the report.
pub const STDERR_BUDGET_BYTES: u64 = 256 * 1024;

/// What a container has said so far.
#[derive(Debug)]
pub struct Output {
    limit: u64,
    attempt: Option<String>,
    stage: Stage,
    stderr: Tail,
}

#[derive(Debug)]
enum Stage {
    /// Collects the ready line.
    Ready(Vec<u8>),
    /// Collects the header line.
    Header(Vec<u8>),
    /// Collects the report.
    Body { left: usize, sha256: String, digest: Sha256, kept: Vec<u8> },
    /// Has the report; what follows is not read.
    Whole(Vec<u8>),
    /// Can become nothing any more.
    Broken(Fault),
}

/// What is wrong with the output of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Not what the wire asks for.
    Invalid(String),
    /// Longer than its limit.
    TooLarge,
}

/// How far the output has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The ready line is not complete.
    Starting,
    /// Ready; nothing further was said.
    Ready,
    /// The report has begun.
    Reporting,
    /// The report is whole.
    Whole,
    /// Something is wrong with it.
    Broken(Fault),
}

impl Output {
    /// Nothing said yet; a report may have `limit` bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self { limit, attempt: None, stage: Stage::Ready(Vec::new()), stderr: Tail::default() }
    }

    /// Nothing read yet of the log of a container to which this attempt was handed over. A log does not show when that
    /// was, so output before it, which is invalid where it is heard, cannot be told here; the report still has to
    /// name the attempt, and a container learns that from the hand-over alone.
    #[must_use]
    pub fn of_log(limit: u64, attempt: &str) -> Self {
        Self { attempt: Some(attempt.to_owned()), ..Self::new(limit) }
    }

    /// From here on a report of this attempt is expected. Whatever was said after the ready line before this
    /// call makes the output invalid.
    pub fn expect(&mut self, attempt: &str) {
        match &self.stage {
            Stage::Header(line) if line.is_empty() => self.attempt = Some(attempt.to_owned()),
            Stage::Broken(_) => {}
            Stage::Ready(_) => self.invalid("a job was handed over before the ready line"),
            Stage::Header(_) | Stage::Body { .. } | Stage::Whole(_) => {
                self.invalid("output before a job was handed over");
            }
        }
    }

    /// Takes the next bytes of standard output.
    pub fn stdout(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (taken, next) = match &mut self.stage {
                Stage::Ready(line) => match line_end(line, bytes) {
                    Line::More => return,
                    Line::TooLong => return self.invalid("the ready line is too long"),
                    Line::Done(taken) => (taken, ready(line)),
                },
                Stage::Header(line) => match line_end(line, bytes) {
                    Line::More => return,
                    Line::TooLong => return self.invalid("the header line is too long"),
                    Line::Done(taken) => (taken, header(line, self.attempt.as_deref(), self.limit)),
                },
                Stage::Body { left, sha256, digest, kept } => {
                    let taken = bytes.len().min(*left);
                    digest.update(&bytes[..taken]);
                    kept.extend_from_slice(&bytes[..taken]);
                    *left -= taken;
                    if *left > 0 {
                        return;
                    }
                    (taken, whole(std::mem::take(digest), sha256, std::mem::take(kept)))
                }
                Stage::Whole(_) | Stage::Broken(_) => return,
            };
            self.stage = next;
            bytes = &bytes[taken..];
        }
    }

    /// Takes the next bytes of standard error.
    pub fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.push(bytes);
        if self.stderr.seen > STDERR_BUDGET_BYTES {
            self.too_large();
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Ready(_) => Progress::Starting,
            Stage::Header(line) if line.is_empty() => Progress::Ready,
            Stage::Header(_) | Stage::Body { .. } => Progress::Reporting,
            Stage::Whole(_) => Progress::Whole,
            Stage::Broken(fault) => Progress::Broken(fault.clone()),
        }
    }

    /// The last of standard error, cut to whole characters.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        String::from_utf8_lossy(&self.stderr.kept).into_owned()
    }

    /// The report, when it is whole; else what is wrong at the end of all output.
    ///
    /// # Errors
    /// The output is not one whole report.
    pub fn finish(self) -> Result<Vec<u8>, Fault> {
        let invalid = |reason: String| Err(Fault::Invalid(reason));
        match self.stage {
            Stage::Whole(report) => Ok(report),
            Stage::Broken(fault) => Err(fault),
            Stage::Ready(_) => invalid("the output ended before the ready line".to_owned()),
            Stage::Header(line) if line.is_empty() => invalid("there is no report".to_owned()),
            Stage::Header(_) => invalid("the output ended inside the header line".to_owned()),
            Stage::Body { left, .. } => invalid(format!("the report ended {left} bytes early")),
        }
    }

    /// Nothing that comes can change it any more.
    const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Whole(_) | Stage::Broken(_))
    }

    fn invalid(&mut self, reason: &str) {
        if !self.is_over() {
            self.stage = Stage::Broken(Fault::Invalid(reason.to_owned()));
        }
    }

    fn too_large(&mut self) {
        if !self.is_over() {
            self.stage = Stage::Broken(Fault::TooLarge);
        }
    }
}

enum Line {
    More,
    TooLong,
    /// The line is complete, without its newline; so many bytes were used.
    Done(usize),
}

fn line_end(line: &mut Vec<u8>, bytes: &[u8]) -> Line {
    let room = MAX_LINE_BYTES - line.len();
    match bytes.iter().take(room).position(|&byte| byte == b'\n') {
        Some(end) => {
            line.extend_from_slice(&bytes[..end]);
            Line::Done(end + 1)
        }
        None if bytes.len() >= room => Line::TooLong,
        None => {
            line.extend_from_slice(bytes);
            Line::More
        }
    }
}

fn ready(line: &[u8]) -> Stage {
    match serde_json::from_slice::<Ready>(line) {
        Ok(Ready { ready: 1, protocol: PROTOCOL }) => Stage::Header(Vec::new()),
        Ok(Ready { ready: 1, protocol }) => {
            broken(format!("the fetcher speaks protocol {protocol}, this worker {PROTOCOL}"))
        }
        Ok(_) | Err(_) => broken("the first line is not a ready line".to_owned()),
    }
}

fn header(line: &[u8], attempt: Option<&str>, limit: u64) -> Stage {
    let Ok(header) = serde_json::from_slice::<ReportHeader>(line) else {
        return broken("the line after the ready line is not a header".to_owned());
    };
    if header.report != 1 {
        return broken("the line after the ready line is not a header".to_owned());
    }
    if attempt != Some(header.attempt.as_str()) {
        return broken("the report is of another attempt".to_owned());
    }
    match usize::try_from(header.bytes) {
        Ok(left) if header.bytes <= limit => {
            let digest = Sha256::new();
            // Grows with what really comes: an announced length is not worth an allocation.
            match left {
                0 => whole(digest, &header.sha256, Vec::new()),
                _ => Stage::Body { left, sha256: header.sha256, digest, kept: Vec::new() },
            }
        }
        _ => Stage::Broken(Fault::TooLarge),
    }
}

fn whole(digest: Sha256, announced: &str, report: Vec<u8>) -> Stage {
    if hex(&digest.finalize()) == announced {
        Stage::Whole(report)
    } else {
        broken("the report does not have the announced SHA-256".to_owned())
    }
}

fn broken(reason: String) -> Stage {
    Stage::Broken(Fault::Invalid(reason))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The end of an endless text.
#[derive(Debug, Default)]
struct Tail {
    kept: Vec<u8>,
    seen: u64,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        let bytes = &bytes[bytes.len().saturating_sub(STDERR_TAIL_BYTES)..];
        let excess = (self.kept.len() + bytes.len()).saturating_sub(STDERR_TAIL_BYTES);
        self.kept.drain(..excess);
        self.kept.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests;
