//! One Set-Cookie value, read as browsers read it: nothing is an error, and the last of equal attributes counts.

use url::Host;

use super::date;

/// Name and value together; more is refused by browsers.
const MAX_PAIR_BYTES: usize = 4096;

/// A longer attribute is as if it were not there.
const MAX_ATTRIBUTE_BYTES: usize = 1024;

/// What the value says.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct SetCookie<'a> {
    /// May be empty.
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    /// Without a leading dot, in lower case and ASCII; `None` when the host alone is meant.
    pub(super) domain: Option<String>,
    pub(super) path: Option<&'a str>,
    pub(super) secure: bool,
    pub(super) max_age: Option<i64>,
    /// Seconds since the epoch.
    pub(super) expires: Option<i64>,
}

impl<'a> SetCookie<'a> {
    /// `None` for what no browser keeps: control characters, nothing at all, more than fits.
    pub(super) fn parse(line: &'a str) -> Option<Self> {
        if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return None;
        }
        let mut parts = line.split(';');
        let pair = parts.next()?;
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let (name, value) = (trim(name), trim(value));
        if (name.is_empty() && value.is_empty()) || name.len() + value.len() > MAX_PAIR_BYTES {
            return None;
        }
        let mut cookie = Self { name, value, ..Self::default() };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = trim(value);
            if value.len() <= MAX_ATTRIBUTE_BYTES {
                cookie.attribute(&trim(name).to_ascii_lowercase(), value)?;
            }
        }
        Some(cookie)
    }

    /// `None` for a domain that is none, with which the whole cookie goes.
    fn attribute(&mut self, name: &str, value: &'a str) -> Option<()> {
        match name {
            "secure" => self.secure = true,
            "path" => self.path = Some(value),
            "max-age" => {
                if let Some(seconds) = seconds(value) {
                    self.max_age = Some(seconds);
                }
            }
            "expires" => {
                if let Some(time) = date::parse(value) {
                    self.expires = Some(time);
                }
            }
            "domain" => {
                let value = value.strip_prefix('.').unwrap_or(value);
                self.domain =
                    if value.is_empty() { None } else { Some(Host::parse(value).ok()?.to_string()) };
            }
            _ => {}
        }
        Some(())
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// Digits with a sign before them; more than fit are as many as there are.
fn seconds(value: &str) -> Option<i64> {
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if negative { -1 } else { digits.parse().unwrap_or(i64::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(line: &str) -> Option<(&str, &str)> {
        SetCookie::parse(line).map(|cookie| (cookie.name, cookie.value))
    }

    #[test]
    fn names_and_values_are_taken_apart_as_browsers_do() {
        for (line, expected) in [
            (" a = b=c ; x", Some(("a", "b=c"))),
            ("a=\"q; \"", Some(("a", "\"q"))),
            ("alone", Some(("", "alone"))),
            ("a=", Some(("a", ""))),
            ("=b", Some(("", "b"))),
            ("", None),
            ("=; Secure", None),
            ("a=b\u{1}", None),
            ("a=\tb\t", Some(("a", "b"))),
        ] {
            assert_eq!(pair(line), expected, "{line:?}");
        }
        assert!(pair(&format!("a={}", "x".repeat(4095))).is_some());
        assert!(pair(&format!("a={}", "x".repeat(4096))).is_none());
    }

    #[test]
    fn the_last_of_equal_attributes_counts_and_a_long_one_not_at_all() {
        let long = "x".repeat(1025);
        let line = format!("a=1; PATH=/one; path=/two; path=/{long}; max-age=5; Max-Age=x; HttpOnly; Secure");
        let cookie = SetCookie::parse(&line).expect("a cookie");
        assert_eq!((cookie.path, cookie.max_age, cookie.secure), (Some("/two"), Some(5), true));
        assert_eq!(SetCookie::parse("a=1; Domain=a b"), None);
        let far = SetCookie::parse("a=1; max-age=99999999999999999999").expect("a cookie");
        assert_eq!(far.max_age, Some(i64::MAX));
    }
}
