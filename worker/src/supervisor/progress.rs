//! What the supervisor tells: attempts to its loop, and the loop to whoever watches.

use std::sync::Arc;

use safeurl_protocol::Report;
use tokio::sync::mpsc;

use super::trouble::Trouble;
use crate::domain::delivery::Delivery;
use crate::domain::scan::ScanId;
use crate::domain::state::State;

/// Where a scan has come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A container works on it.
    Fetching(ScanId),
    /// Its report is being judged.
    Analyzing(ScanId),
    /// It waits again.
    Queued(ScanId),
    /// What its container said, whole, body included; told only where evidence is kept, right before
    /// [`Progress::Ended`], and not for a scan whose container said nothing that counts.
    Reported(ScanId, Arc<Report>),
    /// It ended.
    Ended(ScanId, State),
    /// A container of the pool is ready and waits for a job.
    ContainerWaits,
    /// No scan can be started.
    Trouble {
        /// Why.
        reason: String,
        /// Waiting may cure it; else only a person can.
        passing: bool,
    },
}

/// From an attempt to the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// The attempt with this number holds this job now, by a claim or a take-over.
    Claimed {
        /// Number of the attempt within this process.
        attempt: u64,
        /// The job.
        job: ScanId,
    },
    /// The container of this attempt is removed: its slot has room for another one.
    Freed {
        /// Number of the attempt within this process.
        attempt: u64,
    },
    /// The container of this attempt is ready and waits in the pool.
    Waits {
        /// Number of the attempt within this process.
        attempt: u64,
        /// Name of its gateway socket.
        door: String,
    },
    /// The container of this attempt died while it waited.
    Died {
        /// Number of the attempt within this process.
        attempt: u64,
    },
    /// The container of this attempt has waited for long enough.
    Old {
        /// Number of the attempt within this process.
        attempt: u64,
    },
    /// A delivery found this job without a holder; its lock is ours.
    Orphan {
        /// The job.
        job: ScanId,
        /// The delivery.
        delivery: Delivery,
    },
    /// Few containers are written down ahead.
    FewObliged,
    /// Something of ours did not do its part.
    Trouble(Trouble),
}

/// The sending side of [`Note`]s. A loop that is gone reads nothing, and nothing depends on it.
#[derive(Debug, Clone)]
pub(super) struct Notes(mpsc::UnboundedSender<Note>);

impl Notes {
    pub(super) fn channel() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    pub(super) fn send(&self, note: Note) {
        let _ = self.0.send(note);
    }
}
