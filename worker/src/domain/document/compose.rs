//! Makes a document out of what was asked for, what the fetcher claims, what the ledger shows and what the
//! analysis says. Addresses and connection times come from the ledger, never from the report.

use std::collections::BTreeMap;

use safeurl_protocol::ledger::{Decision, Ledger};
use safeurl_protocol::{Exchange, Header, Purpose, Redirect, Report};
use url::Url;

use super::features::features;
use super::lists::{ips, lists};
use super::mask::without_password;
use super::{
    Body, Certificate, Content, EgressEntry, Limits, Lists, OutcomeName, Page, Phone, Redirected, Request,
    Sandbox, Task, TaskOptions, Technology, Text, Timings, Tls,
};
use crate::domain::scan::Job;
use crate::domain::target::{Target, apex_of};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Verdict;

/// Headers whose values are secrets of the site or the submitter.
const SECRET_HEADERS: [&str; 7] = [
    "set-cookie",
    "cookie",
    "authorization",
    "proxy-authorization",
    "www-authenticate",
    "x-api-key",
    "x-auth-token",
];

/// What replaces a secret.
pub(super) const MASK: &str = "***";

/// What was seen of one finished fetch.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What was to be fetched.
    pub target: &'a Target,
    /// What the fetcher says.
    pub report: &'a Report,
    /// What the gateway saw.
    pub ledger: &'a Ledger,
}

/// What the analysis makes of the evidence: the verdict, and what it reads out of the report beside it. `None` stands
/// for what was not looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    pub verdict: Verdict,
    pub technologies: Option<Vec<Technology>>,
    pub phones: Option<Vec<Phone>>,
    /// Of the text, by the text itself: ISO 639-1 where it has a code for it.
    pub language: Option<String>,
}

/// A verdict without a look at anything else.
impl From<Verdict> for Assessment {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, technologies: None, phones: None, language: None }
    }
}

/// Where and how the fetch ran.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SandboxFacts {
    pub engine: Option<String>,
    pub runtime: Option<String>,
    pub image: Option<String>,
    pub image_digest: Option<String>,
    pub network: Option<String>,
    pub limits: Limits,
    pub outcome: Option<OutcomeName>,
    pub exit_code: Option<i64>,
    pub warm: bool,
    pub queue_ms: Option<u64>,
    pub start_ms: Option<u64>,
    pub run_ms: Option<u64>,
    pub attestation: Option<String>,
    pub adopted: bool,
}

/// The document of a scan with a report.
#[must_use]
pub fn compose(
    job: &Job,
    options: TaskOptions,
    evidence: Evidence<'_>,
    facts: SandboxFacts,
    assessment: Assessment,
    now: Timestamp,
) -> Body {
    let Evidence { target, report, ledger } = evidence;
    let requests = requests(report, ledger);
    let page = report.requests.last().and_then(|last| page(target, last, evidence, now));
    let page_url = page.as_ref().and_then(|page| Url::parse(&page.url).ok());
    let fallback = target.fallback().map(Url::as_str);
    let answered = report.requests.iter().find(|exchange| exchange.status.is_some());
    let mut task = task(job, Some(target), options);
    if let Some(answered) = answered.filter(|exchange| Some(exchange.url.as_str()) == fallback) {
        task.effective_url = Some(answered.url.clone());
    }
    Body {
        task,
        requests,
        content: report.content.as_ref().map(|content| Content {
            sha256: content.sha256.clone(),
            md5: content.md5.clone(),
            size: content.size,
            declared_mime_type: content.declared_mime_type.clone(),
            sniffed_mime_type: content.sniffed_mime_type.clone(),
            truncated: content.truncated,
            file_name: content.file_name.clone(),
            name_matches_type: content.name_matches_type,
            attachment: content.attachment,
            text: content
                .text
                .as_ref()
                .map(|text| Text { words: text.words, language: assessment.language.clone() }),
        }),
        features: features(report, page_url.as_ref(), &assessment),
        lists: lists(report, ledger),
        egress: egress_of(ledger),
        sandbox: Sandbox {
            peak_memory_bytes: report.usage.peak_memory_bytes,
            cpu_ms: report.usage.cpu_ms,
            ..sandbox(facts)
        },
        page,
        verdict: assessment.verdict,
    }
}

/// The document of a scan that ended without a report.
#[must_use]
pub fn without_report(
    job: &Job,
    target: Option<&Target>,
    options: TaskOptions,
    ledger: &Ledger,
    facts: SandboxFacts,
    verdict: Verdict,
) -> Body {
    Body {
        task: task(job, target, options),
        page: None,
        requests: Vec::new(),
        content: None,
        features: None,
        lists: Lists { ips: ips(ledger), ..Lists::default() },
        egress: egress_of(ledger),
        sandbox: sandbox(facts),
        verdict,
    }
}

fn task(job: &Job, target: Option<&Target>, mut options: TaskOptions) -> Task {
    for value in options.headers.values_mut() {
        MASK.clone_into(value);
    }
    Task {
        url: job.url.clone(),
        effective_url: target.map(|target| target.url().to_string()),
        domain: target.map(|target| target.host().to_owned()),
        apex_domain: target.and_then(Target::apex),
        time: job.created,
        method: job.method,
        tags: job.options.tags.clone(),
        options,
    }
}

fn page(target: &Target, last: &Exchange, evidence: Evidence<'_>, now: Timestamp) -> Option<Page> {
    // The page is the last document that was there; a hop that got no answer is not one.
    let shown = if last.status.is_some() {
        last
    } else {
        evidence.report.requests.iter().rev().find(|exchange| exchange.status.is_some())?
    };
    let url = Url::parse(&shown.url).ok();
    let entry = shown.connection.and_then(|seq| evidence.ledger.entry(seq));
    let features = evidence.report.features.as_ref();
    let valid_from = shown.tls.as_ref().and_then(|tls| tls.valid_from);
    let valid_to = shown.tls.as_ref().and_then(|tls| tls.valid_to);
    Some(Page {
        url: shown.url.clone(),
        domain: url.as_ref().and_then(Url::host_str).map(str::to_owned),
        apex_domain: url.as_ref().and_then(apex_of),
        ip: entry.and_then(|entry| entry.dialed.clone()),
        port: entry.map(|entry| entry.port),
        status: shown.status,
        mime_type: shown.mime_type.clone(),
        charset: evidence.report.content.as_ref().and_then(|content| content.charset.clone()),
        server: header(&shown.headers, "server").map(str::to_owned),
        title: features.and_then(|features| features.title.clone()),
        description: features.and_then(|features| features.description.clone()),
        language: features.and_then(|features| features.language.clone()),
        canonical: features.and_then(|features| features.canonical.clone()),
        redirected: url.as_ref().and_then(|url| redirected(target.url(), url)),
        tls_issuer: shown.tls.as_ref().and_then(|tls| tls.issuer.clone()),
        tls_valid_from: valid_from.map(Timestamp::from_seconds),
        tls_valid_to: valid_to.map(Timestamp::from_seconds),
        tls_valid_days: valid_from.zip(valid_to).map(|(from, to)| to.saturating_sub(from) / 86_400),
        tls_age_days: valid_from.map(|from| (now.millis() / 1000).saturating_sub(from) / 86_400),
    })
}

/// How the final URL relates to the submitted one, in urlscan.io's words.
fn redirected(submitted: &Url, last: &Url) -> Option<Redirected> {
    if submitted == last {
        return None;
    }
    let (from, to) = (submitted.host_str()?, last.host_str()?);
    if from == to {
        let mut upgraded = submitted.clone();
        let only_scheme = submitted.scheme() == "http" && upgraded.set_scheme("https").is_ok();
        return Some(if only_scheme && upgraded == *last {
            Redirected::HttpsOnly
        } else {
            Redirected::SameDomain
        });
    }
    match (apex_of(submitted), apex_of(last)) {
        (Some(a), Some(b)) if a == b => Some(Redirected::SubDomain),
        _ => Some(Redirected::OffDomain),
    }
}

/// All exchanges in the order they were made.
fn requests(report: &Report, ledger: &Ledger) -> Vec<Request> {
    report.in_order().map(|(purpose, exchange)| request(purpose, exchange, ledger)).collect()
}

fn request(purpose: Purpose, exchange: &Exchange, ledger: &Ledger) -> Request {
    let entry = exchange.connection.and_then(|seq| ledger.entry(seq));
    Request {
        purpose,
        url: exchange.url.clone(),
        method: exchange.method.clone(),
        status: exchange.status,
        status_text: exchange.status_text.clone(),
        protocol: exchange.protocol.clone(),
        ip: entry.and_then(|entry| entry.dialed.clone()),
        port: entry.map(|entry| entry.port),
        headers: header_map(&exchange.headers),
        mime_type: exchange.mime_type.clone(),
        size: exchange.size,
        encoded_size: exchange.encoded_size,
        sha256: exchange.sha256.clone(),
        redirect: exchange
            .redirect
            .as_ref()
            .map(|redirect| Redirect { to: without_password(&redirect.to), ..redirect.clone() }),
        error: exchange.error.clone(),
        connection: exchange.connection,
        timings: Timings {
            dns_ms: entry.and_then(|entry| entry.dns_ms),
            connect_ms: entry.and_then(|entry| entry.connect_ms),
            tls_ms: exchange.timings.tls_ms,
            first_byte_ms: exchange.timings.first_byte_ms,
            total_ms: exchange.timings.total_ms,
        },
        tls: exchange.tls.as_ref().map(|tls| Tls {
            protocol: tls.protocol.clone(),
            cipher: tls.cipher.clone(),
            alpn: tls.alpn.clone(),
            verified: tls.verified,
            error: tls.error.clone(),
            subject: tls.subject.clone(),
            issuer: tls.issuer.clone(),
            san_list: tls.san_list.clone(),
            valid_from: tls.valid_from.map(Timestamp::from_seconds),
            valid_to: tls.valid_to.map(Timestamp::from_seconds),
            sha256: tls.sha256.clone(),
            chain: tls.chain.iter().map(certificate).collect(),
        }),
        robots: exchange.robots.clone(),
    }
}

fn certificate(wire: &safeurl_protocol::Certificate) -> Certificate {
    Certificate {
        subject: wire.subject.clone(),
        issuer: wire.issuer.clone(),
        valid_from: wire.valid_from.map(Timestamp::from_seconds),
        valid_to: wire.valid_to.map(Timestamp::from_seconds),
        sha256: wire.sha256.clone(),
    }
}

/// Names in lower case, values of one name joined by a comma, secrets masked (a cookie keeps its name).
fn header_map(headers: &[Header]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::<String, String>::new();
    for Header { name, value } in headers {
        let name = name.to_ascii_lowercase();
        let shown = match name.as_str() {
            "set-cookie" => {
                let cookie = value.split_once('=').map_or("", |(cookie, _)| cookie);
                format!("{cookie}={MASK}")
            }
            secret if SECRET_HEADERS.contains(&secret) => MASK.to_owned(),
            "location" | "content-location" | "refresh" => without_password(value),
            _ => value.clone(),
        };
        map.entry(name)
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(&shown);
            })
            .or_insert(shown);
    }
    map
}

fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
}

/// The ledger as the document shows it.
#[must_use]
pub fn egress_of(ledger: &Ledger) -> Vec<EgressEntry> {
    let entries = ledger.entries.iter().map(|entry| EgressEntry {
        seq: entry.seq,
        host: entry.host.clone(),
        port: entry.port,
        addresses: entry.addresses.clone(),
        tried: entry.tried.clone(),
        dialed: if entry.decision == Decision::Allowed { entry.dialed.clone() } else { None },
        decision: entry.decision,
        rule: entry.rule.clone(),
        bytes_in: entry.bytes_in,
        bytes_out: entry.bytes_out,
        opened_at: Timestamp::from_millis(entry.opened_at),
        dns_ms: entry.dns_ms,
        connect_ms: entry.connect_ms,
        duration_ms: entry.duration_ms,
        error: entry.error.clone(),
    });
    entries.collect()
}

fn sandbox(facts: SandboxFacts) -> Sandbox {
    Sandbox {
        engine: facts.engine,
        runtime: facts.runtime,
        image: facts.image,
        image_digest: facts.image_digest,
        network: facts.network,
        limits: facts.limits,
        outcome: facts.outcome,
        exit_code: facts.exit_code,
        warm: facts.warm,
        queue_ms: facts.queue_ms,
        start_ms: facts.start_ms,
        run_ms: facts.run_ms,
        peak_memory_bytes: None,
        cpu_ms: None,
        attestation: facts.attestation,
        adopted: facts.adopted,
    }
}
