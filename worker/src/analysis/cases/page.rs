//! Cases of the rules about what a page asks, says and does, and of what is too thin.

use safeurl_protocol::{Embedded, EmbeddedKind, ErrorClass, PossibleRedirect, RedirectMeans};

use super::{Pair, page};
use crate::analysis::sample::Sample;

const SITE: &str = "https://harbour.example/";
const PLAIN: &str = "http://harbour.example/";
const ELSEWHERE: &str = "https://collector.example/post";

/// A page at [`SITE`].
fn here(change: impl FnOnce(&mut Sample)) -> Sample {
    page(SITE, change)
}

/// Applies builder calls that return the sample.
macro_rules! with {
    ($site:expr, $($call:tt)+) => { || page($site, |s| { s.$($call)+; }) };
}

/// A page with one comment in it.
fn comment(text: &str) -> Sample {
    here(|s| s.features().comments.push(text.into()))
}

/// A page with a document in an address.
fn embedded(kind: &str) -> Sample {
    here(|s| {
        s.features().embedded.push(Embedded {
            kind: EmbeddedKind::Data,
            element: "iframe".into(),
            mime_type: Some(kind.into()),
            size: Some(4000),
            sha256: None,
        });
    })
}

/// A page of hardly any words whose script would lead there.
fn leads(to: &str) -> Sample {
    here(|s| {
        s.text(3, "");
        let redirect = PossibleRedirect { to: to.into(), by: RedirectMeans::Location };
        s.features().possible_redirects.push(redirect);
    })
}

pub(super) const PAIRS: &[Pair] = &[
    (
        "form-password-off-site",
        with!(SITE, login(ELSEWHERE)),
        with!(SITE, login("https://id.harbour.example/")),
    ),
    ("form-password-plain", with!(PLAIN, login(PLAIN)), with!(SITE, login(SITE))),
    ("form-to-address", with!(SITE, login("http://192.0.2.9/p")), with!(SITE, login(ELSEWHERE))),
    (
        "form-to-mail",
        with!(SITE, login("mailto:a@b.example")),
        with!(SITE, form("mailto:a@b.example", &["q:text"])),
    ),
    (
        "form-to-collector",
        with!(SITE, form("https://api.telegram.org/bot1/sendMessage", &["mail:email"])),
        with!(SITE, form("https://api.telegram.org/bot1/sendMessage", &["q:text"])),
    ),
    (
        "form-card",
        with!(SITE, form(SITE, &["card_number:text"])),
        with!(SITE, form(SITE, &["card_number:hidden"])),
    ),
    (
        "form-secret-shown",
        with!(SITE, form(SITE, &["user:text", "pass-word:text"])),
        with!(SITE, login(SITE).form(SITE, &["password:text"])),
    ),
    (
        "form-to-kit-script",
        with!(SITE, login("https://harbour.example/a/post.php")),
        with!(SITE, login("https://harbour.example/a/login.php")),
    ),
    ("form-card-plain", with!(PLAIN, form(PLAIN, &["cvv:tel"])), with!(SITE, form(SITE, &["cvv:tel"]))),
    ("form-identity", with!(SITE, form(SITE, &["SSN:text"])), with!(SITE, form(SITE, &["lesson:text"]))),
    (
        "form-seed-phrase",
        with!(SITE, text(30, "Enter your recovery phrase").form(SITE, &["words:textarea"])),
        with!(SITE, text(30, "Never share your recovery phrase").form(SITE, &["q:text"])),
    ),
    (
        "form-hidden-fields",
        with!(SITE, form(SITE, &["x:hidden"; 40])),
        with!(SITE, form(SITE, &["x:hidden"; 39])),
    ),
    (
        "brand-login-elsewhere",
        with!(SITE, title("PayPal: log in").login(SITE)),
        with!("https://www.paypal.com/", title("PayPal: log in").login("https://www.paypal.com/")),
    ),
    (
        "brand-assets-elsewhere",
        with!(
            SITE,
            login(SITE).links(3, "https://www.paypal.com/help").links(2, "https://harbour.example/a")
        ),
        with!(
            SITE,
            login(SITE).links(3, "https://www.paypal.com/help").links(3, "https://harbour.example/a")
        ),
    ),
    ("brand-own-site", || Sample::page("https://www.paypal.com/"), || Sample::page("http://www.paypal.com/")),
    (
        "brand-owner-elsewhere",
        with!(SITE, text(40, "Log in. © 2024 PayPal, Inc.").login(SITE)),
        with!(SITE, text(40, "Log in. © 2024 Harbour. Pay by PayPal.").login(SITE)),
    ),
    (
        "thin-brand-presents-itself",
        with!(SITE, title("MetaMask - A wallet").text(40, "")),
        with!(SITE, title("Why we no longer use MetaMask").text(40, "")),
    ),
    (
        "thin-nobody-vouches",
        with!(SITE, title("Sign in").text(40, "User Password").login(SITE)),
        with!(SITE, title("Sign in").text(40, "The HARBOUR, open all day").login(SITE)),
    ),
    (
        "brand-copied",
        || comment("saved from url=(0022)https://www.paypal.com/signin"),
        || comment("saved from url=(0022)https://harbour.example/signin"),
    ),
    (
        "page-copied-login",
        || {
            let mut sample = comment("Mirrored from bank.example/login by HTTrack");
            sample.login(SITE);
            sample
        },
        || comment("Mirrored from bank.example/login by HTTrack"),
    ),
    ("page-inside-page", || embedded("text/html"), || embedded("image/svg+xml")),
    (
        "page-says-other-site",
        || here(|s| s.login(SITE).features().canonical = Some("https://bank.example/login".into())),
        || here(|s| s.features().canonical = Some("https://bank.example/login".into())),
    ),
    (
        "script-obfuscated",
        with!(SITE, script(&["eval", "atob", "long-base64"])),
        with!(SITE, script(&["eval", "atob"])),
    ),
    (
        "script-writes-page",
        with!(SITE, script(&["document-write", "unescape"])),
        with!(SITE, script(&["document-write"])),
    ),
    (
        "script-clipboard-command",
        with!(SITE, script(&["clipboard-write", "powershell"])),
        with!(SITE, script(&["clipboard-write"]).script(&["powershell"])),
    ),
    ("script-command", with!(SITE, script(&["powershell"])), with!(SITE, script(&["clipboard-write"]))),
    (
        "script-chat-bot",
        with!(SITE, login(SITE).script(&["telegram-bot"])),
        with!(SITE, script(&["telegram-bot"])),
    ),
    (
        "script-smuggles-file",
        with!(SITE, script(&["blob-download", "long-base64"])),
        with!(SITE, script(&["blob-download"]).script(&["long-base64"])),
    ),
    (
        "script-fights-inspection",
        with!(SITE, script(&["debugger"])),
        with!(SITE, script(&["contextmenu-block"])),
    ),
    (
        "script-moves-on",
        with!(SITE, text(2, "").script(&["location-assign"])),
        with!(SITE, text(80, "").script(&["location-assign"])),
    ),
    ("script-leaves-site", || leads("https://b.example/"), || leads("https://www.harbour.example/")),
    (
        "frame-hidden",
        with!(SITE, frame("https://tracker.example/", true)),
        with!(
            SITE,
            frame("https://tracker.example/", false).frame("https://www.googletagmanager.com/ns", true)
        ),
    ),
    (
        "links-dead",
        with!(SITE, login(SITE).links(5, "https://harbour.example/#").links(4, "https://harbour.example/a")),
        with!(SITE, login(SITE).links(5, "https://harbour.example/#").links(5, "https://harbour.example/a")),
    ),
    (
        "links-elsewhere",
        with!(SITE, login(SITE).links(5, "https://bank.example/a").links(2, "https://harbour.example/a")),
        with!(SITE, login(SITE).links(5, "https://bank.example/a").links(3, "https://harbour.example/a")),
    ),
    (
        "page-mixed-script",
        with!(SITE, title("Βаncа Login")),
        with!(SITE, title("Банка").text(40, "One slip: мaгазин")),
    ),
    (
        "page-disguised-words",
        with!(SITE, text(40, "BT ID or Email address Passvvord")),
        with!(SITE, text(40, "Mot de passe, accès, sécurité")),
    ),
    (
        "thin-wallet",
        with!(SITE, text(40, "Connect to a wallet")),
        with!(SITE, text(900, "Then they connect your wallet")),
    ),
    (
        "page-run-command",
        with!(SITE, text(40, "To verify press Windows key + R, then press Ctrl + V and Enter")),
        with!(SITE, text(40, "Press Ctrl + V to paste")),
    ),
    (
        "page-scare",
        with!(SITE, text(40, "WARNING: your computer has been infected")),
        with!(SITE, text(900, "They are told: your computer has been infected")),
    ),
    (
        "page-giveaway",
        with!(SITE, text(40, "Official giveaway: send 1 ETH and get 2 ETH back")),
        with!(SITE, text(40, "The giveaway of old books starts at noon")),
    ),
    (
        "page-account-threat",
        with!(SITE, text(40, "Your mailbox has been suspended. Verify your account.")),
        with!(SITE, text(40, "Create your account.")),
    ),
    (
        "page-copied",
        || here(|s| drop(s.features().meta.insert("generator".into(), "HTTrack 3.49".into()))),
        || here(|s| drop(s.features().meta.insert("generator".into(), "Hugo".into()))),
    ),
    ("page-much-text", with!(SITE, text(400, "")), with!(SITE, text(400, "").login(SITE))),
    ("thin-no-content", || here(|s| s.report.content = None), || Sample::page(SITE)),
    ("thin-status-error", || here(|s| s.last().status = Some(404)), || here(|s| s.last().status = Some(204))),
    ("thin-truncated", with!(SITE, error(ErrorClass::Body)), with!(SITE, error(ErrorClass::RedirectRefused))),
    (
        "thin-chain-broken",
        with!(SITE, error(ErrorClass::RedirectRefused)),
        with!(SITE, error(ErrorClass::Body)),
    ),
    ("thin-empty-page", with!(SITE, text(4, "")), with!(SITE, text(5, ""))),
    (
        "thin-scripted-page",
        with!(SITE, text(19, "").script(&[])),
        with!(SITE, text(19, "").script(&[]).login(SITE)),
    ),
    ("thin-challenge", with!(SITE, title("Just a moment...")), with!(SITE, title("In just a moment"))),
    ("thin-parked", with!(SITE, text(20, "Buy this domain")), with!(SITE, text(20, "Buy this book"))),
    ("thin-taken-down", with!(SITE, title("Account Suspended")), with!(SITE, title("Suspended animation"))),
    (
        "thin-default-page",
        with!(SITE, title("Welcome to nginx!")),
        with!(SITE, title("Welcome to the harbour")),
    ),
];
