//! Where the fetch was sent from where.

use std::collections::BTreeSet;
use std::net::IpAddr;

use safeurl_protocol::{ErrorClass, RedirectKind};
use url::Url;

use super::{Fact, Facts};
use crate::analysis::case::{Case, site_of};
use crate::domain::target::address_of;

/// Addresses at which clouds tell a machine its secrets, and names for them.
const METADATA: [&str; 9] = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "metadata.azure.com",
    "instance-data",
];

/// The gateway's name of the rule that refuses those addresses.
const METADATA_RULE: &str = "metadata";

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let redirects = case.report.requests.iter().filter(|exchange| exchange.redirect.is_some());
    facts.measure(Fact::RedirectCount, redirects.count() as u64, route(case));
    let sites: BTreeSet<_> = case.hops.iter().filter_map(site_of).collect();
    facts.measure(Fact::RedirectSites, (sites.len() as u64).saturating_sub(1), route(case));

    let starts_inside = address_of(case.target.url()).is_some_and(is_private);
    for exchange in &case.report.requests {
        let Some(redirect) = &exchange.redirect else { continue };
        let from = Url::parse(&exchange.url).ok();
        let Ok(to) = Url::parse(&redirect.to) else { continue };
        if !matches!(to.scheme(), "http" | "https") {
            facts.see(Fact::RedirectScheme, &redirect.to);
            continue;
        }
        if from.as_ref().is_some_and(|from| from.scheme() == "https") && to.scheme() == "http" {
            facts.see(Fact::RedirectDowngrade, format!("{} to {to}", exchange.url));
        }
        if redirect.kind != RedirectKind::Http && from.as_ref().and_then(site_of) != site_of(&to) {
            facts.see(Fact::RedirectFromPage, format!("{} to {to}", exchange.url));
        }
        inside(&to, starts_inside, facts);
    }
    for exchange in &case.report.requests {
        if exchange.error.as_ref().is_some_and(|error| error.class == ErrorClass::RedirectLoop) {
            facts.see(Fact::RedirectLoop, &exchange.url);
        }
    }
    refused(case, facts);
}

/// The redirect names an address inside a network.
fn inside(to: &Url, starts_inside: bool, facts: &mut Facts) {
    let host = to.host_str().unwrap_or_default().trim_end_matches('.');
    if METADATA.contains(&host) {
        facts.see(Fact::RedirectMetadata, to);
    } else if !starts_inside && (address_of(to).is_some_and(is_private) || host == "localhost") {
        facts.see(Fact::RedirectPrivate, to);
    }
}

/// What the gateway refused after the first answer, whatever name the redirect used.
fn refused(case: &Case<'_>, facts: &mut Facts) {
    for exchange in case.report.requests.iter().skip(1).filter(|exchange| exchange.status.is_none()) {
        let entry = exchange.connection.and_then(|seq| case.ledger.entry(seq));
        if entry.is_some_and(|entry| entry.rule == METADATA_RULE) {
            facts.see(Fact::RedirectMetadata, &exchange.url);
        }
    }
}

/// The sites in the order they were visited.
fn route(case: &Case<'_>) -> String {
    let hosts = case.hops.iter().filter_map(Url::host_str);
    hosts.collect::<Vec<_>>().join(" → ")
}

/// Not reachable from the internet. The gateway has the whole table; this tells what a literal address says.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64)
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.to_ipv4_mapped().is_some_and(|v4| is_private(v4.into()))
        }
    }
}
