//! Everything seen, gathered for searching.

use std::collections::BTreeSet;

use safeurl_protocol::ledger::Ledger;
use safeurl_protocol::{Exchange, Features, Report};
use url::Url;

use super::Lists;
use crate::domain::target::apex_of_name;

/// Domains of links kept for searching.
const LINK_DOMAINS: usize = 500;

/// URLs kept for searching; those of exchanges always are.
const URLS: usize = 1000;

/// Digests kept for searching: pages with hundreds of inline scripts say nothing by the last of them.
const HASHES: usize = 1000;

pub(super) fn lists(report: &Report, ledger: &Ledger) -> Lists {
    let mut lists = Gathered::default();
    for exchange in report.requests.iter().chain(report.side.iter().map(|side| &side.exchange)) {
        lists.exchange(exchange);
    }
    lists.hashes.extend(report.content.as_ref().map(|content| content.sha256.clone()));
    if let Some(features) = &report.features {
        lists.features(features);
    }
    let apex_domains: BTreeSet<_> = lists.domains.iter().filter_map(|domain| apex_of_name(domain)).collect();
    Lists {
        ips: ips(ledger),
        domains: lists.domains.into_iter().collect(),
        apex_domains: apex_domains.into_iter().collect(),
        urls: lists.urls.into_iter().collect(),
        link_domains: lists.link_domains.into_iter().collect(),
        hashes: lists.hashes.into_iter().collect(),
        certificates: lists.certificates.into_iter().collect(),
    }
}

/// Addresses that were dialled, as the gateway saw it.
pub(super) fn ips(ledger: &Ledger) -> Vec<String> {
    let ips: BTreeSet<_> =
        ledger.entries.iter().flat_map(|entry| entry.tried.iter().chain(&entry.dialed)).cloned().collect();
    ips.into_iter().collect()
}

#[derive(Default)]
struct Gathered {
    urls: BTreeSet<String>,
    /// Of exchanges: what was asked, not what is only named.
    domains: BTreeSet<String>,
    link_domains: BTreeSet<String>,
    hashes: BTreeSet<String>,
    certificates: BTreeSet<String>,
}

impl Gathered {
    fn exchange(&mut self, exchange: &Exchange) {
        self.urls.insert(exchange.url.clone());
        self.domains.extend(domain_of(&exchange.url));
        self.hashes.extend(exchange.sha256.clone());
        if let Some(tls) = &exchange.tls {
            self.certificates.extend(tls.sha256.clone());
            self.certificates.extend(tls.chain.iter().map(|certificate| certificate.sha256.clone()));
        }
    }

    fn features(&mut self, features: &Features) {
        let controls = |form: &safeurl_protocol::Form| {
            let own: Vec<_> = form.inputs.iter().filter_map(|input| input.form_action.clone()).collect();
            std::iter::once(form.action.clone()).chain(own)
        };
        let actions: Vec<String> = features.forms.iter().flat_map(controls).collect();
        let moves = features.possible_redirects.iter().map(|redirect| &redirect.to);
        let named = features
            .scripts
            .iter()
            .filter_map(|script| script.src.as_ref())
            .chain(features.iframes.iter().filter_map(|frame| frame.src.as_ref()))
            .chain(features.favicon.iter().map(|icon| &icon.url))
            .chain(&features.resources);
        for url in moves.clone().chain(&actions).chain(&features.meta_refresh).chain(named) {
            if self.urls.len() >= URLS {
                break;
            }
            if Url::parse(url).is_ok_and(|url| url.has_host()) {
                self.urls.insert(url.clone());
            }
        }
        let links = features.links.list.iter().map(|link| &link.href);
        let leading = moves.chain(&actions).chain(&features.meta_refresh).chain(links);
        for domain in leading.filter_map(|url| domain_of(url)) {
            if self.link_domains.len() >= LINK_DOMAINS {
                break;
            }
            self.link_domains.insert(domain);
        }
        let icon = features.favicon.iter().map(|icon| &icon.sha256);
        let embedded = features.embedded.iter().filter_map(|embedded| embedded.sha256.as_ref());
        let scripts = features.scripts.iter().filter_map(|script| script.inline_sha256.as_ref());
        for digest in icon.chain(embedded).chain(scripts) {
            if self.hashes.len() >= HASHES {
                break;
            }
            self.hashes.insert(digest.clone());
        }
    }
}

fn domain_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.domain().map(str::to_owned)
}
