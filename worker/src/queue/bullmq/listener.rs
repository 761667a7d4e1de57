//! Waits for work on a connection of its own: the blocking wait for the marker, with a watchdog.

use std::sync::Arc;

use super::consumer::Consumer;
use super::link::{RedisConfig, RedisError};

/// The wait for work. One task owns the connection; whoever waits asks it, and may stop waiting at any time without a
/// marker being lost.
pub(super) struct Listener {
    consumer: Arc<Consumer>,
}

impl Listener {
    /// Starts the task.
    pub(super) fn start(config: &RedisConfig, consumer: Arc<Consumer>) -> Result<Self, RedisError> {
        let _ = config;
        Ok(Self { consumer })
    }

    /// Waits until something could be taken.
    pub(super) async fn due(&self) -> Result<(), RedisError> {
        let _ = &self.consumer;
        todo!("link")
    }

    /// Ends the task.
    pub(super) async fn close(&self) {
        todo!("link")
    }
}
