//! Documents to show, for the tests of what is printed.

use serde_json::{Value, json};

use crate::domain::document::{Body, Document, JobView, SCHEMA};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::state::State;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::VerdictState;

/// One of each kind, by name.
pub(super) fn all() -> Vec<(&'static str, Document)> {
    vec![
        ("malicious", malicious()),
        ("benign", benign()),
        ("unknown", unknown()),
        ("failed", failed("no connection: connection refused")),
        ("timed-out", timed_out()),
        ("download", download()),
        ("hostile", hostile()),
    ]
}

/// A copy of a login that has everything a page can have.
pub(in crate::cli) fn malicious() -> Document {
    let url = "https://paypal-account-check.example/";
    let ends = "https://paypal-account-check.example/login.php?session=4f1c";
    let drop = "https://collect.example.net/x.php";
    let mut hop = exchange(url, 302, 1, 41);
    hop["redirect"] = json!({ "kind": "http", "to": ends });
    hop["tls"] = tls();
    let mut page = exchange(ends, 200, 2, 65);
    page["tls"] = tls();
    page["robots"] = json!({ "allowed": true, "source": "file", "rule": "Allow: /" });
    let mut robots = exchange("https://paypal-account-check.example/robots.txt", 200, 1, 12);
    robots["purpose"] = json!("robots");
    let mut icon = exchange("https://www.paypal.com/favicon.ico", 404, 3, 20);
    icon["purpose"] = json!("favicon");
    let script = |src: &str| json!({ "src": src, "inlineSha256": null, "size": null, "traits": [] });
    let body = json!({
        "task": task(url),
        "page": {
            "url": ends, "domain": "paypal-account-check.example", "apexDomain": "paypal-account-check.example",
            "ip": "203.0.113.7", "port": 443, "status": 200, "mimeType": "text/html", "charset": "UTF-8",
            "server": "nginx/1.25.3", "title": "Sign in to PayPal", "description": "Log in to your account",
            "language": "en", "canonical": null, "redirected": "same-domain", "tlsIssuer": "CN=R11",
            "tlsValidFrom": "2026-11-18T00:00:00.000Z", "tlsValidTo": "2027-02-16T00:00:00.000Z",
            "tlsValidDays": 90, "tlsAgeDays": 3
        },
        "requests": [hop, robots, page, icon],
        "content": content(20_725, "text/html"),
        "features": {
            "meta": {}, "openGraph": {}, "metaRefresh": null,
            "links": { "internal": 3, "external": 14, "list": [], "capped": false,
                "domains": [{ "domain": "paypal.com", "links": 12 }, { "domain": "example.org", "links": 2 }] },
            "forms": [
                { "action": drop, "actionDomain": "collect.example.net", "method": "POST", "hasPassword": true,
                  "crossDomain": true, "inputs": [
                    { "name": "email", "type": "email", "formAction": null },
                    { "name": "pass", "type": "password", "formAction": null },
                    { "name": "", "type": "hidden", "formAction": null },
                    { "name": "later", "type": "submit", "formAction": "https://collect.example.net/later" }] },
                { "action": "https://paypal-account-check.example/search", "actionDomain": null, "method": "GET",
                  "hasPassword": false, "crossDomain": false,
                  "inputs": [{ "name": "q", "type": "search", "formAction": null }] }],
            "scripts": [
                script("https://paypal-account-check.example/a.js"), script("https://cdn.example.com/b.js"),
                script("https://cdn.example.com/c.js"), script("https://t.example.org/d.js"),
                { "src": null, "inlineSha256": "ab", "size": 900, "traits": ["eval", "keyboard-listener"] }],
            "iframes": [{ "src": "https://ads.example.com/frame", "hidden": false },
                        { "src": "https://collect.example.net/beacon", "hidden": true },
                        { "src": null, "hidden": true }],
            "emails": ["support@paypal-account-check.example"],
            "phones": [{ "e164": "+41446681800", "region": "CH", "text": "044 668 18 00" },
                       { "e164": "+80012345678", "region": null, "text": "+800 1234 5678" }],
            "favicon": { "url": "https://www.paypal.com/favicon.ico", "sha256": "cd", "mmh3": -1_277_814_690 },
            "technologies": [
                { "name": "PHP", "version": "8.1.2", "categories": ["Programming languages"] },
                { "name": "Nginx", "version": null, "categories": ["Web servers", "Reverse proxies"] }],
            "jsonLd": ["WebPage"],
            "possibleRedirects": [{ "to": "https://www.paypal.com/signin", "by": "replace" }],
            "embedded": [{ "kind": "data", "element": "iframe", "mimeType": "text/html", "size": 4096, "sha256": "ef" },
                         { "kind": "blob", "element": "a", "mimeType": null, "size": null, "sha256": null }],
            "comments": ["Mirrored from www.paypal.com by HTTrack"], "capped": []
        },
        "egress": [entry(1, "paypal-account-check.example", "203.0.113.7"),
                   entry(2, "paypal-account-check.example", "203.0.113.7"),
                   denied(3, "metadata.example", "169.254.169.254")],
        "verdict": verdict(VerdictState::Malicious, 100, 0.9,
            "This link is dangerous. The page shows the login of a brand whose site this is not (PayPal on \
             paypal-account-check.example: Sign in to PayPal). A password typed here goes to another site \
             (https://collect.example.net/x.php).",
            &json!([
                finding("brand-login-elsewhere", "A brand's login on another site", "critical", 50,
                        &["PayPal on paypal-account-check.example: Sign in to PayPal"]),
                finding("form-password-off-site", "A password goes to another site", "critical", 45, &[drop]),
                finding("page-account-threat", "The visitor's account is threatened", "medium", 12,
                        &["verify your account"]),
                finding("tls-young", "A certificate made a few days ago", "low", 5, &["3 days old"])])),
    });
    document(body, State::Completed, 1_043)
}

pub(super) fn benign() -> Document {
    let url = "https://harbour-courier.example/tide-tables";
    let mut page = exchange(url, 200, 1, 65);
    page["tls"] = tls();
    let body = json!({
        "task": task(url),
        "page": {
            "url": url, "domain": "harbour-courier.example", "apexDomain": "harbour-courier.example",
            "ip": "198.51.100.4", "port": 443, "status": 200, "mimeType": "text/html", "charset": "UTF-8",
            "server": null, "title": "Tide tables – 潮汐表", "description": null, "language": "en",
            "canonical": null, "redirected": null, "tlsIssuer": "CN=R11", "tlsValidFrom": null,
            "tlsValidTo": null, "tlsValidDays": null, "tlsAgeDays": null
        },
        "requests": [page], "content": content(468, "text/html"),
        "egress": [entry(1, "harbour-courier.example", "198.51.100.4")],
        "verdict": verdict(VerdictState::Benign, 0, 0.85, "Nothing speaks against this link.",
            &json!([finding("site-known", "A site that many link to", "info", -10, &["harbour-courier.example"])])),
    });
    document(body, State::Completed, 231)
}

fn unknown() -> Document {
    let url = "http://endless-list.example/";
    let mut page = exchange(url, 200, 1, 4_100);
    page["error"] = json!({ "class": "timeout", "message": "the body did not end before the deadline" });
    let mut content = content(10_485_760, "text/html");
    content["truncated"] = json!(true);
    let body = json!({
        "task": task(url), "requests": [page], "content": content,
        "egress": [entry(1, "endless-list.example", "203.0.113.9")],
        "verdict": verdict(VerdictState::Unknown, 0, 0.2, "Too little was seen to judge this link.",
            &json!([finding("thin-truncated", "The content was cut short", "info", 0, &["after 10 MiB"])])),
    });
    document(body, State::Completed, 4_164)
}

fn download() -> Document {
    let url = "http://billing-files.example/invoice.pdf";
    let mut content = content(1_482_240, "application/vnd.microsoft.portable-executable");
    content["declaredMimeType"] = json!("application/pdf");
    content["fileName"] = json!("invoice.pdf");
    content["nameMatchesType"] = json!(false);
    content["attachment"] = json!(true);
    content["text"] = Value::Null;
    let body = json!({
        "task": task(url), "requests": [exchange(url, 200, 1, 184)], "content": content,
        "egress": [entry(1, "billing-files.example", "203.0.113.8")],
        "verdict": verdict(VerdictState::Malicious, 100, 0.95,
            "This link is dangerous. It is a program disguised as a document.",
            &json!([finding("download-disguised-program", "A program disguised as a document", "critical", 80,
                &["invoice.pdf is application/vnd.microsoft.portable-executable"])])),
    });
    document(body, State::Completed, 12_345)
}

/// What a page that wants to drive the terminal would send, and lists longer than anybody reads.
pub(in crate::cli) fn hostile() -> Document {
    let mut document = malicious();
    let steer = "\u{1b}[2J\u{1b}]8;;http://evil.example\u{7}\r\n\u{202e}\u{2066}\u{9b}31m";
    let page = document.body.page.as_mut().expect("it has one");
    page.title = Some(format!("=cmd|' /C calc'!A0{steer}{}", "长".repeat(500)));
    page.server = Some(format!("{steer}{}", "x".repeat(20_000)));
    document.body.task.url = format!("https://paypal-account-check.example/{}", "a/../".repeat(1_500));
    document.body.verdict.reasoning.push_str(steer);
    let hops = document.body.requests.clone();
    document.body.requests.extend((0..50).flat_map(|_| hops.clone()));
    for finding in &mut document.body.verdict.findings {
        finding.evidence = (0..40).map(|n| format!("{steer}{n}")).collect();
    }
    document
}

/// A scan that got no answer.
pub(in crate::cli) fn failed(message: &str) -> Document {
    let mut document = judged(VerdictState::NotEvaluated);
    document.job.state = State::Failed;
    document.job.failure = Some(Failure::new(FailureClass::Connect, FailureStage::Fetch, message));
    document.body.verdict.reasoning = format!("There is no result to judge: {message}.");
    document.body.verdict.findings.clear();
    document
}

fn timed_out() -> Document {
    let mut document = failed("no answer before the deadline");
    document.job.state = State::TimedOut;
    document.job.failure =
        Some(Failure::new(FailureClass::Timeout, FailureStage::Fetch, "no answer before the deadline"));
    let hop = json!({
        "url": "http://silent.example:8080/", "method": "GET", "status": null, "statusText": null,
        "protocol": null, "ip": "203.0.113.5", "port": 8080, "headers": {}, "mimeType": null, "size": null,
        "encodedSize": null, "sha256": null, "redirect": null, "connection": 1, "tls": null,
        "error": { "class": "timeout", "message": "no answer before the deadline" },
        "timings": { "dnsMs": 1, "connectMs": 1, "tlsMs": null, "firstByteMs": null, "totalMs": 4_000 }
    });
    document.body.task.url = "http://silent.example:8080/".to_owned();
    document.body.requests.push(serde_json::from_value(hop).expect("an exchange"));
    document
}

/// A scan with a weak reason, and one without weight.
pub(in crate::cli) fn judged(state: VerdictState) -> Document {
    let body = json!({
        "task": task("http://shop.test:81/"), "requests": [], "egress": [],
        "sandbox": { "limits": { "memoryBytes": 0, "cpus": 1.0, "pids": 1, "timeoutMs": 1, "outputBytes": 1 },
                     "warm": false, "adopted": false },
        "verdict": verdict(state, 30, 0.55, "Sentences.",
            &json!([finding("url-odd-port", "An unusual port", "low", 10, &["port 81"]),
                    finding("thin-truncated", "The content was cut short", "info", 0, &["after 10 MiB"])])),
    });
    document(body, State::Completed, 43)
}

fn document(mut body: Value, state: State, took: i64) -> Document {
    let lists = json!({ "ips": [], "domains": [], "apexDomains": [], "urls": [], "linkDomains": [], "hashes": [],
                        "certificates": [] });
    let sandbox = json!({
        "engine": "docker 20.10", "runtime": "runc", "image": "safeurl-fetcher:latest", "network": "none",
        "limits": { "memoryBytes": 536_870_912, "cpus": 1.0, "pids": 64, "timeoutMs": 30_000, "outputBytes": 8_388_608 },
        "outcome": "exited", "exitCode": 0, "warm": false, "queueMs": 2, "startMs": 74, "runMs": 141,
        "peakMemoryBytes": 4_100_000, "cpuMs": 9, "adopted": false
    });
    for (key, value) in [("lists", lists), ("sandbox", sandbox)] {
        body.as_object_mut().expect("an object").entry(key).or_insert(value);
    }
    let body: Body = serde_json::from_value(body).expect("it is a stored document");
    let started = Timestamp::from_millis(1_795_219_200_000);
    let job = JobView {
        id: "01a20067-644b-7385-b267-02683f2e2a1f".to_owned(),
        kind: "scan".to_owned(),
        state,
        version: 4,
        attempt: 1,
        max_attempts: 3,
        priority: 0,
        user_id: "local".to_owned(),
        created_at: started,
        updated_at: started,
        started_at: Some(started),
        finished_at: Some(Timestamp::from_millis(started.millis() + took)),
        failure: None,
        transitions: Vec::new(),
    };
    Document { schema: SCHEMA, job, body }
}

fn task(url: &str) -> Value {
    json!({ "url": url, "time": Timestamp::default(), "method": "cli", "tags": [],
            "options": { "userAgent": "", "timeoutMs": 1, "maxRedirects": 0, "headers": {} } })
}

fn exchange(url: &str, status: u16, connection: u64, took: u64) -> Value {
    json!({
        "url": url, "method": "GET", "status": status, "statusText": null, "protocol": "http/1.1",
        "ip": "203.0.113.7", "port": 443, "headers": {}, "mimeType": "text/html", "size": 100,
        "encodedSize": 100, "sha256": null, "redirect": null, "error": null, "connection": connection, "tls": null,
        "timings": { "dnsMs": 1, "connectMs": 1, "tlsMs": null, "firstByteMs": 20, "totalMs": took }
    })
}

fn tls() -> Value {
    json!({
        "protocol": "TLSv1.3", "cipher": "TLS13_AES_128_GCM_SHA256", "alpn": "h2", "verified": false,
        "error": "the certificate is for another name", "subject": "CN=paypal-account-check.example",
        "issuer": "C=US, O=Let's Encrypt, CN=R11", "sanList": ["paypal-account-check.example", "www.example.net"],
        "validFrom": "2026-11-18T00:00:00.000Z", "validTo": "2027-02-16T00:00:00.000Z", "sha256": "aa", "chain": []
    })
}

fn content(size: u64, kind: &str) -> Value {
    json!({
        "sha256": "15c0a9689ed9d0f37c47f1ba0cb0026266f7267cbbfd214a6296b793a762b3fb", "md5": null, "size": size,
        "declaredMimeType": "text/html; charset=utf-8", "sniffedMimeType": kind, "truncated": false,
        "text": { "words": 214, "language": "en" }
    })
}

fn entry(seq: u64, host: &str, address: &str) -> Value {
    json!({ "seq": seq, "host": host, "port": 443, "addresses": [address], "tried": [address], "dialed": address, "decision": "allowed",
            "rule": "global", "bytesIn": 24_310, "bytesOut": 1_204, "openedAt": Timestamp::default(), "dnsMs": 1,
            "connectMs": 1, "durationMs": 102, "error": null })
}

fn denied(seq: u64, host: &str, address: &str) -> Value {
    json!({ "seq": seq, "host": host, "port": 80, "addresses": [address], "tried": [], "dialed": null, "decision": "denied",
            "rule": "link-local", "bytesIn": 0, "bytesOut": 0, "openedAt": Timestamp::default(), "dnsMs": 1,
            "connectMs": null, "durationMs": null, "error": null })
}

fn finding(rule: &str, title: &str, severity: &str, weight: i32, evidence: &[&str]) -> Value {
    json!({ "ruleId": rule, "title": title, "severity": severity, "weight": weight, "category": "phishing",
            "evidence": evidence })
}

fn verdict(state: VerdictState, score: u8, confidence: f64, reasoning: &str, findings: &Value) -> Value {
    json!({ "state": state, "riskScore": score, "confidence": confidence, "categories": ["phishing"],
            "brands": ["PayPal"], "reasoning": reasoning, "findings": findings,
            "engine": { "name": "safeurl-rules", "version": "0", "rulesDigest": "" } })
}
