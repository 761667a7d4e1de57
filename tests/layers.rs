//! Arrows point down: which module uses which, and where each foreign crate lives.
//!
//! Reads the sources as text. It follows `use` trees, `crate::` and `super::` paths and names of crates in plain paths;
//! that is enough to keep an arrow from being drawn by accident, which is how they are drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a module of the worker may use of our own; siblings are not in it, they meet in `supervisor`.
const OURS: &[(&str, &[&str])] = &[
    ("domain", &["safeurl_protocol"]),
    ("config", &["safeurl_protocol", "safeurl_egress"]),
    ("telemetry", &["config", "span"]),
    ("shutdown", &[]),
    ("moment", &[]),
    ("span", &[]),
    ("tls", &[]),
    ("db", &["domain", "tls"]),
    ("store", &["domain", "db", "moment", "span"]),
    ("queue", &["domain", "store", "moment", "tls"]),
    ("gateway", &["domain", "safeurl_protocol", "safeurl_egress"]),
    ("sandbox", &["domain", "safeurl_protocol", "span"]),
    ("analysis", &["domain", "safeurl_protocol"]),
    ("metrics", &["domain", "safeurl_protocol", "safeurl_egress"]),
    (
        "supervisor",
        &[
            "domain",
            "db",
            "store",
            "queue",
            "gateway",
            "sandbox",
            "analysis",
            "metrics",
            "shutdown",
            "moment",
            "span",
            "safeurl_protocol",
        ],
    ),
    ("health", &["domain", "metrics", "store"]),
    ("api", &["domain", "store", "queue"]),
];

/// Uses everything; nobody uses it.
const TOP: &[&str] = &["cli", "lib", "main"];

/// Plain functions over values: no task, no file, no clock of their own.
const PURE: &[&str] = &["domain", "analysis"];

/// Where a foreign crate may be used.
enum Home {
    Everywhere,
    /// The pure modules and the settings do without.
    NotPure,
    Only(&'static [&'static str]),
}

const FOREIGN: &[(&str, Home)] = &[
    ("serde", Home::Everywhere),
    ("serde_json", Home::Everywhere),
    ("thiserror", Home::Everywhere),
    ("sha2", Home::Everywhere),
    ("tokio", Home::NotPure),
    ("bytes", Home::NotPure),
    ("futures_util", Home::NotPure),
    ("tracing", Home::NotPure),
    ("rustix", Home::NotPure),
    ("rand", Home::NotPure),
    ("uuid", Home::Only(&["domain", "db", "store", "queue", "gateway", "sandbox", "supervisor"])),
    ("url", Home::Only(&["domain", "analysis", "config", "gateway", "db"])),
    ("time", Home::Only(&["domain"])),
    ("libsql", Home::Only(&["db", "store"])),
    ("redis", Home::Only(&["queue"])),
    ("tokio_rustls", Home::Only(&["queue"])),
    ("jiff", Home::Only(&["queue"])),
    ("bollard", Home::Only(&["sandbox"])),
    ("tar", Home::Only(&["sandbox"])),
    ("hickory_resolver", Home::Only(&["gateway"])),
    ("landlock", Home::Only(&["gateway"])),
    ("libc", Home::Only(&["gateway"])),
    ("seccompiler", Home::Only(&["gateway"])),
    ("hyper", Home::Only(&["db", "health"])),
    ("hyper_rustls", Home::Only(&["db"])),
    ("hyper_util", Home::Only(&["db", "health"])),
    ("http_body_util", Home::Only(&["db", "health"])),
    ("rustls", Home::Only(&["db", "queue", "tls"])),
    ("rustls_native_certs", Home::Only(&["tls"])),
    ("webpki_roots", Home::Only(&["tls"])),
    ("prometheus_client", Home::Only(&["metrics"])),
    ("regex", Home::Only(&["analysis"])),
    ("psl", Home::Only(&["domain", "analysis"])),
    ("rlibphonenumber", Home::Only(&["analysis"])),
    ("whatlang", Home::Only(&["analysis"])),
    ("toml", Home::Only(&["analysis", "config"])),
    ("dotenvy", Home::Only(&["config"])),
    ("strsim", Home::Only(&["config"])),
    ("humantime", Home::Only(&["config"])),
    ("tracing_subscriber", Home::Only(&["telemetry"])),
    ("base64", Home::Only(&["db", "queue"])),
    ("clap", Home::Only(&[])),
    ("clap_complete", Home::Only(&[])),
    ("clap_mangen", Home::Only(&[])),
    ("csv", Home::Only(&[])),
    ("anstyle", Home::Only(&[])),
    ("unicode_width", Home::Only(&[])),
    ("anyhow", Home::Only(&[])),
];

/// What the crates on the container's side may depend on, where the list is short enough to be a promise.
const CRATES: &[(&str, &[&str])] = &[("fetcher/protocol", &["serde"]), ("fetcher/egress", &[])];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code that is shipped: without comments, and without the test module that ends a file.
fn shipped(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = code.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path a `use` names, written out.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        if !path.is_empty() {
            paths.push(format!("{prefix}{path}"));
        }
        return;
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&format!("{prefix}{before}"), &group[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&format!("{prefix}{before}"), &group[start..], paths);
}

/// The paths a file names: those of its `use` statements, and those in its code that begin with a name it did not
/// bring in itself.
fn paths(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    let mut local = BTreeSet::new();
    let mut rest = String::new();
    for (n, part) in code.split(';').enumerate() {
        let from =
            part.rfind("use ").filter(|at| n == 0 || !part[*at..].contains('\n') || part.contains('{'));
        let is_use = from.is_some_and(|at| {
            let before = part[..at].lines().last().unwrap_or_default().trim();
            before.is_empty() || before.starts_with("pub")
        });
        match from {
            Some(at) if is_use => {
                rest.push_str(&part[..at]);
                let first = named.len();
                expand("", &part[at + 4..].replace('\n', " "), &mut named);
                local.extend(
                    named[first..].iter().filter_map(|path| path.rsplit("::").next().map(str::to_owned)),
                );
            }
            _ => {
                if let Some(module) = part.trim().rsplit_once("mod ").map(|(_, name)| name.trim()) {
                    local.insert(module.to_owned());
                }
                rest.push_str(part);
            }
        }
        rest.push(';');
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(at) = rest[from..].find("::").map(|at| from + at) {
        let start = rest[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        let end = rest[at..].find(|c| !is_word(c) && c != ':').map_or(rest.len(), |length| at + length);
        let head = &rest[start..at];
        if !head.is_empty() && !rest[..start].ends_with(':') && !local.contains(head) {
            named.push(rest[start..end].to_owned());
        }
        from = end.max(at + 2);
    }
    named
}

/// The module of ours or the crate that a path leads to, seen from a file `depth` modules below the crate's root.
fn target(path: &str, depth: usize) -> Option<String> {
    let mut segments = path.split("::").map(str::trim).peekable();
    let mut up = 0;
    let first = segments.next()?;
    match first {
        "crate" => segments.next().map(str::to_owned),
        "self" | "std" | "core" | "alloc" | "Self" => None,
        "super" => {
            up += 1;
            while segments.next_if_eq(&"super").is_some() {
                up += 1;
            }
            if up == depth { segments.next().map(str::to_owned) } else { None }
        }
        other => Some(other.to_owned()),
    }
}

/// What each module of the worker uses, with one file that does.
fn uses() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let base = root().join("worker/src");
    let mut files = Vec::new();
    sources(&base, &mut files);
    let mut uses: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for file in files {
        let below = file.strip_prefix(&base).expect("it was found there").with_extension("");
        let names: Vec<_> = below.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        // Tests may build what they test from anything.
        if names.iter().any(|name| name == "testing" || name.ends_with("tests")) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("sources are text");
        let module = uses.entry(names[0].clone()).or_default();
        for path in paths(&shipped(&text)) {
            if let Some(target) = target(&path, names.len()) {
                module.entry(target).or_insert_with(|| file.clone());
            }
        }
    }
    uses
}

fn dependencies(manifest: &str, table: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).expect("the manifest is there");
    let manifest: toml::Table = text.parse().expect("the manifest is TOML");
    let table = manifest.get(table).and_then(toml::Value::as_table);
    table.into_iter().flat_map(toml::Table::keys).map(|name| name.replace('-', "_")).collect()
}

#[test]
fn every_module_has_its_place_and_uses_only_what_is_below_it() {
    let mut wrong = Vec::new();
    let modules: BTreeSet<&str> = OURS.iter().map(|(name, _)| *name).chain(TOP.iter().copied()).collect();
    for (module, used) in uses() {
        if TOP.contains(&module.as_str()) {
            continue;
        }
        let Some((_, may)) = OURS.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{module} has no place in the table"));
            continue;
        };
        for (target, file) in used {
            let ours = modules.contains(target.as_str()) || target.starts_with("safeurl_");
            if ours && target != module && !may.contains(&target.as_str()) {
                wrong.push(format!("{module} uses {target} in {}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_foreign_crate_is_used_only_where_it_lives() {
    let mut wrong = Vec::new();
    for (module, used) in uses() {
        if TOP.contains(&module.as_str()) {
            continue;
        }
        for (target, file) in used {
            let Some((_, home)) = FOREIGN.iter().find(|(name, _)| *name == target) else { continue };
            let at_home = match home {
                Home::Everywhere => true,
                Home::NotPure => !PURE.contains(&module.as_str()),
                Home::Only(homes) => homes.contains(&module.as_str()),
            };
            if !at_home {
                wrong.push(format!("{module} uses {target} in {}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_of_the_worker_has_a_home() {
    let known: BTreeSet<_> = FOREIGN.iter().map(|(name, _)| (*name).to_owned()).collect();
    let there = dependencies("worker/Cargo.toml", "dependencies");
    let foreign: BTreeSet<_> = there.into_iter().filter(|name| !name.starts_with("safeurl_")).collect();
    let homeless: Vec<_> = foreign.difference(&known).collect();
    assert!(homeless.is_empty(), "in the manifest and not in the table: {homeless:?}");
}

#[test]
fn what_the_container_is_trusted_with_depends_on_next_to_nothing() {
    for (package, may) in CRATES {
        let there = dependencies(&format!("{package}/Cargo.toml"), "dependencies");
        assert_eq!(there, *may, "{package}");
    }
    let fetcher = dependencies("fetcher/Cargo.toml", "dependencies");
    assert!(!fetcher.iter().any(|name| name == "safeurl"), "the fetcher must not carry the worker");
}

#[test]
fn an_arrow_is_seen_however_it_is_written() {
    let code = shipped(
        "//! crate::in_a_comment\nuse std::{io, time::Duration};\nuse crate::{a::B, c::{D, E as F}};\npub use crate::g;\n\
         mod local;\nuse tokio::time;\nfn f() { crate::h::i(); local::x(); time::sleep(); bollard::Docker::new() }\n\
         use super::super::j::K;\nfn g(x: &libsql::Row) -> D { D::new() }\n#[cfg(test)]\nmod tests { use crate::z; }",
    );
    let found: BTreeSet<_> = paths(&code).iter().filter_map(|path| target(path, 2)).collect();
    let expected = ["a", "bollard", "c", "g", "h", "j", "libsql", "tokio"];
    assert_eq!(found, expected.map(str::to_owned).into());
}
