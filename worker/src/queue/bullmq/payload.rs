//! What a producer asks for: `{jobId, url, userId}`. Read leniently, because other programs write it: whatever it says,
//! there is a job that it names, so that what becomes of the entry can be looked up.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::entry::Entry;
use crate::domain::scan::{Method, Options, ScanId};
use crate::domain::target::{MAX_URL_BYTES, Target};
use crate::store::NewJob;

/// Whose a job is when its payload does not say: the command line's user.
const USER: &str = "local";

/// A user's name has at most so many bytes, as any name of another program.
const MAX_USER_BYTES: usize = 200;

/// What is read of a payload. Whatever else a producer puts there is passed over unread, so that nothing in it can hold
/// up the job.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    #[serde(default)]
    job_id: Value,
    #[serde(default)]
    url: Value,
    #[serde(default)]
    user_id: Value,
}

/// A payload, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payload {
    /// Names the row.
    pub(crate) job: ScanId,
    /// As it came; nothing where there is none.
    pub(crate) url: String,
    /// Whose it is.
    pub(crate) user: String,
    /// Why nothing can be done for it; for the producer to read.
    pub(crate) problem: Option<String>,
}

impl Payload {
    /// Reads an entry's data; `base` is what the keys of its queue begin with.
    pub(crate) fn read(entry: &Entry, base: &str) -> Self {
        let unnamed = || unnamed(base, entry);
        let wrong = |problem: &str| Self {
            job: unnamed(),
            url: String::new(),
            user: USER.to_owned(),
            problem: Some(problem.to_owned()),
        };
        // An array would be read as the fields in their order.
        if !entry.data.trim_start().starts_with('{') {
            return wrong("the job's data has to be an object: {jobId, url, userId}");
        }
        let data: Data = match serde_json::from_str(&entry.data) {
            Ok(data) => data,
            // Says what is wrong and where, and repeats nothing of it.
            Err(error) => return wrong(&format!("the job's data cannot be read: {error}")),
        };
        let job = match named(data.job_id) {
            Named::Nothing => unnamed(),
            Named::Text(text) => match ScanId::parse(text) {
                Ok(job) => job,
                Err(error) => return wrong(&format!("data.jobId cannot be used: {error}")),
            },
            Named::Wrong => return wrong("data.jobId has to be a text"),
        };
        let (user, user_problem) = user(data.user_id);
        let (url, url_problem) = match data.url {
            Value::Null => (String::new(), Some("data.url is missing".to_owned())),
            Value::String(url) => match Target::parse(&url) {
                Ok(_) => (url, None),
                Err(error) => (shortened(&url), Some(error.to_string())),
            },
            _ => (String::new(), Some("data.url has to be a text".to_owned())),
        };
        Self { job, url, user, problem: url_problem.or(user_problem) }
    }

    /// The row that is made when there is none. How often it is tried is the entry's to say; the row shows it.
    pub(crate) fn row(&self, entry: &Entry) -> NewJob {
        NewJob {
            id: self.job.clone(),
            user: self.user.clone(),
            url: self.url.clone(),
            options: Options::default(),
            priority: 0,
            method: Method::Queue,
            max_attempts: entry.retries.attempts.max(1),
            reserved_for: None,
            delay: None,
        }
    }
}

/// What stands where a name belongs.
enum Named {
    Nothing,
    Text(String),
    Wrong,
}

/// Whose the job is, and what is wrong with what says so.
fn user(value: Value) -> (String, Option<String>) {
    match named(value) {
        Named::Nothing => (USER.to_owned(), None),
        Named::Text(text) if text.len() <= MAX_USER_BYTES => (text, None),
        Named::Text(text) => {
            let (most, bytes) = (MAX_USER_BYTES, text.len());
            let problem =
                format!("data.userId cannot be used: a user id has 1 to {most} bytes, this one has {bytes}");
            (USER.to_owned(), Some(problem))
        }
        Named::Wrong => (USER.to_owned(), Some("data.userId has to be a text".to_owned())),
    }
}

/// Numbers are names too: producers in other languages write what they have.
fn named(value: Value) -> Named {
    match value {
        Value::Null => Named::Nothing,
        Value::String(text) if text.is_empty() => Named::Nothing,
        // A database cuts text at it.
        Value::String(text) if text.contains('\0') => Named::Wrong,
        Value::String(text) => Named::Text(text),
        Value::Number(number) => Named::Text(number.to_string()),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Named::Wrong,
    }
}

/// The name of a job that its payload does not name: the same whenever this entry is delivered, and no other's.
fn unnamed(base: &str, entry: &Entry) -> ScanId {
    let mut digest = Sha256::new();
    for part in [base, entry.id.as_str(), &entry.timestamp.to_string()] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    // 36 bytes; a name may have 200.
    ScanId::parse(Builder::from_custom_bytes(bytes).into_uuid().to_string())
        .unwrap_or_else(|_| ScanId::fresh())
}

/// What cannot be fetched is kept as it came, but for what is longer than any URL.
fn shortened(url: &str) -> String {
    let mut end = url.len().min(MAX_URL_BYTES);
    while !url.is_char_boundary(end) {
        end -= 1;
    }
    url[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Retries;

    fn entry(data: &str) -> Entry {
        Entry {
            id: "7".to_owned(),
            name: "scan".to_owned(),
            data: data.to_owned(),
            opts: "{}".to_owned(),
            timestamp: 1_795_292_090_610,
            atm: 0,
            ats: 1,
            deferred: None,
            scheduler: None,
            parent_key: None,
            stacktrace: None,
            retries: Retries::default(),
        }
    }

    fn read(data: &str) -> Payload {
        Payload::read(&entry(data), "bull:scan-jobs:")
    }

    #[test]
    fn a_payload_names_job_url_and_user() {
        let payload = read(r#"{"jobId":"0f5c","url":"https://example.com/","userId":"u1","more":[1]}"#);
        assert_eq!(
            (payload.job.as_str(), payload.url.as_str(), payload.user.as_str(), payload.problem),
            ("0f5c", "https://example.com/", "u1", None)
        );
        let numbers = read(r#"{"jobId":12,"url":"https://example.com/","userId":34}"#);
        assert_eq!((numbers.job.as_str(), numbers.user.as_str(), numbers.problem), ("12", "34", None));
    }

    #[test]
    fn what_is_not_named_has_a_name_that_stays_the_same_for_this_entry_alone() {
        let first = read(r#"{"url":"https://example.com/"}"#);
        assert_eq!((first.user.as_str(), &first.problem), ("local", &None));
        assert_eq!(first.job, read(r#"{"jobId":"","userId":null,"url":"https://other.example/"}"#).job);
        let other = Entry { id: "8".to_owned(), ..entry("{}") };
        let later = Entry { timestamp: 1, ..entry("{}") };
        for (entry, base) in
            [(&other, "bull:scan-jobs:"), (&later, "bull:scan-jobs:"), (&entry("{}"), "bull:x:")]
        {
            assert_ne!(Payload::read(entry, base).job, first.job);
        }
    }

    #[test]
    fn what_cannot_be_done_says_why_and_still_names_a_job() {
        let long = "x".repeat(201);
        for (data, part) in [
            ("", "has to be an object"),
            ("null", "has to be an object"),
            ("[]", "has to be an object"),
            (r#"{"jobId":"a"}"#, "data.url is missing"),
            (r#"{"jobId":"a","url":null}"#, "data.url is missing"),
            (r#"{"jobId":"a","url":7}"#, "data.url has to be a text"),
            (r#"{"jobId":"a","url":""}"#, "empty"),
            (r#"{"jobId":"a","url":"ftp://example.com/"}"#, "scheme"),
            (r#"{"jobId":{},"url":"https://example.com/"}"#, "data.jobId has to be a text"),
            (r#"{"jobId":"a\u0000b","url":"https://example.com/"}"#, "data.jobId has to be a text"),
            (r#"{"jobId":"a","url":"https://example.com/","userId":[]}"#, "data.userId has to be a text"),
            (&format!(r#"{{"jobId":"{long}","url":"https://example.com/"}}"#), "1 to 200 bytes"),
            (
                &format!(r#"{{"jobId":"a","url":"https://example.com/","userId":"{long}"}}"#),
                "a user id has 1 to 200 bytes, this one has 201",
            ),
            (r#"{"url":"https://example.com/\ud800"}"#, "cannot be read"),
            (r#"{"url":"https://example.com/""#, "cannot be read"),
            (r#"["a","https://example.com/","u"]"#, "has to be an object"),
        ] {
            let payload = read(data);
            let problem = payload.problem.unwrap_or_default();
            assert!(problem.contains(part), "{data}: {problem}");
            assert_eq!(
                payload.job.as_str() == "a",
                data.contains(r#""jobId":"a","#) || data == r#"{"jobId":"a"}"#
            );
        }
    }

    #[test]
    fn what_else_a_payload_holds_does_not_matter() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        for more in [r#""half a \ud83d sign""#, deep.as_str(), "1e999", r#"{"url":7}"#] {
            let payload = read(&format!(
                r#"{{"__proto__":{{"url":7}},"more":{more},"jobId":"a","url":"https://example.com/","userId":"u"}}"#
            ));
            assert_eq!((payload.job.as_str(), payload.problem), ("a", None), "{more}");
        }
    }

    #[test]
    fn a_url_that_is_too_long_is_cut_between_characters() {
        let payload =
            read(&format!(r#"{{"jobId":"a","url":"https://example.com/{}"}}"#, "ä".repeat(MAX_URL_BYTES)));
        assert!(payload.problem.is_some() && payload.url.len() <= MAX_URL_BYTES);
    }
}
