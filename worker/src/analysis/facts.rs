//! What can be seen of a fetch, by name: how often, and where. Facts do not judge; rules do.
//!
//! Each group of facts has a file of its own. Evidence is text of an attacker: it is shortened and its control
//! characters are escaped here, once for all groups.

mod address;
mod brand;
mod disguise;
mod download;
mod form;
mod identity;
mod ledger;
mod page;
mod redirect;
mod script;
mod tls;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::case::Case;

/// Pieces of evidence kept for one fact; further ones are only counted.
const MAX_PIECES: usize = 5;

/// Longest piece of evidence, in characters.
const MAX_CHARACTERS: usize = 200;

/// Declares the facts once: the enum, the list of all, and the names rules use.
macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Something that can be seen; `=` gives the name that rules use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub(super) enum Fact {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Fact {
            /// All of them.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that rules use.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

facts! {
    /// A public address; inside a network they are common.
    UrlIpHost = "url-ip-host",
    /// An address written so that a person does not see that it is one.
    UrlHiddenAddress = "url-hidden-address",
    UrlPunycode = "url-punycode",
    UrlMixedScript = "url-mixed-script",
    /// A name that looks like a brand's but is not.
    UrlBrandLookalike = "url-brand-lookalike",
    UrlBrandSlip = "url-brand-slip",
    UrlBrandInHost = "url-brand-in-host",
    UrlBrandInPath = "url-brand-in-path",
    /// Counts labels in front of the registrable domain.
    UrlSubdomains = "url-subdomains",
    UrlUserinfo = "url-userinfo",
    UrlAbusedTld = "url-abused-tld",
    UrlOddPort = "url-odd-port",
    /// Counts characters of the host.
    UrlHostLength = "url-host-length",
    /// Counts characters of the URL.
    UrlLength = "url-length",
    UrlRandomHost = "url-random-host",
    UrlProgramName = "url-program-name",
    UrlShortener = "url-shortener",
    UrlFreeHosting = "url-free-hosting",
    UrlDynamicDns = "url-dynamic-dns",
    UrlCredentialWords = "url-credential-words",
    /// Counts hyphens of one label.
    UrlHyphens = "url-hyphens",
    UrlEmbedsUrl = "url-embeds-url",
    UrlMailAddress = "url-mail-address",
    /// A page inside the program folders of a content management system.
    UrlSystemFolder = "url-system-folder",

    /// Counts redirects.
    RedirectCount = "redirect-count",
    /// Counts sites beyond the first.
    RedirectSites = "redirect-sites",
    RedirectMetadata = "redirect-metadata",
    RedirectPrivate = "redirect-private",
    RedirectScheme = "redirect-scheme",
    RedirectDowngrade = "redirect-downgrade",
    RedirectLoop = "redirect-loop",
    /// A page that answers 200 and then sends the visitor to another site.
    RedirectFromPage = "redirect-from-page",

    TlsExpired = "tls-expired",
    TlsNameMismatch = "tls-name-mismatch",
    TlsSelfSigned = "tls-self-signed",
    TlsUntrusted = "tls-untrusted",
    TlsYoung = "tls-young",

    FormPasswordOffSite = "form-password-off-site",
    FormPasswordPlain = "form-password-plain",
    FormToAddress = "form-to-address",
    FormToMail = "form-to-mail",
    FormToCollector = "form-to-collector",
    /// A secret is asked for in a field that shows what is typed.
    FormSecretShown = "form-secret-shown",
    /// What is typed goes to a script with a name that kits use.
    FormToKitScript = "form-to-kit-script",
    FormCard = "form-card",
    FormCardPlain = "form-card-plain",
    FormIdentity = "form-identity",
    FormSeedPhrase = "form-seed-phrase",
    /// Counts hidden fields of one form.
    FormHiddenFields = "form-hidden-fields",

    BrandLoginElsewhere = "brand-login-elsewhere",
    BrandAssetsElsewhere = "brand-assets-elsewhere",
    BrandOwnSite = "brand-own-site",
    /// The page asks for secrets and says that it belongs to a brand.
    BrandOwnerElsewhere = "brand-owner-elsewhere",
    /// The page asks for nothing yet and goes by a brand's name.
    BrandPresentsItself = "brand-presents-itself",
    /// The page says that it was saved from a brand's site.
    BrandCopied = "brand-copied",
    PageCopiedLogin = "page-copied-login",
    /// The page asks for secrets and names neither its site nor an owner that fits.
    PageNobodyVouches = "page-nobody-vouches",
    PageInsidePage = "page-inside-page",
    PageSaysOtherSite = "page-says-other-site",

    ScriptObfuscated = "script-obfuscated",
    ScriptWritesPage = "script-writes-page",
    ScriptClipboardCommand = "script-clipboard-command",
    ScriptCommand = "script-command",
    /// Debugger traps, or menu and keys taken away together.
    ScriptFightsInspection = "script-fights-inspection",
    /// A login page's script that talks to a chat bot.
    ScriptChatBot = "script-chat-bot",
    /// A script that decodes a file and hands it over as a download.
    ScriptSmugglesFile = "script-smuggles-file",
    ScriptMovesOn = "script-moves-on",
    /// An empty page's script would send visitors to another site.
    ScriptLeavesSite = "script-leaves-site",

    DownloadProgram = "download-program",
    DownloadScript = "download-script",
    DownloadArchive = "download-archive",
    DownloadDisguised = "download-disguised",
    DownloadDoubleEnding = "download-double-ending",
    /// Marks of direction or a run of spaces, so that a person sees another ending.
    DownloadHiddenEnding = "download-hidden-ending",
    DownloadNameMismatch = "download-name-mismatch",
    DownloadDiscImage = "download-disc-image",
    DownloadMacros = "download-macros",
    DownloadFromAddress = "download-from-address",
    DownloadPlain = "download-plain",

    FrameHidden = "frame-hidden",
    /// Counts links of a login page that lead nowhere.
    LinksDead = "links-dead",
    LinksElsewhere = "links-elsewhere",
    /// Letters of several scripts in one word of the title, or in several of the text.
    PageMixedScript = "page-mixed-script",
    PageDisguisedWords = "page-disguised-words",
    PageRunCommand = "page-run-command",
    PageScare = "page-scare",
    PageGiveaway = "page-giveaway",
    PageAccountThreat = "page-account-threat",
    PageWallet = "page-wallet",
    PageCopied = "page-copied",
    /// Counts words of a page that asks for no password.
    PageText = "page-text",

    LedgerDenied = "ledger-denied",
    LedgerDisagrees = "ledger-disagrees",
    LedgerUnreported = "ledger-unreported",
    LedgerBudget = "ledger-budget",

    NoContent = "no-content",
    StatusError = "status-error",
    ContentTruncated = "content-truncated",
    ChainBroken = "chain-broken",
    FileNotOpened = "file-not-opened",
    PageEmpty = "page-empty",
    PageNeedsScript = "page-needs-script",
    PageChallenge = "page-challenge",
    PageParked = "page-parked",
    PageTakenDown = "page-taken-down",
    PageDefault = "page-default",
}

/// How often a fact was seen, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) count: u64,
    pub(super) evidence: Vec<String>,
}

/// Everything seen of one fetch.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    seen: BTreeMap<Fact, Seen>,
    brands: BTreeSet<String>,
}

impl Facts {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let mut facts = Self::default();
        address::add(case, &mut facts);
        redirect::add(case, &mut facts);
        tls::add(case, &mut facts);
        form::add(case, &mut facts);
        brand::add(case, &mut facts);
        identity::add(case, &mut facts);
        disguise::add(case, &mut facts);
        script::add(case, &mut facts);
        download::add(case, &mut facts);
        page::add(case, &mut facts);
        ledger::add(case, &mut facts);
        facts
    }

    pub(super) fn seen(&self, fact: Fact) -> Option<&Seen> {
        self.seen.get(&fact)
    }

    /// Names of the brands that addresses or the page speak of.
    pub(super) fn brands(&self) -> Vec<String> {
        self.brands.iter().cloned().collect()
    }

    fn brand(&mut self, name: &str) {
        self.brands.insert(name.to_owned());
    }

    /// Counts one sighting. The same evidence counts once.
    fn see(&mut self, fact: Fact, evidence: impl AsRef<str>) {
        let seen = self.seen.entry(fact).or_default();
        let piece = shown(evidence.as_ref());
        if seen.evidence.contains(&piece) {
            return;
        }
        seen.count += 1;
        if seen.evidence.len() < MAX_PIECES {
            seen.evidence.push(piece);
        }
    }

    /// Raises a fact that is a quantity to `count`, unless a larger one was seen.
    fn measure(&mut self, fact: Fact, count: u64, evidence: impl AsRef<str>) {
        let seen = self.seen.entry(fact).or_default();
        if count > seen.count {
            *seen = Seen { count, evidence: vec![shown(evidence.as_ref())] };
        }
    }
}

/// Text of an attacker as a person may safely read it: short, and with nothing that moves a cursor or turns
/// the direction of writing.
fn shown(text: &str) -> String {
    let mut safe = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == MAX_CHARACTERS {
            safe.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Characters that change how others are shown: directions, joiners, tags, variation selectors.
const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_short_and_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\u{a}");
        assert_eq!(shown(&"é".repeat(300)).chars().count(), MAX_CHARACTERS + 1);
    }

    #[test]
    fn the_same_evidence_counts_once_and_only_some_is_kept() {
        let mut facts = Facts::default();
        for piece in ["a", "a", "b", "c", "d", "e", "f"] {
            facts.see(Fact::UrlPunycode, piece);
        }
        let seen = facts.seen(Fact::UrlPunycode).expect("it was seen");
        assert_eq!((seen.count, seen.evidence.len()), (6, MAX_PIECES));
    }

    #[test]
    fn a_quantity_keeps_the_largest() {
        let mut facts = Facts::default();
        for count in [3, 9, 4] {
            facts.measure(Fact::UrlLength, count, format!("{count}"));
        }
        let seen = facts.seen(Fact::UrlLength).expect("it was measured");
        assert_eq!((seen.count, seen.evidence.as_slice()), (9, ["9".to_owned()].as_slice()));
    }

    #[test]
    fn every_fact_has_the_name_rules_use() {
        for fact in Fact::ALL {
            let text = format!("fact = \"{}\"", fact.name());
            let read: BTreeMap<String, Fact> = toml::from_str(&text).expect("a known name");
            assert_eq!(read.get("fact"), Some(fact));
        }
    }
}
