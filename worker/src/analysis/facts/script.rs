//! What the page's own scripts are made of, by the traits that the fetcher names.

use safeurl_protocol::Script;

use super::{Fact, Facts};
use crate::analysis::case::Case;

/// Fewer words than this: the page is there to send the visitor on.
pub(super) const HARDLY_ANY_WORDS: u64 = 10;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let Some(features) = case.features() else { return };
    for script in &features.scripts {
        let has = |name: &str| script.traits.iter().any(|own| own == name);
        let hides = ["unescape", "fromCharCode", "atob", "hex-escapes", "long-base64"]
            .iter()
            .filter(|name| has(name))
            .count();
        if has("eval") && hides >= 2 {
            facts.see(Fact::ScriptObfuscated, named(script));
        }
        if has("document-write") && hides >= 1 {
            facts.see(Fact::ScriptWritesPage, named(script));
        }
        if has("powershell") {
            let fact =
                if has("clipboard-write") { Fact::ScriptClipboardCommand } else { Fact::ScriptCommand };
            facts.see(fact, named(script));
        }
        if has("debugger") || (has("contextmenu-block") && has("keydown-listener")) {
            facts.see(Fact::ScriptFightsInspection, named(script));
        }
        if has("telegram-bot") && case.asks_password() {
            facts.see(Fact::ScriptChatBot, named(script));
        }
        if has("blob-download") && (has("atob") || has("long-base64")) {
            facts.see(Fact::ScriptSmugglesFile, named(script));
        }
        if has("location-assign") && case.words() < HARDLY_ANY_WORDS && features.forms.is_empty() {
            facts.see(Fact::ScriptMovesOn, named(script));
        }
    }
}

/// An inline script by its digest and what it does.
fn named(script: &Script) -> String {
    let digest = script.inline_sha256.as_deref().unwrap_or("script");
    let short: String = digest.chars().take(12).collect();
    format!("{short}: {}", script.traits.join(", "))
}
