//! Job schedulers: whoever takes an iteration makes the next.

use std::time::Duration;

use super::entry::Entry;
use super::link::RedisError;
use super::producer::Producer;

impl Producer {
    /// Makes the next iteration of the scheduler that this entry belongs to, if it has one (`rjk`): whoever takes an
    /// iteration makes the next.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn next_iteration(&self, entry: &Entry, now: Duration) -> Result<(), RedisError> {
        let _ = (entry, now);
        todo!("producer")
    }
}
