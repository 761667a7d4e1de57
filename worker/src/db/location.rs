//! Where a database is, read from the setting that existing installations have.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::DbError;

/// Where a database is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A file, absolute.
    File(PathBuf),
}

impl Location {
    /// Reads `file:./local.db`, `file:/abs`, `file:///abs` or a path.
    pub(super) fn parse(url: &str) -> Result<Self, DbError> {
        let wrong = |reason| DbError::Location { url: url.to_owned(), reason };
        let text = url.trim();
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        if matches!(scheme.as_deref(), Some("libsql" | "http" | "https" | "ws" | "wss")) {
            return Err(DbError::Remote { url: origin(text) });
        }
        let path = match text.strip_prefix("file:") {
            Some(rest) => rest.strip_prefix("//localhost").unwrap_or(rest),
            None => text,
        };
        let path = match path.strip_prefix("//") {
            Some(rest) if text.starts_with("file:") && !rest.starts_with('/') => {
                return Err(wrong("a file address names no host"));
            }
            Some(rest) if text.starts_with("file:") => rest,
            _ => path,
        };
        if path.is_empty() {
            return Err(wrong("it names no file"));
        }
        if path == ":memory:" {
            return Err(wrong("a database in memory cannot be shared"));
        }
        if text.starts_with("file:") && path.contains('?') {
            return Err(wrong("options after the path are not supported"));
        }
        // Absolute, so that SQLite cannot take it for an address and a later change of folder changes nothing.
        std::path::absolute(path).map(Self::File).map_err(|_| wrong("the current folder is not known"))
    }
}

/// A database's file as it was when it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    path: PathBuf,
    /// Device and number of the file.
    identity: (u64, u64),
}

impl OpenFile {
    /// The file at a path that the connections have just opened.
    pub(super) fn at(path: PathBuf) -> Result<Self, DbError> {
        match identity(&path) {
            Some(identity) => Ok(Self { path, identity }),
            None => Err(DbError::Moved { path }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to that file. SQLite goes on writing to a file that was removed, and does not say
    /// so when it keeps a log.
    pub(super) fn check(&self) -> Result<(), DbError> {
        if identity(&self.path) == Some(self.identity) {
            Ok(())
        } else {
            Err(DbError::Moved { path: self.path.clone() })
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino()))
}

/// Scheme and host; the rest of a remote address may hold a token.
fn origin(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}")
}

/// A database is never put into a folder that is not there: that is a misspelt path.
pub(super) fn check_folder(path: &Path) -> Result<(), DbError> {
    let unusable = |reason: String| DbError::Unusable { path: path.to_owned(), reason };
    match path.parent() {
        Some(folder) if !folder.is_dir() => {
            Err(unusable(format!("the folder {} does not exist", folder.display())))
        }
        _ if path.is_dir() => Err(unusable("it is a folder".to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_existing_installations_name_them() {
        let here = std::env::current_dir().expect("a current folder");
        for (url, path) in [
            ("file:./local.db", here.join("local.db")),
            ("file:local.db", here.join("local.db")),
            ("local.db", here.join("local.db")),
            ("file:/var/x.db", PathBuf::from("/var/x.db")),
            ("file:///var/x.db", PathBuf::from("/var/x.db")),
            ("file://localhost/var/x.db", PathBuf::from("/var/x.db")),
            ("/var/x.db", PathBuf::from("/var/x.db")),
            ("/var/a?b.db", PathBuf::from("/var/a?b.db")),
        ] {
            assert_eq!(Location::parse(url).expect(url), Location::File(path), "{url}");
        }
    }

    #[test]
    fn a_remote_address_is_refused_without_showing_its_secrets() {
        for url in ["libsql://user:pw@db.example/?authToken=secret", "https://pw@db.example/secret"] {
            let error = Location::parse(url).expect_err(url).to_string();
            assert!(error.contains("db.example") && error.contains("local database files only"), "{error}");
            assert!(!error.contains("secret") && !error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn what_names_no_shareable_file_is_refused() {
        for url in ["", "file:", ":memory:", "file::memory:", "file://host/x.db", "file:x.db?mode=ro"] {
            assert!(matches!(Location::parse(url), Err(DbError::Location { .. })), "{url}");
        }
    }
}
