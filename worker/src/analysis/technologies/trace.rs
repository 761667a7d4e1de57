//! One trace: plain text, perhaps held to the beginning or the end, with at most one version in it.

use serde::Deserialize;

/// Stands for a version: digits, with dots between.
const VERSION: &str = "{v}";

/// Longer runs of digits are no versions.
const VERSION_BYTES: usize = 20;

/// A trace as `config/technologies.toml` writes it: `^` holds it to the beginning of the text, `$` to its end,
/// `{v}` stands for a version. Case does not count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Trace {
    /// Before the version; the whole where there is none.
    before: String,
    /// After the version, where there is one.
    after: Option<String>,
    at_start: bool,
    at_end: bool,
}

impl TryFrom<String> for Trace {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.to_ascii_lowercase();
        let (at_start, rest) = text.strip_prefix('^').map_or((false, text.as_str()), |rest| (true, rest));
        let (at_end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
        let (before, after) = match rest.split_once(VERSION) {
            Some((before, after)) if after.contains(VERSION) || (before.is_empty() && !at_start) => {
                return Err("a trace holds one version at most, and says what stands before it");
            }
            Some((before, after)) => (before, Some(after.to_owned())),
            None => (rest, None),
        };
        Ok(Self { before: before.to_owned(), after, at_start, at_end })
    }
}

impl Trace {
    /// Whether it is in the text, which is in lower case, and the version it shows there.
    pub(super) fn find(&self, text: &str) -> Option<Option<String>> {
        if self.at_start {
            return text.strip_prefix(self.before.as_str()).and_then(|rest| self.rest(rest));
        }
        if self.after.is_none() && self.at_end {
            return text.ends_with(self.before.as_str()).then_some(None);
        }
        text.match_indices(self.before.as_str())
            .find_map(|(at, _)| self.rest(&text[at + self.before.len()..]))
    }

    /// Whether what follows fits.
    fn rest(&self, rest: &str) -> Option<Option<String>> {
        let Some(after) = &self.after else { return (!self.at_end || rest.is_empty()).then_some(None) };
        let version = version(rest)?;
        let tail = rest[version.len()..].strip_prefix(after.as_str())?;
        (!self.at_end || tail.is_empty()).then(|| Some(version.to_owned()))
    }
}

/// The version that the text begins with.
fn version(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while end < VERSION_BYTES && (digit(end) || (end > 0 && bytes.get(end) == Some(&b'.') && digit(end + 1)))
    {
        end += 1;
    }
    let found = text.get(..end)?.trim_end_matches('.');
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_found_where_it_is_held_to_with_the_version_it_shows() {
        for (trace, text, found) in [
            ("^nginx/{v}", "nginx/1.25.3", Some(Some("1.25.3"))),
            ("^nginx", "nginx", Some(None)),
            ("^nginx", "openresty nginx", None),
            ("^nginx$", "nginx-like", None),
            ("nginx$", "my nginx", Some(None)),
            ("jquery-{v}.min.js", "https://a.test/jquery-3.6.0.min.js?x", Some(Some("3.6.0"))),
            ("jquery-{v}.min.js", "https://a.test/jquery-ui.min.js", None),
            ("a{v}", "a a7", Some(Some("7"))),
            ("a{v}$", "a7b", None),
            ("", "anything", Some(None)),
            ("v{v}", "v1..2", Some(Some("1"))),
            ("v{v}", "v1.", Some(Some("1"))),
        ] {
            let trace = Trace::try_from(trace.to_owned()).expect("a trace");
            assert_eq!(
                trace.find(text),
                found.map(|version| version.map(str::to_owned)),
                "{trace:?} in {text}"
            );
        }
        for wrong in ["{v}", "a{v}b{v}"] {
            assert!(Trace::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
