//! The writing side of a ledger file.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use safeurl_protocol::ledger::LedgerLine;

/// A ledger file that is locked as long as this lives. Lines are appended whole, in one write each.
#[derive(Debug)]
pub(super) struct Journal {
    page: Mutex<Page>,
}

#[derive(Debug)]
struct Page {
    file: File,
    torn: bool,
}

impl Journal {
    /// Takes the file over. The supervisor locked it when it made it, and a lock belongs to the open file, not to
    /// a process: locking it here again only makes sure.
    pub(super) fn new(file: File) -> io::Result<Self> {
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { page: Mutex::new(Page { file, torn: false }) })
    }

    /// Appends one line. What could not be written down must not happen.
    ///
    /// After a failure nothing is written any more, also when there is room again: half a line may stand at the end,
    /// which would swallow the next one, and a ledger without an end line is one that nobody trusts.
    pub(super) fn write(&self, line: &LedgerLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let mut page = self.page();
        if page.torn {
            return Err(io::Error::other("an earlier line could not be written"));
        }
        let written = page.file.write_all(&bytes);
        page.torn = written.is_err();
        written
    }

    /// Whether a line could not be written: then nothing may happen any more.
    pub(super) fn is_torn(&self) -> bool {
        self.page().torn
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds since the epoch.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
