//! The time that goes into entries: this machine's, as with BullMQ's own workers.

use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(test)]
use std::sync::{Arc, atomic::AtomicI64, atomic::Ordering};

pub(super) enum Clock {
    System,
    #[cfg(test)]
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// Milliseconds since 1970, as a script reads them.
    pub(super) fn now(&self) -> String {
        match self {
            Self::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis().to_string()
            }
            #[cfg(test)]
            Self::Set(millis) => millis.load(Ordering::SeqCst).to_string(),
        }
    }
}
