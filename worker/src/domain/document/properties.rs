//! What holds for a document whatever the container says: the ledger is what was seen.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::generated::{composed, ledger, report};
use super::*;

proptest! {
    #[test]
    fn addresses_ports_and_connection_times_are_the_ledger_s(report in report(), ledger in ledger()) {
        let body = composed(&report, &ledger);
        let made: Vec<_> = report.in_order().map(|(_, exchange)| exchange).collect();
        prop_assert_eq!(body.requests.len(), made.len());
        for (request, exchange) in body.requests.iter().zip(made) {
            let entry = exchange.connection.and_then(|seq| ledger.entries.iter().find(|entry| entry.seq == seq));
            prop_assert_eq!(&request.ip, &entry.and_then(|entry| entry.dialed.clone()));
            prop_assert_eq!(request.port, entry.map(|entry| entry.port));
            prop_assert_eq!(request.timings.dns_ms, entry.and_then(|entry| entry.dns_ms));
            prop_assert_eq!(request.timings.connect_ms, entry.and_then(|entry| entry.connect_ms));
        }
        let shown = body.page.iter().flat_map(|page| &page.ip).chain(&body.lists.ips);
        for ip in shown {
            let dialled = |entry: &EgressEntry| entry.tried.contains(ip) || entry.dialed.as_ref() == Some(ip);
            prop_assert!(body.egress.iter().any(dialled), "{} was never dialled", ip);
        }
    }

    #[test]
    fn nothing_a_report_says_takes_a_connection_out_of_the_document(report in report(), ledger in ledger()) {
        let body = composed(&report, &ledger);
        let mut untold = report;
        untold.side.clear();
        untold.requests.truncate(1);
        untold.requests[0].connection = None;
        prop_assert_eq!(&body.egress, &composed(&untold, &ledger).egress);
        let seen = |seq: u64, host: &str, port: u16, rule: &str| (seq, host.to_owned(), port, rule.to_owned());
        let shown: Vec<_> =
            body.egress.iter().map(|entry| seen(entry.seq, &entry.host, entry.port, &entry.rule)).collect();
        let written: Vec<_> =
            ledger.entries.iter().map(|entry| seen(entry.seq, &entry.host, entry.port, &entry.rule)).collect();
        prop_assert_eq!(shown, written);
        let tried: BTreeSet<_> = ledger.entries.iter().flat_map(|entry| &entry.tried).collect();
        prop_assert!(tried.iter().all(|ip| body.lists.ips.contains(ip)), "every address that had a packet");
    }
}
