//! What a producer asks for: `{jobId, url, userId}`.

use super::entry::Entry;
use crate::domain::scan::ScanId;

/// A payload that names a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Names the row.
    pub job: ScanId,
    /// As it came.
    pub url: String,
    /// Whose it is.
    pub user: String,
}

/// A payload that does not; for the producer to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct PayloadError {
    /// What is wrong, and what it should be.
    pub reason: String,
}

impl Payload {
    /// Reads an entry's data.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn read(entry: &Entry) -> Result<Self, PayloadError> {
        let _ = entry;
        todo!("supervisor")
    }
}
