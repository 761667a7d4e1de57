//! The configuration: a file, variables, flags, and single values.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ByteSize, ConfigError, FileText, Flag, Settings, Sources};

/// Stands where a secret does, and nowhere else.
const SECRET: &str = "hunter2-hunter2";

fn loaded(sources: &Sources) {
    match Settings::load(sources) {
        Ok((settings, origins)) => {
            assert!((1..=256).contains(&settings.worker.concurrency));
            assert!(settings.sandbox.timeout >= Duration::from_secs(2));
            assert!(settings.gateway.bytes_in >= settings.fetch.body_cap);
            for shown in origins.iter() {
                assert!(!shown.text().contains(SECRET), "{} shows a secret", shown.key);
            }
            assert!(!format!("{settings:?}").contains(SECRET), "a secret is shown by Debug");
        }
        Err(ConfigError::Invalid(problems)) => {
            assert!(!problems.is_empty());
            for problem in problems {
                let told = format!("{problem} {}", problem.hint.as_deref().unwrap_or_default());
                assert!(!problem.message.is_empty() && !told.contains(SECRET), "{told}");
            }
        }
        Err(error) => assert!(!error.to_string().contains(SECRET), "{error}"),
    }
}

/// A file, an empty line and `%%`, then variables and flags: `NAME=value` and `--flag=value`, one a line.
pub(super) fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // It has to stand in its own place alone.
    if text.contains(SECRET) {
        return;
    }
    let (file, rest) = text.split_once("\n%%\n").unwrap_or((&text, ""));
    let mut sources = Sources { uid: 1000, ..Sources::default() };
    sources.file = Some(FileText { path: PathBuf::from("safeurl.toml"), text: file.to_owned() });
    for (name, value) in rest.lines().filter_map(|line| line.split_once('=')) {
        sources.environment.insert(name.to_owned(), value.to_owned());
    }
    sources.environment.insert("SAFEURL_DATABASE_AUTH_TOKEN".to_owned(), SECRET.to_owned());
    loaded(&sources);
}

/// Settings that have a syntax of their own, each of which gets the same text.
const FLAGS: [(&str, &str); 12] = [
    ("sandbox.memory", "--memory"),
    ("sandbox.timeout", "--timeout"),
    ("worker.health", "--health"),
    ("database.url", "--database"),
    ("queue.redis_url", "--redis"),
    ("queue.name", "--queue"),
    ("fetch.headers", "--header"),
    ("gateway.allow_networks", "--allow-network"),
    ("gateway.resolvers", "--resolver"),
    ("gateway.hosts", "--host"),
    ("sandbox.image", "--image"),
    ("fetch.user_agent", "--user-agent"),
];

/// One byte for the setting, then its value.
pub(super) fn setting(data: &[u8]) {
    let [which, value @ ..] = data else { return };
    let text = String::from_utf8_lossy(value).into_owned();
    // A user may be called like that, and is shown.
    if text.contains(SECRET) {
        return;
    }
    if let Ok(size) = text.parse::<ByteSize>() {
        assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size), "{text:?}");
    }
    let (key, flag) = FLAGS[usize::from(*which) % FLAGS.len()];
    loaded(&Sources { flags: vec![Flag { key, flag, text }], uid: 1000, ..Sources::default() });
}
