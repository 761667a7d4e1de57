//! What `--serve` prints around the report: a ready line, a header line, then exactly the announced bytes.
//!
//! The digest and length make truncation visible. The newline after the report is for people; the `local`
//! log driver of Docker 20.10 drops it on read-back, so no reader may need it.

use serde::{Deserialize, Serialize};

/// A ready or header line is always shorter than this, newline included.
pub const MAX_LINE_BYTES: usize = 1024;

/// First line on stdout: the fetcher runs and waits for its invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always 1.
    pub ready: u32,
    /// [`crate::PROTOCOL`] of the fetcher.
    pub protocol: u32,
}

impl Ready {
    /// The line of a fetcher built from this crate.
    #[must_use]
    pub const fn current() -> Self {
        Self { ready: 1, protocol: crate::PROTOCOL }
    }
}

/// Second line on stdout: what follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportHeader {
    /// Always 1.
    pub report: u32,
    /// The attempt of the invocation.
    pub attempt: String,
    /// Length of the JSON that follows the newline.
    pub bytes: u64,
    /// Lower-case hex SHA-256 of those bytes.
    pub sha256: String,
}
