//! Values that are used and never shown.
//!
//! Owns the masking of tokens, passwords, and of the passwords inside addresses. `Debug` and `Display` of these types
//! are masked, so that a secret reaches a log or an error only by the word `expose`.

use std::fmt;

/// What stands in for a secret wherever one is shown.
pub const MASK: &str = "***";

/// Names of query parameters that carry a token.
const SECRET_PARAMETERS: [&str; 5] = ["authtoken", "password", "pass", "token", "jwt"];

/// A token or a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who authenticates with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// An address that may carry a password: `redis://:secret@host`, `libsql://host?authToken=secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct MaskedUrl(String);

impl MaskedUrl {
    /// Takes it in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The address with what is secret in it, for the one who connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MaskedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for MaskedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

/// Works on text, not on a parsed URL: what does not parse is shown in an error message, and must be masked there too.
fn masked(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let mut shown = match address.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((userinfo, host)) => match userinfo.split_once(':') {
                Some((user, _)) => format!("{scheme}://{user}:{MASK}@{host}"),
                // Some services take a token as the user's name.
                None => format!("{scheme}://{MASK}@{host}"),
            },
            None => address.to_owned(),
        },
        None => address.to_owned(),
    };
    if let Some(query) = query {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => {
                format!("{name}={MASK}")
            }
            _ => pair.to_owned(),
        });
        shown.push('?');
        shown.push_str(&pairs.collect::<Vec<_>>().join("&"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown_of_an_address() {
        for (url, shown) in [
            ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
            ("redis://user:hun@ter2@h", "redis://user:***@h"),
            ("rediss://hunter2@h", "rediss://***@h"),
            ("libsql://h.io?authToken=hunter2&x=1", "libsql://h.io?authToken=***&x=1"),
            ("redis://u:hunter2@h?password=hunter2", "redis://u:***@h?password=***"),
            ("unix:///run/redis.sock?user=u&pass=hunter2", "unix:///run/redis.sock?user=u&pass=***"),
            ("file:./local.db", "file:./local.db"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            let url = MaskedUrl::new(url);
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("ter2"), "{shown}");
        }
    }

    #[test]
    fn a_secret_is_masked_in_every_format() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
