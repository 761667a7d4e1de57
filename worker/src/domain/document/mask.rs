//! Takes secrets out of a document: the values of submitted headers, which a site may show as it was sent them, and the
//! passwords in addresses that a site leads to, which may be somebody's.

use safeurl_protocol::Header;
use serde_json::Value;

use super::Body;
use super::compose::MASK;

/// Shorter values stand in too much that is not secret.
const SHORTEST: usize = 6;

/// The document without any of these headers' values, nor their parts (the token behind `Bearer`).
#[must_use]
pub fn without_secrets(body: Body, headers: &[Header]) -> Body {
    let secrets = secrets(headers);
    if secrets.is_empty() {
        return body;
    }
    let Ok(mut value) = serde_json::to_value(&body) else { return body };
    hide(&mut value, &secrets);
    serde_json::from_value(value).unwrap_or(body)
}

/// The same of one text, such as why a scan failed: that may quote what a site said.
#[must_use]
pub fn text_without_secrets(text: &str, headers: &[Header]) -> String {
    secrets(headers).into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
}

/// An address, or a text with one as a Refresh header has it, without the password before its host. The name stays: it is
/// often made to look like the host.
pub(super) fn without_password(text: &str) -> String {
    masked(text).unwrap_or_else(|| text.to_owned())
}

fn masked(text: &str) -> Option<String> {
    const SLASHES: [char; 2] = ['/', '\\'];
    let lower = text.to_ascii_lowercase();
    // Browsers need no slashes behind these two, and read a backslash as one.
    let scheme = ["http:", "https:"].iter().find_map(|scheme| Some(lower.find(scheme)? + scheme.len()));
    let after =
        scheme.or_else(|| ["//", "/\\", "\\/", "\\\\"].iter().filter_map(|two| text.find(two)).min())?;
    let (before, rest) = text.split_at_checked(after)?;
    let start = rest.find(|c| !SLASHES.contains(&c))?;
    let (slashes, rest) = rest.split_at_checked(start)?;
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let (userinfo, host) = authority.rsplit_once('@')?;
    let (name, _) = userinfo.split_once(':')?;
    Some(format!("{before}{slashes}{name}:{MASK}@{host}{path}"))
}

/// The values and their parts, the whole before its parts.
fn secrets(headers: &[Header]) -> Vec<&str> {
    let mut secrets: Vec<&str> = headers
        .iter()
        .flat_map(|header| std::iter::once(header.value.trim()).chain(header.value.split([' ', ';', '='])))
        .filter(|secret| secret.len() >= SHORTEST)
        .collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

/// Depth is that of our own types.
fn hide(value: &mut Value, secrets: &[&str]) {
    match value {
        Value::String(text) => {
            for secret in secrets {
                if text.contains(secret) {
                    *text = text.replace(secret, MASK);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        Value::Object(fields) => fields.values_mut().for_each(|field| hide(field, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use safeurl_protocol::ledger::Ledger;

    use super::*;
    use crate::domain::document::{SandboxFacts, TaskOptions, without_report};
    use crate::domain::failure::{Failure, FailureClass, FailureStage};
    use crate::domain::scan::sample;
    use crate::domain::verdict::{Engine, Verdict};

    #[test]
    fn what_a_site_echoes_of_a_header_is_masked_wherever_it_stands() {
        let job = sample("http://a.test/?echo=t0ken-123");
        let failure = Failure::new(FailureClass::Connect, FailureStage::Fetch, "x");
        let engine = Engine { name: String::new(), version: String::new(), rules_digest: String::new() };
        let verdict = Verdict::not_evaluated(engine, format!("{} Bearer t0ken-123", failure.message));
        let options = TaskOptions {
            user_agent: "t0ken-123 and more".into(),
            timeout_ms: 1,
            max_redirects: 1,
            headers: Default::default(),
            respect_robots: false,
        };
        let body = without_report(&job, None, options, &Ledger::default(), SandboxFacts::default(), verdict);
        let header = Header { name: "Authorization".into(), value: "Bearer t0ken-123".into() };
        let masked = without_secrets(body.clone(), std::slice::from_ref(&header));
        let text = serde_json::to_string(&masked).expect("plain values");
        assert!(!text.contains("t0ken-123"), "{text}");
        assert_eq!(masked.verdict.reasoning, "x ***");
        assert_eq!(without_secrets(body.clone(), &[]), body);
        let told = text_without_secrets("it said \"Bearer t0ken-123\", t0ken-123", &[header]);
        assert_eq!(told, "it said \"***\", ***");
    }

    #[test]
    fn a_password_in_an_address_is_masked_however_the_address_is_written() {
        for (text, expected) in [
            ("http://a:s3cret@b.test/x?y#z", "http://a:***@b.test/x?y#z"),
            ("HTTPS://www.bank.test:s3@cret@b.test", "HTTPS://www.bank.test:***@b.test"),
            ("http:a:s3cret@b.test", "http:a:***@b.test"),
            ("http:\\\\a:s3cret@b.test\\x", "http:\\\\a:***@b.test\\x"),
            ("//:s3cret@b.test/", "//:***@b.test/"),
            ("/\\a:s3cret@b.test/", "/\\a:***@b.test/"),
            ("ftp://a:s3cret@b.test/", "ftp://a:***@b.test/"),
            ("0; url='http://a:s3 cret@b.test'", "0; url='http://a:***@b.test'"),
        ] {
            assert_eq!(without_password(text), expected);
        }
        for text in
            ["", "http:", "//", "http://a.test:80/b:c@d", "http://a@b.test/", "/a:b@c", "x?y=a:b@c", "é//é"]
        {
            assert_eq!(without_password(text), text);
        }
    }
}
