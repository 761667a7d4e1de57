//! The program in an island: every link a scan of its own, in a container of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::island::Island;
use crate::names::Names;

static NEXT: AtomicU32 = AtomicU32::new(1);

/// What scans left, by the link as it was submitted. A text that is no link has none.
pub(crate) type Documents = BTreeMap<String, Value>;

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Scans all of them at once, with these settings beside the name server's address.
pub(crate) fn scan(island: &Island, links: &[String], settings: &[(&str, &str)]) -> Documents {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = Folder(std::env::temp_dir().join(format!("safeurl-net-{}-{number}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a temporary folder");
    std::fs::write(folder.0.join("links"), links.join("\n")).expect("a file");
    let output = island.inside(|| command(&folder.0, settings).output().expect("the program starts"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // 1: some of them failed, 2: some are no links. Anything else is not about the links.
    assert!(matches!(output.status.code(), Some(0..=2)), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    let text = String::from_utf8(output.stdout).expect("text");
    let documents: Documents = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a document a line"))
        .map(|document| (document["task"]["url"].as_str().expect("a link").to_owned(), document))
        .collect();
    for (number, link) in links.iter().enumerate() {
        let refused = told.contains(&format!("line {}: ", number + 1));
        assert!(
            documents.contains_key(link) || refused,
            "{link} is neither scanned nor named as no link: {told}"
        );
    }
    documents
}

fn command(folder: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_safeurl"));
    command
        .args(["scan", "--quiet", "--json", "--file"])
        .arg(folder.join("links"))
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("SAFEURL_DATABASE_URL", format!("file:{}", folder.join("scans.db").display()))
        .env("SAFEURL_SANDBOX_RUN_DIR", folder.join("run"))
        .env("SAFEURL_GATEWAY_RESOLVERS", Names::AT.to_string())
        // A machine with much else to do must not be taken for a name server that is silent.
        .env("SAFEURL_GATEWAY_DNS_TIMEOUT", "20s")
        .stdin(Stdio::null());
    if let Some(host) = std::env::var_os("DOCKER_HOST") {
        command.env("DOCKER_HOST", host);
    }
    command.envs(settings.iter().copied());
    command
}

/// State, and the class of the failure where there is one.
pub(crate) fn end(document: &Value) -> (&str, &str) {
    (
        document["job"]["state"].as_str().unwrap_or_default(),
        document["job"]["failure"]["class"].as_str().unwrap_or_default(),
    )
}

/// The rules by which connections of a scan were refused.
pub(crate) fn denials(document: &Value) -> Vec<&str> {
    let entries = document["egress"].as_array().expect("a ledger");
    let denied = entries.iter().filter(|entry| entry["decision"] == "denied");
    denied.map(|entry| entry["rule"].as_str().unwrap_or_default()).collect()
}

/// Every address a scan dialled, as the ledger has it.
pub(crate) fn dialled(document: &Value) -> Vec<&str> {
    let entries = document["egress"].as_array().expect("a ledger");
    entries.iter().filter_map(|entry| entry["dialed"].as_str()).collect()
}
