//! Cases of the rules about addresses, redirects and certificates.

use safeurl_protocol::ErrorClass;
use safeurl_protocol::RedirectKind::{Http, Meta};

use super::{Pair, page};
use crate::analysis::sample::{NOW, Sample};

const SITE: &str = "https://harbour.example/";

fn at(url: &str) -> Sample {
    Sample::page(url)
}

pub(super) const PAIRS: &[Pair] = &[
    ("url-ip-host", || at("http://192.0.2.7/"), || at("http://192.168.2.7/")),
    ("url-hidden-address", || at("http://0xc0000207/"), || at("http://192.0.2.7/")),
    ("url-punycode", || at("https://bücher.example/"), || at("https://buecher.example/")),
    ("url-mixed-script", || at("https://pаypal.example/"), || at("https://bücher.example/")),
    ("url-brand-lookalike", || at("https://paypa1.example/"), || at("https://payroll.example/")),
    ("url-brand-slip", || at("https://paypall.example/"), || at("https://paypal.example/")),
    ("url-brand-in-host", || at("https://paypal.harbour.example/"), || at("https://www.paypal.com/")),
    (
        "url-brand-in-path",
        || at("https://harbour.example/paypal/x.html"),
        || at("https://harbour.example/a/paypal"),
    ),
    (
        "url-many-subdomains",
        || at("https://a.b.c.harbour.example/"),
        || at("https://www.b.c.harbour.example/"),
    ),
    ("url-userinfo", || at("https://www.bank.example@harbour.example/"), || at("https://harbour.example/@a")),
    ("url-abused-tld", || at("https://harbour.icu/"), || at("https://icu.example/")),
    ("url-odd-port", || at("https://harbour.example:8443/"), || at("https://harbour.example:443/")),
    (
        "url-long-host",
        || at("https://the-very-long-name-of-a-harbour-nobody-knows.example/"),
        || at("https://the-very-long-name-of-a-harbour.example/"),
    ),
    ("url-long", || at(&format!("{SITE}{}", "a".repeat(230))), || at(&format!("{SITE}{}", "a".repeat(220)))),
    ("url-random-host", || at("https://a3f09c1b77de.example/"), || at("https://international.example/")),
    (
        "url-program-name",
        || at("https://harbour.example/setup.exe"),
        || at("https://harbour.example/exe/setup"),
    ),
    ("url-shortener", || at("https://bit.ly/x"), || at("https://rabbit.ly/x")),
    ("url-free-hosting", || at("https://x.pages.dev/"), || at("https://pages.developer.example/")),
    ("url-dynamic-dns", || at("https://x.duckdns.org/"), || at("https://duckdns.org.example/")),
    ("url-credential-word", || at("https://login.harbour.example/"), || at("https://harbour.example/login")),
    ("url-credential-words", || at("https://secure-login.example/"), || at("https://login.harbour.example/")),
    ("url-many-hyphens", || at("https://a-b-c-d.example/"), || at("https://a-b-c.d-e.f-g.example/")),
    (
        "url-embedded-url",
        || at("https://harbour.example/?to=https%3A%2F%2Fa.example"),
        || at("https://harbour.example/?to=a"),
    ),
    (
        "url-mail-address",
        || at("https://harbour.example/?e=jo@corp.example"),
        || at("https://harbour.example/@jo/x"),
    ),
    (
        "url-system-folder",
        || at("https://harbour.example/wp-includes/x/index.php"),
        || at("https://harbour.example/wp-includes/x.css"),
    ),
    ("redirect-many", || chain(5), || chain(4)),
    (
        "redirect-many-sites",
        || sites(&["https://b.example/", "https://c.example/", "https://d.example/"]),
        || sites(&["https://b.example/", "https://c.example/", "https://www.c.example/"]),
    ),
    ("redirect-off-site", || sites(&["https://b.example/"]), || sites(&["https://www.harbour.example/"])),
    (
        "redirect-metadata",
        || {
            page(SITE, |s| {
                s.redirects(Http, "http://169.254.169.254/latest/meta-data/");
            })
        },
        || sites(&["https://169-254-169-254.example/"]),
    ),
    (
        "redirect-private",
        || {
            page(SITE, |s| {
                s.redirects(Http, "http://192.168.1.1/admin");
            })
        },
        || {
            page("http://127.0.0.1:8080/", |s| {
                s.redirects(Http, "http://127.0.0.1:8080/x");
            })
        },
    ),
    (
        "redirect-scheme",
        || {
            page(SITE, |s| {
                s.redirects(Http, "file:///etc/passwd");
            })
        },
        || sites(&["http://harbour.example/x"]),
    ),
    ("redirect-downgrade", || sites(&["http://harbour.example/"]), || sites(&["https://harbour.example/x"])),
    (
        "redirect-loop",
        || {
            page(SITE, |s| {
                s.error(ErrorClass::RedirectLoop);
            })
        },
        || {
            page(SITE, |s| {
                s.error(ErrorClass::TooManyRedirects);
            })
        },
    ),
    (
        "redirect-from-page",
        || {
            page(SITE, |s| {
                s.redirected(Meta, "https://b.example/");
            })
        },
        || {
            page(SITE, |s| {
                s.redirected(Meta, "https://www.harbour.example/");
            })
        },
    ),
    ("tls-expired", || unverified("certificate expired", 0, -1), || at(SITE)),
    (
        "tls-name-mismatch",
        || unverified("certificate not valid for name harbour.example", 0, 9),
        || unverified("certificate expired; not valid for name", 0, -1),
    ),
    (
        "tls-self-signed",
        || {
            page(SITE, |s| {
                let tls = s.tls();
                tls.verified = false;
                tls.issuer.clone_from(&tls.subject);
            })
        },
        || unverified("unknown issuer", 0, 9),
    ),
    ("tls-untrusted", || unverified("unknown issuer", 0, 9), || at(SITE)),
    (
        "tls-young",
        || page(SITE, |s| s.tls().valid_from = Some(NOW - 86_400)),
        || page(SITE, |s| s.tls().valid_from = Some(NOW - 9 * 86_400)),
    ),
];

fn chain(length: usize) -> Sample {
    page(SITE, |s| {
        for n in 0..length {
            s.redirected(Http, &format!("{SITE}{n}"));
        }
    })
}

fn sites(urls: &[&str]) -> Sample {
    page(SITE, |s| {
        for url in urls {
            s.redirected(Http, url);
        }
    })
}

fn unverified(why: &str, from_days: i64, to_days: i64) -> Sample {
    page(SITE, |s| {
        let tls = s.tls();
        tls.verified = false;
        tls.error = Some(why.into());
        tls.valid_from = Some(NOW - 90 * 86_400 + from_days * 86_400);
        tls.valid_to = Some(NOW + to_days * 86_400);
    })
}
