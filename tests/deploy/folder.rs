//! A short-lived folder of a test's own, and the files of the repository.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removed with the test.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Differs between tests that run at the same time.
    pub(crate) tag: String,
}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl Folder {
    pub(crate) fn new() -> Self {
        let tag = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("safeurl-deploy-{tag}"));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self { path, tag }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).expect("a file for the test");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A file of the repository.
pub(crate) fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Its text.
pub(crate) fn text_of(path: &str) -> String {
    std::fs::read_to_string(of_repository(path)).expect("a file of the repository")
}
