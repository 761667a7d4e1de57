//! Real pages, read as the container reads them and judged by the embedded rules: what comes out for pages of
//! phishing, for pages of large sites, for honest login forms and for articles.
//!
//! The collections hold few addresses. Where the index has one it is used; a benign page of the phishing collection
//! and an article carry their site in their name (`4_boards_greenhouse_io`, `bmel.de-zukunftsforum`), an honest form
//! in the index's `site`; where an honest page says itself where it is (canonical link, `og:url`), that is believed
//! first. A phishing page has none: it is judged at [`NOWHERE`], an address that says nothing, which is the hardest
//! case, since the address is what most often gives such a page away.
//!
//! What is demanded is that honest pages are left alone. What is caught is counted and printed.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

#[path = "tally.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "it finds the collections; there is no one right verdict to tally"
)]
mod tally;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use safeurl::analysis::{Rules, judge};
use safeurl::domain::document::{Evidence, Ledger};
use safeurl::domain::target::Target;
use safeurl::domain::timestamp::Timestamp;
use safeurl::domain::verdict::{Verdict, VerdictState};
use safeurl_protocol::{Exchange, Features, Report, SCHEMA, Timings, Tls, Usage};

/// Where a page is said to be that came without an address.
const NOWHERE: &str = "https://sjelvik.example/";

/// Of a hundred harmless pages, so many may look suspicious.
const SUSPICIOUS_PER_HUNDRED: usize = 2;

/// Of a hundred phishing pages at an address that says nothing, at most so many may be called harmless.
const MISSED_PER_HUNDRED: usize = 25;

/// One page of a collection.
struct Page {
    class: &'static str,
    file: String,
    url: String,
    harmless: bool,
}

/// The rows of an index as maps by the names in its first line.
fn index(path: &str) -> Vec<BTreeMap<String, String>> {
    let text = tally::text(path);
    let mut lines = text.lines().map(fields);
    let names = lines.next().expect("an index has a first line");
    lines.map(|values| names.iter().cloned().zip(values).collect()).collect()
}

/// The fields of one line; a title may hold commas and doubled quotes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().expect("there is one").push(other),
        }
    }
    fields
}

/// `4_boards_greenhouse_io` is a page of `boards.greenhouse.io`; what stands after the name of a site is its path.
fn site_in(id: &str) -> String {
    let name = id.split_once('_').map_or(id, |(_, name)| name).trim_end_matches('_').replace('_', ".");
    format!("https://{name}/")
}

fn phishtank() -> Vec<Page> {
    let folder = "pages_phishtank2022_dev";
    let rows = index(&format!("{folder}/index.csv"));
    let pages = rows.into_iter().map(|row| {
        let harmless = row["label"] == "benign";
        Page {
            class: if harmless { "large sites" } else { "phishing" },
            file: format!("{folder}/{}", row["file"]),
            url: if harmless { site_in(&row["upstream_id"]) } else { NOWHERE.to_owned() },
            harmless,
        }
    });
    pages.collect()
}

fn logins() -> Vec<Page> {
    let folder = "pages_login_benign_dev";
    let rows = index(&format!("{folder}/index.csv"));
    let pages = rows.into_iter().map(|row| {
        let site = row["site"].split(['-', '_']).next().unwrap_or_default();
        let url = if row["url"].starts_with("http") {
            row["url"].clone()
        } else {
            format!("https://www.{site}.com/")
        };
        Page { class: "login forms", file: format!("{folder}/{}", row["file"]), url, harmless: true }
    });
    pages.collect()
}

fn articles() -> Vec<Page> {
    let mut pages = Vec::new();
    for part in ["trafilatura", "readability"] {
        let folder = format!("pages_benign_articles/{part}");
        let entries = std::fs::read_dir(tally::corpora().join(&folder)).expect("the collection is there");
        for entry in entries {
            let name = entry.expect("a name").file_name().to_string_lossy().into_owned();
            let Some(stem) = name.strip_suffix(".html.gz") else { continue };
            let site = stem.split('-').next().unwrap_or_default();
            let url = format!("https://{site}/");
            let known = site.contains('.') && Target::parse(&url).is_ok();
            pages.push(Page {
                class: "articles",
                file: format!("{folder}/{name}"),
                url: if known { url } else { NOWHERE.to_owned() },
                harmless: true,
            });
        }
    }
    pages
}

/// Where a page says it is.
fn said(features: &Features) -> Option<Target> {
    let said = features.canonical.as_ref().or_else(|| features.open_graph.get("url"))?;
    Target::parse(said).ok().filter(|target| target.host() != "sjelvik.example")
}

/// The page as a finished fetch without a gateway: nothing stands in the way, nothing else speaks against it.
fn judged(rules: &Rules, page: &Page) -> Verdict {
    let mut html = Vec::new();
    let packed = tally::bytes(&page.file);
    flate2::read::MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut html).expect("a gzip-ed page");
    let declared = "text/html";
    let read =
        |url: &Target| safeurl_fetcher::read_body(url.url(), Some(declared), &html, Duration::from_secs(60));
    let mut target = Target::parse(&page.url).expect("an address");
    let (mut content, mut features) = read(&target);
    let named = features.as_ref().and_then(said).filter(|_| page.harmless);
    if let Some(named) = named {
        target = named;
        (content, features) = read(&target);
    }
    let tls = Tls {
        protocol: None,
        cipher: None,
        alpn: None,
        verified: true,
        error: None,
        subject: None,
        issuer: None,
        san_list: Vec::new(),
        valid_from: None,
        valid_to: None,
        sha256: None,
        chain: Vec::new(),
    };
    let exchange = Exchange {
        url: target.url().to_string(),
        method: "GET".into(),
        status: Some(200),
        status_text: None,
        protocol: None,
        headers: Vec::new(),
        mime_type: Some(declared.into()),
        size: Some(content.size),
        encoded_size: None,
        sha256: None,
        redirect: None,
        error: None,
        connection: None,
        timings: Timings::default(),
        tls: (target.url().scheme() == "https").then_some(tls),
        robots: None,
    };
    let report = Report {
        schema: SCHEMA,
        attempt: "corpus/1".into(),
        requests: vec![exchange],
        content: Some(content),
        features,
        usage: Usage::default(),
        side: Vec::new(),
        body: None,
    };
    let evidence = Evidence { target: &target, report: &report, ledger: &Ledger::default() };
    judge(rules, evidence, Timestamp::from_seconds(1_795_219_200))
}

#[test]
fn honest_pages_are_left_alone_and_what_is_caught_is_counted() {
    let rules = Rules::embedded();
    let pages: Vec<_> = phishtank().into_iter().chain(logins()).chain(articles()).collect();
    let mut table = BTreeMap::<(&str, VerdictState), usize>::new();
    let mut told = Vec::new();
    for page in &pages {
        let verdict = judged(&rules, page);
        *table.entry((page.class, verdict.state)).or_default() += 1;
        let expected = if page.harmless { VerdictState::Benign } else { VerdictState::Suspicious };
        if (page.harmless && verdict.state != expected) || (!page.harmless && verdict.state < expected) {
            let why: Vec<_> = verdict.findings.iter().map(|finding| finding.rule_id.as_str()).collect();
            let state = verdict.state.as_str();
            told.push(format!("{:<11} {state:<10} {} {}", page.class, page.file, why.join(" ")));
        }
    }
    println!("{}", told.join("\n"));
    println!("{:<12} {:>9} {:>10} {:>6} {:>7}", "", "malicious", "suspicious", "benign", "unknown");
    let of = |class: &str, state| {
        table.iter().filter(|((c, s), _)| *c == class && *s == state).map(|(_, n)| *n).sum::<usize>()
    };
    use VerdictState::{Benign, Malicious, Suspicious, Unknown};
    let classes = ["phishing", "large sites", "login forms", "articles"];
    for class in classes {
        let [a, b, c, d] = [Malicious, Suspicious, Benign, Unknown].map(|state| of(class, state));
        println!("{class:<12} {a:>9} {b:>10} {c:>6} {d:>7}");
    }
    let harmless = pages.iter().filter(|page| page.harmless).count();
    let phishing = pages.len() - harmless;
    let among_harmless = |state| classes[1..].iter().map(|class| of(class, state)).sum::<usize>();
    assert!(harmless >= 560 && phishing >= 220, "the collections are whole: {harmless} and {phishing}");
    assert_eq!(among_harmless(Malicious), 0, "an honest page is called malicious");
    assert!(
        among_harmless(Suspicious) * 100 <= harmless * SUSPICIOUS_PER_HUNDRED,
        "too many honest pages suspected"
    );
    assert!(
        of("phishing", Benign) * 100 <= phishing * MISSED_PER_HUNDRED,
        "too many phishing pages are called harmless"
    );
}
