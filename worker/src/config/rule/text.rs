//! Rules for text: names, headers, folders, secrets.

use std::path::PathBuf;

use safeurl_protocol::Header;
use serde_json::Value;

use super::{Rule, text};
use crate::config::raw::Raw;
use crate::config::secret::{MASK, Secret};

/// Visible text that is not empty; the most bytes it may have.
pub(in crate::config) struct Text {
    pub(in crate::config) most: usize,
}

impl Rule for Text {
    type Out = String;

    fn accepts(&self) -> String {
        format!("1 to {} bytes of visible ASCII text", self.most)
    }

    fn read(&self, raw: &Raw) -> Result<String, String> {
        let text = text(raw)?;
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.len() > self.most {
            return Err(format!("has {} bytes", text.len()));
        }
        if !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err("has characters that are not visible ASCII".to_owned());
        }
        Ok(text.to_owned())
    }

    fn show(&self, value: &String) -> Value {
        Value::from(value.as_str())
    }
}

/// A name that is handed to another program, or none.
pub(in crate::config) struct Name {
    /// Accepted beside letters, digits, `.`, `_` and `-`.
    pub(in crate::config) also: &'static str,
    pub(in crate::config) what: &'static str,
}

impl Rule for Name {
    type Out = Option<String>;

    fn accepts(&self) -> String {
        format!("{}, or nothing", self.what)
    }

    fn read(&self, raw: &Raw) -> Result<Option<String>, String> {
        let text = text(raw)?;
        if text.is_empty() {
            return Ok(None);
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c) || self.also.contains(c);
        // A leading dash would be read as an option wherever the name reaches a command line.
        if text.len() > 255 || text.starts_with('-') || !text.chars().all(fine) {
            return Err(format!("is not {}", self.what));
        }
        Ok(Some(text.to_owned()))
    }

    fn show(&self, value: &Option<String>) -> Value {
        Value::from(value.as_deref().unwrap_or_default())
    }
}

/// A token or password, or none.
pub(in crate::config) struct SecretText;

impl Rule for SecretText {
    type Out = Option<Secret>;

    fn accepts(&self) -> String {
        "text, or nothing".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Option<Secret>, String> {
        let text = text(raw)?;
        if text.chars().any(char::is_control) {
            return Err("has control characters".to_owned());
        }
        Ok((!text.is_empty()).then(|| Secret::new(text)))
    }

    fn show(&self, value: &Option<Secret>) -> Value {
        Value::from(if value.is_some() { MASK } else { "" })
    }

    fn quote(&self, _: &str) -> Option<String> {
        None
    }
}

/// A request header, `Name: value`. The value is masked: it may be a session of somebody.
pub(in crate::config) struct RequestHeader;

/// Headers that the fetcher sets by itself; a second one would make two readings of one request possible.
const OWN_HEADERS: [&str; 8] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "accept-encoding",
];

/// Far below the fetcher's limit for the whole invocation.
const MAX_HEADER_BYTES: usize = 8 * 1024;

impl Rule for RequestHeader {
    type Out = Header;

    fn accepts(&self) -> String {
        "\"Name: value\"".to_owned()
    }

    fn read(&self, raw: &Raw) -> Result<Header, String> {
        let line = text(raw)?;
        let (name, value) = line.split_once(':').ok_or("has no colon after the name")?;
        let value = value.trim_matches([' ', '\t']);
        // https://www.rfc-editor.org/rfc/rfc9110#name-tokens
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err("has a name that is no header name".to_owned());
        }
        if OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return Err(format!("names {name}, which the fetcher sets by itself"));
        }
        if line.len() > MAX_HEADER_BYTES {
            return Err(format!("has {} bytes, at most {MAX_HEADER_BYTES} are sent", line.len()));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("has control characters in its value".to_owned());
        }
        Ok(Header { name: name.to_owned(), value: value.to_owned() })
    }

    fn show(&self, value: &Header) -> Value {
        Value::from(format!("{}: {MASK}", value.name))
    }

    fn quote(&self, _: &str) -> Option<String> {
        None
    }
}

/// An absolute folder; empty means the one given here.
pub(in crate::config) struct Folder {
    pub(in crate::config) otherwise: PathBuf,
    /// The engine and the kernel bound the path of a socket inside (108 bytes with its end, `unix(7)`).
    pub(in crate::config) most: usize,
}

impl Rule for Folder {
    type Out = PathBuf;

    fn accepts(&self) -> String {
        format!("an absolute path of at most {} bytes, or nothing", self.most)
    }

    fn read(&self, raw: &Raw) -> Result<PathBuf, String> {
        let text = text(raw)?;
        let path = if text.is_empty() { self.otherwise.clone() } else { PathBuf::from(text) };
        if !path.is_absolute() {
            return Err("is not absolute".to_owned());
        }
        let bytes = path.as_os_str().len();
        if bytes > self.most {
            return Err(format!("has {bytes} bytes ({})", path.display()));
        }
        // The path stands in a mount of the container, where a colon separates fields.
        if path.to_string_lossy().chars().any(|c| c == ':' || c.is_control()) {
            return Err("has a colon or a control character".to_owned());
        }
        Ok(path)
    }

    fn show(&self, value: &PathBuf) -> Value {
        Value::from(value.display().to_string())
    }
}
