//! What the loop does when its gateway dies or tells on a container.

use tokio::time::Instant;
use tracing::warn;

use super::{Done, Gateway, GatewayEvent, Loop, Order, Part, Signal};
use crate::sandbox::Sandbox;

impl<S: Sandbox> Loop<S> {
    pub(super) fn gateway_event(&mut self, event: GatewayEvent) {
        match event {
            GatewayEvent::Died => {
                warn!("the egress gateway died; scans under way are done again");
                self.shared.metrics.error(Part::Gateway);
                self.shared.metrics.silent(Part::Gateway, "its process died; it is started again");
                let _ = self.slots.on(Signal::Trouble);
                // Their sockets died with it.
                for attempt in self.pool.take_all() {
                    self.under_way.order(attempt, Order::Drain);
                }
                self.restart_gateway();
            }
            // The door stays shut, so nothing got out. A container that waits is thrown away; one that was just called
            // meets its end with its attempt.
            GatewayEvent::TouchedUnbound { door } => {
                warn!(door.id = door, "a container used its gateway socket before it had a job");
                if let Some(attempt) = self.pool.take_door(&door, Instant::now()) {
                    self.under_way.order(attempt, Order::Drain);
                }
            }
        }
    }

    /// One at a time: an attempt may hear of the death before the loop does.
    pub(super) fn restart_gateway(&mut self) {
        if std::mem::replace(&mut self.restarting_gateway, true) {
            return;
        }
        let config = self.gateway_config.clone();
        self.chores.spawn(async move { Done::GatewayRestarted(Gateway::spawn(config).await) });
    }
}
