//! What the loop does with a delivery whose job has lost its holder.

use std::sync::Arc;
use std::time::Duration;

use super::{Beginning, Done, Loop, Orphan, Phase, Remedy, StoreError, Trouble, orphans};
use crate::domain::delivery::{AFTER_LEASE, Delivery};
use crate::domain::scan::{LEASE, ScanId};
use crate::sandbox::Sandbox;

impl<S: Sandbox> Loop<S> {
    /// A delivery found a job without a holder: looks what is to be done with it.
    pub(super) fn delivered(&mut self, job: ScanId, delivery: Delivery) {
        let shared = Arc::clone(&self.shared);
        self.chores.spawn(async move {
            let found = orphans::delivered(&shared, &job).await;
            Done::Delivered(delivery, found.map(|found| found.map(Box::new)))
        });
    }

    /// Starts an attempt for the job of a delivery, or lets the entry come back later: whoever has the job, or is to have
    /// it, is done with it by then or keeps it alive.
    pub(super) fn adopt_delivered(
        &mut self,
        delivery: Delivery,
        found: Result<Option<Box<(Orphan, Remedy)>>, StoreError>,
    ) {
        match found {
            Ok(Some(found)) if self.phase == Phase::Running && !self.under_way.knows(&found.0.job.id) => {
                let (orphan, remedy) = *found;
                if remedy != Remedy::LeaveToOthers {
                    return self.under_way.start(Beginning::Orphan(Box::new(orphan), remedy, Some(delivery)));
                }
                self.shared.queue.postpone(&delivery, LEASE + AFTER_LEASE);
            }
            // Another worker may take it.
            Ok(Some(_)) if self.phase != Phase::Running => {
                self.shared.queue.postpone(&delivery, Duration::ZERO)
            }
            Ok(_) => self.shared.queue.postpone(&delivery, LEASE + AFTER_LEASE),
            Err(error) => {
                self.shared.queue.postpone(&delivery, Duration::ZERO);
                self.troubled(Trouble::of("looking for the job of a delivery", &error));
            }
        }
    }
}
