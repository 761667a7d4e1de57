//! The writing side of a ledger file.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use safeurl_protocol::ledger::LedgerLine;

/// A ledger file that is locked as long as this lives. Lines are appended whole, in one write each.
#[derive(Debug)]
pub(super) struct Journal {
    file: Mutex<File>,
}

impl Journal {
    /// Takes the file over. The supervisor locked it when it made it, and a lock belongs to the open file, not to
    /// a process: locking it here again only makes sure.
    pub(super) fn new(file: File) -> io::Result<Self> {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Appends one line. What could not be written down must not happen.
    pub(super) fn write(&self, line: &LedgerLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&bytes)
    }
}

/// Milliseconds since the epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
