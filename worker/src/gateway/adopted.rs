//! A door whose supervisor is gone, as the worker sees it that goes on with its attempt.

use std::io;
use std::path::Path;
use std::time::Duration;

use safeurl_protocol::ledger::Ledger;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::GatewayError;
use super::record::{self, DoorFiles, is_locked};

/// How long ending a binding may take: the gateway gives cut connections two seconds for their last line.
const END: Duration = Duration::from_secs(5);

/// Between two looks at the lock while the binding ends.
const LOOK: Duration = Duration::from_millis(20);

/// Between two looks at the lock while the container runs.
const WATCH: Duration = Duration::from_millis(200);

/// A bound door of another worker's gateway. There is no control socket to that gateway any more: the lock on the
/// ledger tells whether it lives, and a connection by the user it runs as tells it to close.
///
/// Whoever has one has taken the job over: the gateway closes for any worker of its user, whether its supervisor is
/// dead or only stopped. Dropping one does nothing.
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

    /// Whether what went through the door can be vouched for: its gateway holds it still, or ended it in order. Without
    /// a ledger it cannot, and a door that was never bound had no job behind it.
    ///
    /// # Errors
    /// When the ledger is there and cannot be asked.
    pub fn is_vouched_for(&self) -> io::Result<bool> {
        // In this order: the end is written before the lock falls.
        let held = is_locked(&self.files.ledger_path)?;
        match record::read_ledger(&self.files.ledger_path) {
            Ok(ledger) => Ok(ledger.attempt.is_some() && (held || ledger.complete)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until nobody serves the door any more: its gateway is gone, or the binding is over. Which of them it was
    /// [`is_vouched_for`](Self::is_vouched_for) tells. At most 200 ms late.
    pub async fn gone(&self) {
        // A file that cannot be asked says nothing; the caller waits for other things as well.
        while is_locked(&self.files.ledger_path).unwrap_or(true) {
            tokio::time::sleep(WATCH).await;
        }
    }

    /// Ends the binding, cutting what is open, and reads what the gateway saw. A ledger of a gateway that died comes
    /// back with `complete` false; where the binding is over already it is only read.
    ///
    /// A door of a container that has the gateway's own uid cannot be closed like this, only waited for.
    ///
    /// # Errors
    /// When a living gateway does not end the binding within 5 s, or the ledger cannot be read.
    pub async fn close(&self) -> Result<Ledger, GatewayError> {
        let files = |source| GatewayError::Files { path: self.files.ledger_path.clone(), source };
        let ledger = record::read_ledger(&self.files.ledger_path).map_err(files)?;
        if ledger.attempt.is_none() {
            // Unbound: there is no binding to end.
            return Ok(ledger);
        }
        match tokio::time::timeout(END, self.end()).await {
            Ok(ended) => ended.map_err(files)?,
            Err(_) => return Err(GatewayError::NoAnswer { command: "close", seconds: END.as_secs() }),
        }
        record::read_ledger(&self.files.ledger_path).map_err(files)
    }

    /// Visits the socket until the lock on the ledger falls, which alone says that the end is written.
    async fn end(&self) -> io::Result<()> {
        while is_locked(&self.files.ledger_path)? {
            // No connection: the gateway ends the binding just now, or the container has filled the queue.
            if let Ok(mut visit) = UnixStream::connect(self.files.socket_path()).await {
                // Nothing is said in here; it ends when the binding has.
                let _ = visit.read(&mut [0]).await;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Removes socket, folder and ledger. The ledger is the only copy of what was seen: close first.
    ///
    /// # Errors
    /// The first thing that could not be removed; what is gone already is fine.
    pub fn discard(&self) -> io::Result<()> {
        self.files.remove()
    }
}
