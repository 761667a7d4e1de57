//! The reading side of ledger files, and what is found in a run directory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use safeurl_protocol::ledger::{Ledger, LedgerLine};

/// The most that is read of a ledger. The budgets keep a true one far below it.
const MAX_LEDGER_BYTES: u64 = 8 * 1024 * 1024;

/// Ending of a ledger file's name.
const LEDGER_SUFFIX: &str = ".ledger";

/// Ending of its name until it is locked.
const UNNAMED_SUFFIX: &str = ".new";

/// The file name of [`safeurl_protocol::SOCKET_PATH`].
const SOCKET_NAME: &str = "gw.sock";

/// A door's files in a run directory, whoever made them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoorFiles {
    /// Name of the door.
    pub id: String,
    /// Where the mounted folder is, or would be.
    pub mount_dir: PathBuf,
    /// Where the ledger file is, or would be.
    pub ledger_path: PathBuf,
}

impl DoorFiles {
    /// The files of the door whose socket is in this folder, by what was written down of it. `None` for a folder that
    /// is not a door's.
    #[must_use]
    pub fn of(mount_dir: &Path) -> Option<Self> {
        let id = mount_dir.file_name()?.to_str()?;
        is_id(id).then(|| Self::at(mount_dir.parent().unwrap_or(mount_dir), id))
    }

    /// The files of the door with this name.
    pub(super) fn at(run_dir: &Path, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            mount_dir: run_dir.join(id),
            ledger_path: run_dir.join(format!("{id}{LEDGER_SUFFIX}")),
        }
    }

    /// The socket that is in the folder, or would be.
    pub(super) fn socket_path(&self) -> PathBuf {
        self.mount_dir.join(SOCKET_NAME)
    }

    /// The ledger under the name it is made with.
    pub(super) fn unnamed_ledger(&self) -> PathBuf {
        self.ledger_path.with_file_name(format!("{}{UNNAMED_SUFFIX}", self.id))
    }

    /// Removes socket, folder and ledger; what is gone already is fine.
    ///
    /// # Errors
    /// The first thing that could not be removed; the rest is still tried.
    pub fn remove(&self) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        let emptied = std::fs::remove_file(self.socket_path());
        let folder = match emptied.and_then(|()| std::fs::remove_dir(&self.mount_dir)) {
            Ok(()) => Ok(()),
            // It is gone, or there is something else in it than should be.
            Err(_) => gone(std::fs::remove_dir_all(&self.mount_dir)),
        };
        let ledger = match std::fs::remove_file(&self.ledger_path) {
            // It may not have got its name yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                gone(std::fs::remove_file(self.unnamed_ledger()))
            }
            other => other,
        };
        folder.and(ledger)
    }
}

/// Reads a ledger file. Lines that are not ledger lines are skipped: a gateway that was killed may have left half
/// of one.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn read_ledger(path: &Path) -> io::Result<Ledger> {
    ledger_in(File::open(path)?)
}

/// The ledger that a file holds, as far as it is read.
pub(crate) fn ledger_in(file: impl Read) -> io::Result<Ledger> {
    let mut lines = Vec::new();
    for line in BufReader::new(file.take(MAX_LEDGER_BYTES)).split(b'\n') {
        if let Ok(line) = serde_json::from_slice::<LedgerLine>(&line?) {
            lines.push(line);
        }
    }
    Ok(Ledger::from_lines(lines))
}

fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a gateway still holds this ledger file, that is, whether its door may still be served.
///
/// # Errors
/// When the file cannot be opened or asked; a missing file is not held.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The doors whose files are in a run directory, by name. Those of a living worker are among them: their ledgers
/// [are locked](is_locked).
///
/// # Errors
/// When the directory cannot be read; a missing one holds nothing.
pub fn leftovers(run_dir: &Path) -> io::Result<Vec<DoorFiles>> {
    let entries = match std::fs::read_dir(run_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut ids = std::collections::BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let id = [LEDGER_SUFFIX, UNNAMED_SUFFIX].iter().find_map(|suffix| name.strip_suffix(suffix));
        let id = id.unwrap_or(name);
        // Other files in there are not ours.
        if is_id(id) {
            ids.insert(id.to_owned());
        }
    }
    Ok(ids.iter().map(|id| DoorFiles::at(run_dir, id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test alone, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("safeurl-record-{}", uuid::Uuid::new_v4().simple()));
            std::fs::create_dir(&path).expect("a new folder");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).expect("the folder can be removed");
        }
    }

    #[test]
    fn a_ledger_whose_last_line_broke_off_is_read_and_is_not_complete() {
        let folder = Folder::new();
        let path = folder.0.join("ledger");
        let text = "{\"event\":\"bound\",\"attempt\":\"j/1\",\"at\":1}\n{\"event\":\"end\",\"at\":2,\"exh";
        std::fs::write(&path, text).expect("written");
        let ledger = read_ledger(&path).expect("read");
        assert_eq!(ledger.attempt.as_deref(), Some("j/1"));
        assert!(!ledger.complete);
        std::fs::write(&path, format!("{text}austed\":null}}\n")).expect("written");
        assert!(read_ledger(&path).expect("read").complete);
        assert!(read_ledger(&folder.0.join("none")).is_err());
    }

    #[test]
    fn a_ledger_is_locked_as_long_as_somebody_has_it_open_and_locked() {
        let folder = Folder::new();
        let path = folder.0.join("ledger");
        assert!(!is_locked(&path).expect("a missing file is not locked"));
        let file = File::create(&path).expect("made");
        assert!(!is_locked(&path).expect("asked"));
        let journal = super::super::journal::Journal::new(file).expect("locked");
        assert!(is_locked(&path).expect("asked"));
        assert!(is_locked(&path).expect("asking takes no lock away"));
        drop(journal);
        assert!(!is_locked(&path).expect("asked"));
    }

    #[test]
    fn leftovers_are_found_by_folder_or_ledger_and_removed_for_good() {
        let folder = Folder::new();
        let (both, ledger_only, half_made) = ("a".repeat(32), "b".repeat(32), "c".repeat(32));
        std::fs::create_dir(folder.0.join(&both)).expect("made");
        std::fs::write(folder.0.join(&both).join("gw.sock"), "").expect("made");
        std::fs::write(folder.0.join(format!("{both}.ledger")), "").expect("made");
        std::fs::write(folder.0.join(format!("{ledger_only}.ledger")), "").expect("made");
        std::fs::write(folder.0.join(format!("{half_made}.new")), "").expect("made");
        std::fs::write(folder.0.join("notes.txt"), "").expect("made");
        let found = leftovers(&folder.0).expect("listed");
        assert_eq!(found, [&both, &ledger_only, &half_made].map(|id| DoorFiles::at(&folder.0, id)));
        for leftover in &found {
            leftover.remove().expect("removed");
            leftover.remove().expect("removing again is fine");
        }
        assert_eq!(leftovers(&folder.0).expect("listed"), []);
        let left =
            std::fs::read_dir(&folder.0).expect("listed").map(|entry| entry.expect("an entry").file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["notes.txt"], "what is not ours stays");
        assert_eq!(leftovers(&folder.0.join("none")).expect("a missing directory holds nothing"), []);
    }
}
