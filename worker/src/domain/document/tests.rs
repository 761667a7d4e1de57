use safeurl_protocol::{Link, Report};
use serde_json::{Value, json};

use super::*;
use crate::domain::scan::sample;
use crate::domain::target::Target;
use crate::domain::verdict::{Engine, Finding, Severity, VerdictState};

/// Every key that people may rely on, by the object it stands in. `[]` means in each of a list.
const KEYS: &[(&str, &str)] = &[
    ("", "task page requests content features lists egress sandbox verdict"),
    ("task", "url effectiveUrl domain apexDomain time method tags options"),
    ("task.options", "userAgent timeoutMs maxRedirects headers respectRobots"),
    (
        "page",
        "url domain apexDomain ip port status mimeType charset server title description language canonical redirected",
    ),
    ("page", "tlsIssuer tlsValidFrom tlsValidTo tlsValidDays tlsAgeDays"),
    (
        "requests[]",
        "purpose url method status statusText protocol ip port headers mimeType size encodedSize sha256",
    ),
    ("requests[]", "redirect error connection timings tls robots"),
    ("requests[].timings", "dnsMs connectMs tlsMs firstByteMs totalMs"),
    (
        "requests[].tls",
        "protocol cipher alpn verified error subject issuer sanList validFrom validTo sha256 chain",
    ),
    ("requests[].tls.chain[]", "subject issuer validFrom validTo sha256"),
    (
        "content",
        "sha256 md5 size declaredMimeType sniffedMimeType truncated fileName nameMatchesType attachment text",
    ),
    ("content.text", "words language"),
    ("features", "meta openGraph links forms scripts iframes metaRefresh emails phones favicon technologies"),
    ("features", "jsonLd possibleRedirects embedded comments capped"),
    ("features.links", "internal external domains list capped"),
    ("features.links.domains[]", "domain links"),
    ("features.links.list[]", "href text"),
    ("features.forms[]", "action actionDomain method inputs hasPassword crossDomain embedded"),
    ("features.forms[].inputs[]", "name type formAction"),
    ("features.scripts[]", "src inlineSha256 size traits"),
    ("features.iframes[]", "src hidden"),
    ("features.phones[]", "e164 region text"),
    ("features.technologies[]", "name version categories"),
    ("features.favicon", "url sha256 mmh3"),
    ("features.possibleRedirects[]", "to by"),
    ("features.embedded[]", "kind element mimeType size sha256"),
    ("lists", "ips domains apexDomains urls linkDomains hashes certificates"),
    (
        "egress[]",
        "seq host port addresses tried dialed decision rule bytesIn bytesOut openedAt dnsMs connectMs durationMs error",
    ),
    (
        "sandbox",
        "engine runtime image imageDigest network limits outcome exitCode warm queueMs startMs runMs",
    ),
    ("sandbox", "peakMemoryBytes cpuMs attestation adopted"),
    ("sandbox.limits", "memoryBytes cpus pids timeoutMs outputBytes"),
    ("verdict", "state riskScore confidence categories brands reasoning findings engine"),
    ("verdict.findings[]", "ruleId title severity weight category evidence"),
    ("verdict.engine", "name version rulesDigest"),
];

/// A report in which nothing is missing: the one that the wire is held to.
fn report() -> Report {
    serde_json::from_str(include_str!("../../../../fetcher/protocol/golden/report.json")).expect("it reads")
}

fn ledger() -> Ledger {
    let lines = include_str!("../../../../fetcher/protocol/golden/ledger.jsonl").lines();
    Ledger::from_lines(lines.map(|line| serde_json::from_str(line).expect("it reads")))
}

fn assessment() -> Assessment {
    let engine = Engine { name: "rules".into(), version: "1".into(), rules_digest: "0".into() };
    let mut verdict = Verdict::not_evaluated(engine, "why");
    verdict.state = VerdictState::Benign;
    verdict.findings.push(Finding {
        rule_id: "a".into(),
        title: "t".into(),
        severity: Severity::Low,
        weight: 1,
        category: crate::domain::verdict::Category::Other,
        evidence: vec!["e".into()],
    });
    Assessment {
        verdict,
        technologies: Some(vec![Technology { name: "nginx".into(), version: None, categories: vec![] }]),
        phones: Some(vec![Phone {
            e164: "+41446681800".into(),
            region: Some("CH".into()),
            text: "+41 44 668 18 00".into(),
        }]),
        language: Some("de".into()),
    }
}

fn composed(report: &Report) -> Body {
    let url = "https://example.org/";
    let target = Target::parse(url).expect("a URL");
    let options = TaskOptions {
        user_agent: "u".into(),
        timeout_ms: 1,
        max_redirects: 1,
        headers: BTreeMap::new(),
        respect_robots: true,
    };
    let ledger = ledger();
    let evidence = Evidence { target: &target, report, ledger: &ledger };
    compose(&sample(url), options, evidence, SandboxFacts::default(), assessment(), Timestamp::default())
}

/// The objects at a path; a list on the way must not be empty, and what may be null must not be null everywhere.
fn at<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut here = vec![value];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.trim_end_matches("[]");
        let below = here.iter().map(|value| &value[name]).filter(|value| !value.is_null());
        here = if step.ends_with("[]") {
            below.flat_map(|value| value.as_array().expect("a list")).collect()
        } else {
            below.collect()
        };
    }
    assert!(!here.is_empty(), "nothing at {path}");
    here
}

#[test]
fn no_key_is_ever_absent_and_none_is_there_that_is_not_promised() {
    let mut report = report();
    let links = &mut report.features.as_mut().expect("a page").links.list;
    links.push(Link { href: "https://elsewhere.example/".into(), text: String::new() });
    let document = serde_json::to_value(composed(&report)).expect("plain values");
    let mut promised = BTreeMap::<&str, Vec<&str>>::new();
    for (path, keys) in KEYS {
        promised.entry(path).or_default().extend(keys.split(' '));
    }
    for (path, mut keys) in promised {
        keys.sort_unstable();
        for object in at(&document, path) {
            let mut there: Vec<_> =
                object.as_object().expect("an object").keys().map(String::as_str).collect();
            there.sort_unstable();
            assert_eq!(there, keys, "{path}");
        }
    }
}

#[test]
fn the_body_and_the_text_of_a_page_never_reach_a_document() {
    let mut report = report();
    report.body = Some("TheBodyInBase64".into());
    let text = report.content.as_mut().and_then(|content| content.text.as_mut()).expect("a page");
    text.excerpt = "TheVisibleText".into();
    let document = serde_json::to_string(&composed(&report)).expect("plain values");
    assert!(!document.contains("TheBodyInBase64") && !document.contains("TheVisibleText"), "{document}");
}

#[test]
fn exchanges_stand_in_the_order_they_were_made_each_with_its_purpose() {
    let body = composed(&report());
    let made: Vec<_> = body.requests.iter().map(|request| (request.purpose, request.url.as_str())).collect();
    assert_eq!(
        made,
        [
            (Purpose::Robots, "https://example.org/robots.txt"),
            (Purpose::Document, "https://example.org/"),
            (Purpose::Document, "http://b.example/"),
        ]
    );
}

#[test]
fn links_are_counted_by_the_site_they_lead_to() {
    let mut report = report();
    let links = &mut report.features.as_mut().expect("a page").links;
    let hrefs = [
        "http://b.example/a",
        "https://www.b.example/",
        "https://one.example/",
        "https://a.two.example/",
        "https://two.example/x",
        "mailto:a@b.example",
        "javascript:void(0)",
        "not a url",
        "http://192.0.2.1/",
    ];
    links.list = hrefs.map(|href| Link { href: href.into(), text: String::new() }).into();
    let found = composed(&report).features.expect("a page").links;
    assert_eq!((found.internal, found.external), (2, 4));
    let domains: Vec<_> = found.domains.iter().map(|domain| (domain.domain.as_str(), domain.links)).collect();
    assert_eq!(domains, [("two.example", 2), ("192.0.2.1", 1), ("one.example", 1)]);
    let links = &mut report.features.as_mut().expect("a page").links;
    links.list =
        (0..90).map(|n| Link { href: format!("https://s{n}.example/"), text: String::new() }).collect();
    let found = composed(&report).features.expect("a page").links;
    assert_eq!((found.external, found.domains.len()), (90, 50));
}

#[test]
fn a_form_crosses_domains_where_its_action_or_one_of_its_controls_does() {
    let mut report = report();
    let crosses = |report: &Report| composed(report).features.expect("a page").forms[0].cross_domain;
    assert!(crosses(&report));
    let form = |report: &mut Report| report.features.as_mut().expect("a page").forms.remove(0);
    let mut own = form(&mut report);
    own.action = "http://www.b.example/post".into();
    let put = |report: &mut Report, form| report.features.as_mut().expect("a page").forms.insert(0, form);
    put(&mut report, own.clone());
    assert!(crosses(&report), "its button posts elsewhere");
    own.inputs[0].form_action = Some("mailto:a@d.example".into());
    drop(form(&mut report));
    put(&mut report, own);
    assert!(!crosses(&report));
}

#[test]
fn lists_hold_what_the_page_names_and_not_what_is_inside_it() {
    let document = serde_json::to_value(composed(&report()).lists).expect("plain values");
    assert_eq!(
        document["linkDomains"],
        json!(["b.example", "c.example", "d.example", "e.example"]),
        "links, actions and scripts that move on"
    );
    assert_eq!(document["domains"], json!(["b.example", "example.org"]), "only what was asked");
    let urls = document["urls"].as_array().expect("a list");
    for url in ["https://example.org/robots.txt", "https://example.org/favicon.ico", "http://e.example/2"] {
        assert!(urls.contains(&json!(url)), "{url} in {urls:?}");
    }
    assert!(!urls.iter().any(|url| url.as_str().is_some_and(|url| url.starts_with("javascript:"))));
}

#[test]
fn a_document_that_was_stored_before_a_key_was_known_still_reads() {
    let mut document = serde_json::to_value(composed(&report())).expect("plain values");
    let features = document["features"].as_object_mut().expect("a page");
    for new in ["jsonLd", "possibleRedirects", "embedded", "comments", "capped"] {
        features.remove(new).expect("it was there");
    }
    for old in ["emails", "phones", "technologies"] {
        features.insert(old.into(), Value::Null);
    }
    let body: Body = serde_json::from_value(document).expect("it reads");
    assert_eq!(body.features.map(|features| (features.comments, features.phones)), Some((vec![], None)));
}
