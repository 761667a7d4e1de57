//! Inline scripts: digest, size, and which suspicious constructs they hold.
//!
//! The names in [`TRAITS`] are part of the wire: rules refer to them. A trait is a hint for a rule, not a
//! verdict: honest pages decode base64 too. Looking is plain text search, nothing is run or unpacked.

mod constant;
mod redirect;
pub(crate) mod token;

pub(super) use redirect::{MAX_REDIRECTS, Scripts};

use safeurl_protocol::Script;
use sha2::{Digest as _, Sha256};

use super::dom::{Dom, NodeId};

/// A construct's name and the texts that show it; in scripts, case counts.
const TRAITS: [(&str, &[&str]); 14] = [
    ("eval", &["eval(", "eval (", "new Function(", "Function(\""]),
    ("unescape", &["unescape("]),
    ("fromCharCode", &["fromCharCode"]),
    ("atob", &["atob("]),
    ("document-write", &["document.write", "document['write']", "document[\"write\"]"]),
    (
        "location-assign",
        &[
            "location.href=",
            "location.href =",
            "location.replace(",
            "location.assign(",
            "window.location=",
            "window.location =",
            "document.location=",
            "document.location =",
            "top.location=",
        ],
    ),
    ("clipboard-write", &["clipboard.writeText", "execCommand('copy')", "execCommand(\"copy\")"]),
    (
        "keydown-listener",
        &["onkeydown", "'keydown'", "\"keydown\"", "onkeypress", "'keypress'", "\"keypress\""],
    ),
    ("contextmenu-block", &["oncontextmenu", "'contextmenu'", "\"contextmenu\""]),
    ("debugger", &["debugger"]),
    ("fetch-post", &["XMLHttpRequest", "sendBeacon", "$.ajax", "$.post", "fetch("]),
    ("blob-download", &["createObjectURL", "msSaveOrOpenBlob", "msSaveBlob"]),
    ("telegram-bot", &["api.telegram.org/bot"]),
    ("web-socket", &["new WebSocket("]),
];

/// Names that are found in any case.
const ANY_CASE: [(&str, &[&str]); 1] = [("powershell", &["powershell", "mshta ", "cmd.exe", "cmd /c"])];

/// So many `\xNN` or `\uNNNN` in one script are a disguise; a handful are accents.
const MANY_ESCAPES: usize = 50;

/// A run of base64 this long is a file or a program, not a key or an icon's digest.
const LONG_BASE64: usize = 1024;

/// More text than this is not searched; the digest covers all of it.
const SEARCHED_BYTES: usize = 1024 * 1024;

/// An inline script and its text.
#[derive(Debug)]
pub(super) struct Inline {
    pub(super) script: Script,
    /// As much of it as is searched.
    pub(super) text: String,
    pub(super) language: Language,
}

/// What an inline script holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// A browser runs it.
    Code,
    JsonLd,
    /// Any other data block.
    Data,
}

/// Describes an inline script element.
pub(super) fn inline(dom: &Dom, id: NodeId) -> Inline {
    let mut digest = Sha256::new();
    let mut size = 0u64;
    let mut text = String::new();
    for part in dom.below(id).filter_map(|id| dom.text(id)) {
        digest.update(part.as_bytes());
        size = size.saturating_add(part.len() as u64);
        let room = SEARCHED_BYTES.saturating_sub(text.len());
        text.push_str(crate::report::prefix(part, room));
    }
    let kind = dom.element(id).and_then(|element| element.attribute("type")).unwrap_or_default();
    let language = language(kind);
    let script = Script {
        src: None,
        inline_sha256: Some(crate::report::hex(&digest.finalize())),
        size: Some(size),
        traits: if language == Language::Code { traits(&text) } else { Vec::new() },
    };
    Inline { script, text, language }
}

/// By the type; data blocks are not searched for constructs.
fn language(kind: &str) -> Language {
    let kind = kind.trim().to_ascii_lowercase();
    if kind.is_empty() || kind == "module" || kind.contains("script") {
        Language::Code
    } else if kind.split(';').next().is_some_and(|essence| essence.trim() == "application/ld+json") {
        Language::JsonLd
    } else {
        Language::Data
    }
}

fn traits(text: &str) -> Vec<String> {
    let mut found: Vec<&str> = TRAITS
        .iter()
        .filter(|(_, marks)| marks.iter().any(|mark| holds(text, mark)))
        .map(|(name, _)| *name)
        .collect();
    let lower = text.to_ascii_lowercase();
    found.extend(
        ANY_CASE
            .iter()
            .filter(|(_, marks)| marks.iter().any(|mark| holds(&lower, mark)))
            .map(|(name, _)| *name),
    );
    if escapes(text) >= MANY_ESCAPES {
        found.push("hex-escapes");
    }
    if longest_base64(text) >= LONG_BASE64 {
        found.push("long-base64");
    }
    found.into_iter().map(str::to_owned).collect()
}

/// Whether `mark` stands in `text` other than as the end of a longer word.
fn holds(text: &str, mark: &str) -> bool {
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let word = mark.starts_with(in_word);
    text.match_indices(mark).any(|(at, _)| !(word && text[..at].ends_with(in_word)))
}

fn escapes(text: &str) -> usize {
    text.as_bytes()
        .windows(4)
        .filter(|at| {
            at[0] == b'\\' && matches!(at[1], b'x' | b'u') && at[2..].iter().all(u8::is_ascii_hexdigit)
        })
        .count()
}

fn longest_base64(text: &str) -> usize {
    text.as_bytes()
        .split(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')))
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_construct_is_named_once() {
        let text = "eval(atob('x')); eval(unescape(y)); document.write(String.fromCharCode(1)); debugger; \
                    location.replace(z); navigator.clipboard.writeText('PowerShell -w hidden')";
        assert_eq!(
            traits(text),
            [
                "eval",
                "unescape",
                "fromCharCode",
                "atob",
                "document-write",
                "location-assign",
                "clipboard-write",
                "debugger",
                "powershell",
            ]
        );
        assert_eq!(traits("let evaluation = document.title; retrieval(1)"), [""; 0]);
    }

    #[test]
    fn disguise_is_known_by_its_amount() {
        assert_eq!(traits(&"\\x41".repeat(MANY_ESCAPES)), ["hex-escapes"]);
        assert_eq!(traits(&"\\x41".repeat(MANY_ESCAPES - 1)), [""; 0]);
        assert_eq!(traits(&"QUJD".repeat(LONG_BASE64 / 4)), ["long-base64"]);
        assert_eq!(traits(&"\\".repeat(500)), [""; 0]);
    }

    #[test]
    fn data_blocks_are_not_searched() {
        for kind in ["", "text/JavaScript", " module "] {
            assert_eq!(language(kind), Language::Code, "{kind}");
        }
        assert_eq!(language("Application/LD+json; charset=utf-8"), Language::JsonLd);
        assert_eq!(language("text/template"), Language::Data);
    }
}
