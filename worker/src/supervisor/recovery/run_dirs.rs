//! The folders of gateway sockets and ledgers, one for each worker below one base.
//!
//! A worker holds a lock on its folder while it lives. The base may be shared by several installations, so that a folder
//! of which our database knows nothing may be another's.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::FlockOperation;
use tracing::{debug, warn};

use super::is_alive;
use crate::domain::scan::WorkerId;
use crate::domain::timestamp::Timestamp;
use crate::gateway;
use crate::sandbox::Sandbox;
use crate::store::{StoreError, WorkerView};
use crate::supervisor::Shared;
use crate::supervisor::attempt::runner::chain;

/// Characters of a folder's name. Short, because the path of a socket is.
const NAME: usize = 12;

/// How long nothing was changed in a folder of nobody before it goes. The rows of dead workers are forgotten after this
/// time, and not before.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder of one worker.
pub(in crate::supervisor) fn run_dir(base: &Path, worker: &WorkerId) -> PathBuf {
    let name = worker.as_str();
    base.join(&name[name.len().saturating_sub(NAME)..])
}

/// Holds a folder for as long as the file lives; the gateway does not inherit it. Whoever looks whether it is held
/// locks it for a moment, which is waited for.
pub(in crate::supervisor) fn hold(dir: &Path) -> io::Result<File> {
    let folder = File::open(dir)?;
    rustix::fs::flock(&folder, FlockOperation::LockShared)?;
    Ok(folder)
}

/// Removes a folder of sockets and ledgers.
pub(in crate::supervisor) fn remove(dir: &Path) {
    if let Err(error) = std::fs::remove_dir_all(dir)
        && error.kind() != io::ErrorKind::NotFound
    {
        warn!(path = %dir.display(), error = chain(&error), "a folder of gateway sockets cannot be removed");
    }
}

/// Removes the folders of dead workers that nothing needs any more. What cannot be known now is looked at again.
pub(in crate::supervisor) async fn clear<S: Sandbox>(shared: &Shared<S>, base: &Path) {
    if let Err(error) = clear_unneeded(shared, base).await {
        debug!(error = chain(&error), "clearing folders has to wait for the database");
    }
}

async fn clear_unneeded<S: Sandbox>(shared: &Shared<S>, base: &Path) -> Result<(), StoreError> {
    // Listed before the rows are read: a worker is registered before its folder is made.
    let folders = folders(base);
    if folders.iter().all(|folder| *folder == shared.run_dir) {
        return Ok(());
    }
    let (workers, now) = (shared.store.workers().await?, shared.store.now().await?);
    let doors = shared.store.doors().await?;
    for folder in folders {
        let needed = doors.iter().any(|door| Path::new(door).starts_with(&folder));
        if !needed && is_dead(&folder, base, &workers, now) && nobody_is_in(&folder) {
            remove(&folder);
        }
    }
    Ok(())
}

/// What is named like a worker's folder.
fn folders(base: &Path) -> Vec<PathBuf> {
    let Ok(base) = std::path::absolute(base) else { return Vec::new() };
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_folder && entry.file_name().to_str().is_some_and(is_name)
    });
    ours.map(|entry| entry.path()).collect()
}

fn is_name(name: &str) -> bool {
    name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether its worker is dead: silent, or forgotten long ago.
fn is_dead(folder: &Path, base: &Path, workers: &[WorkerView], now: Timestamp) -> bool {
    let named = |worker: &&WorkerView| run_dir(base, &worker.row.id).file_name() == folder.file_name();
    match workers.iter().find(named) {
        Some(worker) => !is_alive(worker, now),
        None => is_old(folder),
    }
}

fn is_old(folder: &Path) -> bool {
    let changed = std::fs::metadata(folder).and_then(|about| about.modified());
    changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age >= OLD))
}

/// Whether neither a worker nor a gateway holds anything in it.
fn nobody_is_in(folder: &Path) -> bool {
    let free = File::open(folder)
        .is_ok_and(|folder| rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok());
    let Ok(left) = gateway::leftovers(folder) else { return false };
    free && !left.iter().any(|door| gateway::is_locked(&door.ledger_path).unwrap_or(true))
}
