//! Where a database is, read from the setting that existing installations have.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hyper::Uri;
use hyper::http::uri::InvalidUri;
use url::Url;

use super::DbError;

/// Where a database is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A file, absolute.
    File(PathBuf),
    /// On a server.
    Remote(Remote),
}

/// The address of a database on a server, without anything secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// Without a slash at its end.
    base: String,
}

impl Remote {
    /// Reads `libsql://`, `https://` and `http://`; `libsql://` is `https://`, and with `?tls=0` it is `http://`.
    fn parse(text: &str) -> Result<Self, DbError> {
        let wrong = |reason| DbError::Location { url: origin(text), reason };
        let url = Url::parse(text).map_err(|_| wrong("it is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(wrong(
                "a token belongs into database.auth_token (TURSO_AUTH_TOKEN), not into the URL",
            ));
        }
        let (mut tls, mut plain) = (url.scheme() != "http", false);
        for (key, value) in url.query_pairs() {
            match (key.as_ref(), value.as_ref()) {
                ("tls", "1") if url.scheme() == "libsql" => {}
                ("tls", "0") if url.scheme() == "libsql" => plain = true,
                ("authToken" | "jwt", _) => {
                    let reason =
                        "a token belongs into database.auth_token (TURSO_AUTH_TOKEN), not into the URL";
                    return Err(wrong(reason));
                }
                _ => return Err(wrong("it has an option that is not known; there is tls=0 for libsql://")),
            }
        }
        tls &= !plain;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let scheme = if tls { "https" } else { "http" };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let base = format!("{scheme}://{host}{port}{}", url.path().trim_end_matches('/'));
        base.parse::<Uri>().map_err(|_| wrong("it is no URL"))?;
        Ok(Self { base })
    }

    /// Where calls go; to another address when the server asked for that, but never to one that is less safe.
    pub(super) fn pipeline(&self, moved: Option<&Uri>) -> Result<Uri, InvalidUri> {
        let moved =
            moved.filter(|moved| moved.scheme_str() == Some("https") || self.base.starts_with("http:"));
        let base = moved.map_or_else(|| self.base.clone(), |moved| moved.to_string());
        format!("{}/v3/pipeline", base.trim_end_matches('/')).parse()
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl Location {
    /// Reads `file:./local.db`, `file:/abs`, `file:///abs`, a path, or the URL of a server.
    pub(super) fn parse(url: &str) -> Result<Self, DbError> {
        let wrong = |reason| DbError::Location { url: url.to_owned(), reason };
        let text = url.trim();
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("libsql" | "http" | "https") => return Remote::parse(text).map(Self::Remote),
            Some("ws" | "wss") => {
                let reason = "web sockets are not spoken; libsql://, https:// and http:// are";
                return Err(DbError::Location { url: origin(text), reason });
            }
            _ => {}
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
    fn a_server_is_named_as_other_programs_name_it() {
        for (url, base) in [
            ("libsql://db-org.turso.io", "https://db-org.turso.io"),
            ("LIBSQL://db.example:8443/", "https://db.example:8443"),
            ("libsql://127.0.0.1:8080?tls=0", "http://127.0.0.1:8080"),
            ("https://db.example/dev/one/", "https://db.example/dev/one"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            let Location::Remote(remote) = Location::parse(url).expect(url) else {
                panic!("{url} is no file")
            };
            assert_eq!(remote.to_string(), base, "{url}");
            assert_eq!(remote.pipeline(None).expect(url), format!("{base}/v3/pipeline").as_str());
        }
    }

    #[test]
    fn a_server_that_cannot_be_meant_is_refused_without_showing_its_secrets() {
        for url in [
            "libsql://user:pw@db.example/?authToken=secret",
            "libsql://db.example/?authToken=secret",
            "https://pw@db.example/secret",
            "ws://pw@db.example/secret",
            "wss://db.example/secret",
            "https://db.example/secret?tls=0",
            "libsql://db.example/?secret=1",
        ] {
            let error = Location::parse(url).expect_err(url).to_string();
            assert!(error.contains("db.example"), "{error}");
            assert!(!error.contains("secret") && !error.contains("pw"), "{error}");
        }
        assert!(Location::parse("libsql://").is_err());
    }

    #[test]
    fn a_stream_moves_to_another_address_but_not_to_one_that_everybody_can_read() {
        let moved = |url: &str, to: &str| match Location::parse(url) {
            Ok(Location::Remote(remote)) => {
                remote.pipeline(Some(&to.parse().expect("a URL"))).expect("a URL").to_string()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(moved("https://a.example", "https://b.example/"), "https://b.example/v3/pipeline");
        assert_eq!(moved("https://a.example", "http://b.example/"), "https://a.example/v3/pipeline");
        assert_eq!(moved("http://a.example", "http://b.example/x"), "http://b.example/x/v3/pipeline");
    }

    #[test]
    fn what_names_no_shareable_file_is_refused() {
        for url in ["", "file:", ":memory:", "file::memory:", "file://host/x.db", "file:x.db?mode=ro"] {
            assert!(matches!(Location::parse(url), Err(DbError::Location { .. })), "{url}");
        }
    }
}
