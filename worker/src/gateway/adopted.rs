//! A door whose supervisor is gone, as the worker sees it that goes on with its attempt.

use std::io;
use std::path::Path;

use safeurl_protocol::ledger::Ledger;

use super::GatewayError;
use super::record::{self, DoorFiles, is_locked};

/// A bound door of another worker's gateway. There is no control socket to that gateway any more: the lock on the
/// ledger tells whether it lives.
#[derive(Debug)]
#[must_use]
pub struct AdoptedDoor {
    files: DoorFiles,
}

impl AdoptedDoor {
    /// The door whose socket is in this folder; `None` for a folder that is not a door's.
    #[must_use]
    pub fn at(mount_dir: &Path) -> Option<Self> {
        DoorFiles::of(mount_dir).map(|files| Self { files })
    }

    /// Whether what went through the door can be vouched for: its gateway holds it still, or ended it in order.
    ///
    /// # Errors
    /// When the ledger is there and cannot be asked.
    pub fn is_vouched_for(&self) -> io::Result<bool> {
        Ok(is_locked(&self.files.ledger_path)? || record::read_ledger(&self.files.ledger_path)?.complete)
    }

    /// Ends the binding and reads what the gateway saw. A ledger of a gateway that died comes back with `complete`
    /// false.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn close(&self) -> Result<Ledger, GatewayError> {
        record::read_ledger(&self.files.ledger_path)
            .map_err(|source| GatewayError::Files { path: self.files.ledger_path.clone(), source })
    }

    /// Removes socket, folder and ledger. The ledger is the only copy of what was seen: close first.
    ///
    /// # Errors
    /// The first thing that could not be removed; what is gone already is fine.
    pub fn discard(&self) -> io::Result<()> {
        self.files.remove()
    }
}
