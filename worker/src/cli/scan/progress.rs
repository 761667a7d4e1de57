//! One line on stderr for each step of each scan, where a person watches.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use super::table::printable;
use crate::domain::scan::ScanId;
use crate::supervisor::Progress;

/// Tells what scans do.
pub(super) struct Teller {
    urls: BTreeMap<ScanId, String>,
    shown: bool,
    ended: usize,
}

impl Teller {
    /// Tells only on a terminal, or when `always` says so.
    pub(super) fn new(urls: BTreeMap<ScanId, String>, always: bool) -> Self {
        Self { urls, shown: always || std::io::stderr().is_terminal(), ended: 0 }
    }

    /// Tells one step. A terminal that went away loses the line and nothing else.
    pub(super) fn tell(&mut self, progress: &Progress) {
        let (id, what) = match progress {
            Progress::Fetching(id) => (id, "fetching".to_owned()),
            Progress::Analyzing(id) => (id, "analysing".to_owned()),
            Progress::Queued(id) => (id, "waiting to be tried again".to_owned()),
            // The log tells of it, or the error that follows.
            Progress::Trouble { .. } => return,
            Progress::Ended(id, state) => {
                self.ended += 1;
                (id, state.as_str().to_owned())
            }
        };
        if !self.shown {
            return;
        }
        let Some(url) = self.urls.get(id) else { return };
        let total = self.urls.len();
        let _ = writeln!(std::io::stderr(), "[{}/{total}] {}: {what}", self.ended, printable(url));
    }
}
