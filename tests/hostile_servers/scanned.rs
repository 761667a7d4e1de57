//! Scans, and what they must have in common whatever they met.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stage::Stage;

/// A container may use 512 MiB; no server makes it use a quarter of that.
const MEMORY: u64 = 128 * 1024 * 1024;

/// Scans these URLs, four at a time, and gives each one's document. Nothing had to be killed, and nothing took more
/// memory than a page may.
pub(crate) fn all(stage: &Stage, urls: &[String], timeout: &str) -> BTreeMap<String, Value> {
    let args = ["scan", "--json", "--concurrency", "4", "--timeout", timeout, "-"];
    let ran = stage.feed(args, &urls.join("\n"));
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    let documents = ran.json().into_iter().map(|document| (text(&document["task"]["url"]), document));
    let documents: BTreeMap<_, _> = documents.collect();
    assert_eq!(documents.len(), urls.len(), "{}", ran.err);
    for (url, document) in &documents {
        let sandbox = &document["sandbox"];
        assert_eq!(sandbox["outcome"], "exited", "{url}: {document}");
        let peak = sandbox["peakMemoryBytes"].as_u64();
        assert!(peak.is_some_and(|peak| peak < MEMORY), "{url}: {sandbox}");
    }
    documents
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// State, class of the failure, and class of the first hop's error; nothing is `-`.
pub(crate) fn end(document: &Value) -> [String; 3] {
    let job = &document["job"];
    let class = |value: &Value| value["class"].as_str().unwrap_or("-").to_owned();
    [text(&job["state"]), class(&job["failure"]), class(&document["requests"][0]["error"])]
}
