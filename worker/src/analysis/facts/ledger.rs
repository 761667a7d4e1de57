//! Whether what the fetcher claims agrees with what the gateway saw. Where they disagree the ledger is right.

use safeurl_protocol::Exchange;
use safeurl_protocol::ledger::{Decision, Entry};

use super::{Fact, Facts};
use crate::analysis::case::Case;
use crate::domain::target;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    if let Some(budget) = &case.ledger.exhausted {
        facts.see(Fact::LedgerBudget, budget);
    }
    for entry in case.ledger.entries.iter().filter(|entry| entry.decision == Decision::Denied) {
        facts.see(Fact::LedgerDenied, format!("{} ({})", address(entry), entry.rule));
    }
    for exchange in exchanges(case) {
        if let Some(lie) = contradiction(case, exchange) {
            facts.see(Fact::LedgerDisagrees, lie);
        }
    }
    // A connection cut short by the deadline has no number in the report yet, so names are compared.
    for entry in &case.ledger.entries {
        let named = exchanges(case).any(|exchange| leads_to(exchange, entry));
        if !named {
            facts.see(Fact::LedgerUnreported, address(entry));
        }
    }
}

/// Every exchange that is reported: hops, and what was asked beside them.
fn exchanges<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a Exchange> {
    case.report.requests.iter().chain(case.report.side.iter().map(|side| &side.exchange))
}

/// What the ledger says against one exchange.
fn contradiction(case: &Case<'_>, exchange: &Exchange) -> Option<String> {
    let Some(seq) = exchange.connection else {
        // Without a gateway there is no ledger to agree with.
        let watched = case.ledger.attempt.is_some();
        return (watched && exchange.status.is_some())
            .then(|| format!("an answer from {} without a connection", exchange.url));
    };
    let Some(entry) = case.ledger.entry(seq) else {
        return Some(format!("connection {seq} to {} was never made", exchange.url));
    };
    if !leads_to(exchange, entry) {
        return Some(format!("connection {seq} led to {}, not to {}", address(entry), exchange.url));
    }
    let silent = entry.decision == Decision::Denied || entry.dialed.is_none();
    (silent && exchange.status.is_some())
        .then(|| format!("connection {seq} to {} could not answer", address(entry)))
}

fn leads_to(exchange: &Exchange, entry: &Entry) -> bool {
    target::leads_to(&exchange.url, &entry.host, entry.port)
}

fn address(entry: &Entry) -> String {
    format!("{}:{}", entry.host, entry.port)
}

#[cfg(test)]
mod tests;
