//! Evidence for tests: one page fetched without a fault, to be changed in one place.

use safeurl_protocol::ledger::{Decision, Entry, Ledger};
use safeurl_protocol::{
    Content, ErrorClass, Exchange, Features, Form, FormInput, Frame, HopError, Link, Redirect, RedirectKind,
    Report, Script, TextStatistics, Timings, Tls, Usage,
};
use url::Url;

use super::{Rules, judge};
use crate::domain::document::Evidence;
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Verdict;

/// 2026-11-21T00:00:00Z, in seconds.
pub(super) const NOW: i64 = 1_795_219_200;

/// One fetch with its ledger.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) submitted: String,
    pub(super) report: Report,
    pub(super) ledger: Ledger,
}

impl Sample {
    /// A plain article of 120 words at the URL.
    pub(super) fn page(url: &str) -> Self {
        let target = Target::parse(url).expect("a sample URL");
        let mut sample = Self {
            submitted: url.to_owned(),
            report: Report {
                schema: safeurl_protocol::SCHEMA,
                attempt: "j/1".into(),
                requests: Vec::new(),
                content: Some(Content {
                    sha256: "0".repeat(64),
                    md5: None,
                    size: 4000,
                    declared_mime_type: Some("text/html; charset=utf-8".into()),
                    sniffed_mime_type: Some("text/html".into()),
                    charset: Some("UTF-8".into()),
                    truncated: false,
                    file_name: None,
                    name_matches_type: None,
                    attachment: false,
                    text: Some(TextStatistics {
                        words: 120,
                        language: None,
                        excerpt: "The harbour opens at six.".into(),
                    }),
                }),
                features: Some(Features { title: Some("Harbour news".into()), ..Features::default() }),
                usage: Usage::default(),
                side: Vec::new(),
                body: None,
            },
            ledger: Ledger { attempt: Some("j/1".into()), complete: true, ..Ledger::default() },
        };
        sample.hop(target.url().as_str(), Some(200));
        sample
    }

    /// A file at the URL whose bytes look like `sniffed`.
    pub(super) fn file(url: &str, sniffed: &str) -> Self {
        let mut sample = Self::page(url);
        sample.report.features = None;
        let content = sample.content();
        content.declared_mime_type = Some("application/octet-stream".into());
        content.sniffed_mime_type = Some(sniffed.into());
        content.text = None;
        sample
    }

    /// Adds an exchange that got an answer (or none) and the connection it used.
    pub(super) fn hop(&mut self, url: &str, status: Option<u16>) -> &mut Self {
        let parsed = Url::parse(url).expect("a sample URL");
        let seq = self.ledger.entries.len() as u64 + 1;
        self.ledger.entries.push(Entry {
            seq,
            host: parsed.host_str().expect("a host").to_owned(),
            port: parsed.port_or_known_default().expect("a port"),
            addresses: vec!["192.0.2.1".into()],
            tried: vec!["192.0.2.1".into()],
            dialed: Some("192.0.2.1".into()),
            decision: Decision::Allowed,
            rule: "global".into(),
            bytes_in: 4000,
            bytes_out: 200,
            opened_at: NOW * 1000,
            dns_ms: Some(1),
            connect_ms: Some(1),
            duration_ms: Some(10),
            error: None,
        });
        self.report.requests.push(Exchange {
            url: url.to_owned(),
            method: "GET".into(),
            status,
            status_text: None,
            protocol: Some("http/1.1".into()),
            headers: Vec::new(),
            mime_type: Some("text/html".into()),
            size: Some(4000),
            encoded_size: Some(4000),
            sha256: None,
            redirect: None,
            error: None,
            connection: Some(seq),
            timings: Timings::default(),
            tls: (parsed.scheme() == "https").then(|| Tls {
                protocol: Some("TLSv1.3".into()),
                cipher: None,
                alpn: None,
                verified: true,
                error: None,
                subject: Some("CN=site".into()),
                issuer: Some("CN=authority".into()),
                san_list: Vec::new(),
                valid_from: Some(NOW - 60 * 86_400),
                valid_to: Some(NOW + 30 * 86_400),
                sha256: None,
                chain: Vec::new(),
            }),
            robots: None,
        });
        self
    }

    /// The last exchange redirects there, and there is the page.
    pub(super) fn redirected(&mut self, kind: RedirectKind, to: &str) -> &mut Self {
        self.redirects(kind, to);
        self.hop(to, Some(200))
    }

    /// The last exchange redirects there; nothing follows.
    pub(super) fn redirects(&mut self, kind: RedirectKind, to: &str) -> &mut Self {
        let last = self.last();
        last.status = Some(if kind == RedirectKind::Http { 302 } else { 200 });
        last.redirect = Some(Redirect { kind, to: to.to_owned() });
        self
    }

    pub(super) fn last(&mut self) -> &mut Exchange {
        self.report.requests.last_mut().expect("an exchange")
    }

    pub(super) fn tls(&mut self) -> &mut Tls {
        self.last().tls.as_mut().expect("an https page")
    }

    pub(super) fn error(&mut self, class: ErrorClass) -> &mut Self {
        self.last().error = Some(HopError { class, message: "as told".into() });
        self
    }

    pub(super) fn content(&mut self) -> &mut Content {
        self.report.content.as_mut().expect("content")
    }

    pub(super) fn features(&mut self) -> &mut Features {
        self.report.features.as_mut().expect("an HTML page")
    }

    pub(super) fn title(&mut self, title: &str) -> &mut Self {
        self.features().title = Some(title.into());
        self
    }

    pub(super) fn text(&mut self, words: u64, excerpt: &str) -> &mut Self {
        self.content().text = Some(TextStatistics { words, language: None, excerpt: excerpt.into() });
        self
    }

    /// A form with fields written `name:type`.
    pub(super) fn form(&mut self, action: &str, fields: &[&str]) -> &mut Self {
        let inputs: Vec<_> = fields
            .iter()
            .map(|field| {
                let (name, kind) = field.rsplit_once(':').expect("name:type");
                FormInput { name: name.into(), kind: kind.into(), form_action: None }
            })
            .collect();
        let has_password = inputs.iter().any(|input| input.kind == "password");
        let features = self.features();
        features.password_fields += u64::from(has_password);
        features.form_count += 1;
        let method = "POST".into();
        features.forms.push(Form { action: action.into(), method, inputs, has_password, embedded: false });
        self
    }

    /// A form with a name and a password.
    pub(super) fn login(&mut self, action: &str) -> &mut Self {
        self.form(action, &["user:text", "secret:password"])
    }

    pub(super) fn script(&mut self, traits: &[&str]) -> &mut Self {
        let features = self.features();
        features.script_count += 1;
        features.scripts.push(Script {
            src: None,
            inline_sha256: Some("ab".repeat(32)),
            size: Some(300),
            traits: traits.iter().map(|name| (*name).to_owned()).collect(),
        });
        self
    }

    pub(super) fn frame(&mut self, src: &str, hidden: bool) -> &mut Self {
        self.features().iframes.push(Frame { src: Some(src.into()), hidden });
        self
    }

    pub(super) fn links(&mut self, count: usize, href: &str) -> &mut Self {
        let features = self.features();
        features.links.total += count as u64;
        features.links.list.extend((0..count).map(|_| Link { href: href.into(), text: "more".into() }));
        self
    }

    pub(super) fn judged(&self) -> Verdict {
        let target = Target::parse(&self.submitted).expect("a sample URL");
        let evidence = Evidence { target: &target, report: &self.report, ledger: &self.ledger };
        judge(&RULES, evidence, Timestamp::from_seconds(NOW))
    }

    /// Whether the rule fires.
    pub(super) fn fires(&self, rule: &str) -> bool {
        self.judged().findings.iter().any(|finding| finding.rule_id == rule)
    }
}

/// Read once for all tests.
pub(super) static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::embedded);
