//! Whole verdicts on whole pages.

use safeurl_protocol::ErrorClass;
use safeurl_protocol::RedirectKind::Http;

use super::{file, page};
use crate::analysis::sample::Sample;
use crate::domain::verdict::{Category, VerdictState};

#[test]
fn verdicts_on_whole_pages() {
    use VerdictState::{Benign, Malicious, Suspicious, Unknown};
    let cases: [(&str, Sample, VerdictState); 12] = [
        ("an article", Sample::page("https://harbour.example/a"), Benign),
        (
            "a login on its own site, by plain http on a test port",
            page("http://harbour.example:8080/login", |s| {
                s.title("Harbour: log in").login("http://harbour.example:8080/session");
            }),
            Benign,
        ),
        (
            "a brand's login that posts elsewhere",
            page("https://paypal-check.example/", |s| {
                s.title("PayPal: log in").login("https://collector.example/p");
            }),
            Malicious,
        ),
        (
            "a brand's login on free hosting, posting to itself",
            page("https://x.pages.dev/", |s| {
                s.title("Microsoft account").login("https://x.pages.dev/p");
            }),
            Suspicious,
        ),
        (
            "a program called invoice.pdf",
            Sample::file("https://harbour.example/invoice.pdf", "application/x-msdownload"),
            Malicious,
        ),
        (
            "an installer",
            Sample::file("https://harbour.example/setup.exe", "application/x-msdownload"),
            Unknown,
        ),
        (
            "a program from a bare address",
            file("http://192.0.2.7:34567/i", "application/x-elf", |_| {}),
            Malicious,
        ),
        (
            "a redirect to the metadata address, refused",
            page("https://harbour.example/", |s| {
                let metadata = "http://169.254.169.254/latest/";
                s.redirects(Http, metadata).hop(metadata, None).error(ErrorClass::EgressDenied);
            }),
            Malicious,
        ),
        (
            "a challenge page",
            page("https://harbour.example/", |s| {
                s.title("Just a moment...").last().status = Some(403);
            }),
            Unknown,
        ),
        ("nothing", page("https://harbour.example/", |s| s.report.content = None), Unknown),
        (
            "words that smell, but nothing strong",
            Sample::page(
                "http://secure-login-update.account-verify.xyz:8080/wp-includes/index.php?e=jo@corp.example",
            ),
            Suspicious,
        ),
        ("a lying container", page("https://harbour.example/", |s| s.last().connection = Some(9)), Malicious),
    ];
    for (what, sample, state) in cases {
        let verdict = sample.judged();
        assert_eq!(verdict.state, state, "{what}: {} {:?}", verdict.risk_score.get(), verdict.findings);
    }
}

#[test]
fn a_verdict_tells_its_reasons_in_order() {
    let verdict = page("https://harbour.example/", |s| {
        s.title("PayPal: log in\u{202e}").login("https://collector.example/p");
    })
    .judged();
    assert_eq!(verdict.brands, ["PayPal"]);
    assert_eq!(verdict.categories, [Category::Phishing]);
    assert_eq!(verdict.findings[0].rule_id, "brand-login-elsewhere");
    assert_eq!(
        verdict.reasoning,
        "This link is dangerous. The page shows the login of a brand whose site this is not (PayPal on \
         harbour.example: PayPal: log in\\u{202e}). A password typed here goes to another site \
         (https://collector.example/p)."
    );
}

#[test]
fn an_honest_redirect_chain_over_three_sites_is_no_offence() {
    let verdict = page("http://one.example/", |s| {
        for url in [
            "http://one.example/a",
            "http://two.example/",
            "http://two.example/a",
            "http://three.example/",
            "http://three.example/end",
        ] {
            s.redirected(Http, url);
        }
    })
    .judged();
    assert_eq!(verdict.state, VerdictState::Benign, "{:?}", verdict.findings);
}

#[test]
fn confidence_falls_with_what_was_not_seen_and_with_a_threshold_near() {
    let clear = Sample::page("https://harbour.example/").judged();
    let near = page("http://harbour.example:8080/", |s| {
        s.login("http://harbour.example:8080/").form("http://harbour.example:8080/", &["ssn:text"]);
    })
    .judged();
    let unseen = page("https://harbour.example/", |s| s.report.content = None).judged();
    let critical = Sample::file("https://harbour.example/invoice.pdf", "application/x-msdownload").judged();
    assert_eq!((clear.state, unseen.state), (VerdictState::Benign, VerdictState::Unknown));
    assert!(clear.confidence > near.confidence, "{} {}", clear.confidence, near.confidence);
    assert!(near.confidence > unseen.confidence, "{} {}", near.confidence, unseen.confidence);
    assert!((0.9..1.0).contains(&critical.confidence), "{}", critical.confidence);
}

#[test]
fn what_is_unknown_says_why() {
    let verdict = page("https://harbour.example/", |s| s.last().status = Some(404)).judged();
    assert_eq!(
        verdict.reasoning,
        "Too little was seen to judge this link. The server reported an error (status 404)."
    );
    assert!(verdict.categories.is_empty());
}
