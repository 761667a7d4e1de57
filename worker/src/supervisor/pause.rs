//! Whether a scan was told that its host has too much to do. Only a host that answered by itself is left alone for it: what
//! a site says elsewhere, or a fetcher of a host that it did not reach, holds nobody's jobs up.

use std::time::Duration;

use safeurl_protocol::Report;
use safeurl_protocol::ledger::{Decision, Ledger};

use crate::domain::retry_after;
use crate::domain::target::{Target, leads_to};
use crate::domain::timestamp::Timestamp;
use crate::store::Pause;

/// The pause that the last hop asked for, of at most `longest`. Seen is a connection that the gateway made to that host;
/// in bridge mode there is none, and the report is believed about the submitted host alone.
pub(super) fn asked(
    report: &Report,
    ledger: &Ledger,
    submitted: &Target,
    longest: Duration,
    now: Timestamp,
) -> Option<Pause> {
    let last = report.requests.last()?;
    if !last.status.is_some_and(retry_after::asks) {
        return None;
    }
    let host = Target::parse(&last.url).ok()?.host().to_owned();
    let answered = match last.connection.and_then(|seq| ledger.entry(seq)) {
        Some(entry) => {
            entry.decision == Decision::Allowed
                && entry.connect_ms.is_some()
                && leads_to(&last.url, &entry.host, entry.port)
        }
        None => ledger.attempt.is_none() && host == submitted.host(),
    };
    if !answered {
        return None;
    }
    let values = last.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("retry-after"));
    let wait = retry_after::wait(values.map(|header| header.value.as_str()).next(), now).min(longest);
    (!wait.is_zero()).then_some(Pause { host, wait })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeurl_protocol::ledger::Entry;
    use safeurl_protocol::{Exchange, Header, SCHEMA, Timings, Usage};

    const LONGEST: Duration = Duration::from_secs(300);

    fn hop(url: &str, status: u16, connection: Option<u64>, retry_after: Option<&str>) -> Exchange {
        let header = |value: &str| Header { name: "rEtRy-AfTeR".into(), value: value.into() };
        Exchange {
            url: url.into(),
            method: "GET".into(),
            status: Some(status),
            status_text: None,
            protocol: None,
            headers: retry_after.map(header).into_iter().collect(),
            mime_type: None,
            size: None,
            encoded_size: None,
            sha256: None,
            redirect: None,
            error: None,
            connection,
            timings: Timings::default(),
            tls: None,
            robots: None,
        }
    }

    fn report(requests: Vec<Exchange>) -> Report {
        Report {
            schema: SCHEMA,
            attempt: "job/1".into(),
            requests,
            content: None,
            features: None,
            usage: Usage::default(),
            side: Vec::new(),
            body: None,
        }
    }

    /// A gateway that connected to `seen.example` and to `other.example`, and was refused by `closed.example`.
    fn ledger() -> Ledger {
        let entry = |seq, host: &str, connect_ms| Entry {
            seq,
            host: host.into(),
            port: 443,
            addresses: Vec::new(),
            tried: Vec::new(),
            dialed: None,
            decision: Decision::Allowed,
            rule: "global".into(),
            bytes_in: 0,
            bytes_out: 0,
            opened_at: 0,
            dns_ms: None,
            connect_ms,
            duration_ms: None,
            error: None,
        };
        let entries = vec![
            entry(1, "seen.example", Some(1)),
            entry(2, "other.example", Some(1)),
            entry(3, "closed.example", None),
        ];
        Ledger { attempt: Some("job/1".into()), complete: true, entries, ..Ledger::default() }
    }

    fn asked_by(requests: Vec<Exchange>, ledger: &Ledger) -> Option<(String, u64)> {
        let submitted = Target::parse("https://seen.example/").expect("a target");
        let pause = asked(&report(requests), ledger, &submitted, LONGEST, Timestamp::from_millis(0));
        pause.map(|Pause { host, wait }| (host, wait.as_secs()))
    }

    #[test]
    fn the_host_that_answered_last_is_left_alone_for_as_long_as_it_says_within_bounds() {
        let seen =
            |status, said| asked_by(vec![hop("https://seen.example/", status, Some(1), said)], &ledger());
        let seconds = |wait| Some(("seen.example".to_owned(), wait));
        assert_eq!(seen(429, Some("7")), seconds(7));
        assert_eq!(seen(503, Some("Thu, 01 Jan 1970 00:00:09 GMT")), seconds(9));
        assert_eq!(seen(503, None), seconds(30));
        assert_eq!(seen(429, Some("99999999999999999999")), seconds(300));
        assert_eq!(seen(429, Some("0")), None);
        assert_eq!(seen(200, Some("7")), None);
        assert_eq!(seen(500, Some("7")), None);
    }

    #[test]
    fn no_other_host_is_held_up_by_what_a_site_or_a_fetcher_says() {
        let first = || hop("https://seen.example/", 302, Some(1), Some("100"));
        let redirected =
            |url, connection| asked_by(vec![first(), hop(url, 429, connection, Some("100"))], &ledger());
        assert_eq!(redirected("https://other.example/", Some(2)), Some(("other.example".to_owned(), 100)));
        for (url, connection) in [
            ("https://victim.example/", Some(1)),
            ("https://victim.example/", Some(9)),
            ("https://victim.example/", None),
            ("https://seen.example:8443/", Some(1)),
            ("https://closed.example/", Some(3)),
            ("no url", Some(1)),
        ] {
            assert_eq!(redirected(url, connection), None, "{url} {connection:?}");
        }
        assert_eq!(
            asked_by(vec![first(), hop("https://seen.example/", 200, Some(1), None)], &ledger()),
            None
        );
        assert_eq!(asked_by(Vec::new(), &ledger()), None);
    }

    #[test]
    fn without_a_gateway_the_submitted_host_alone_is_believed() {
        let without = Ledger::default();
        let told = |url| asked_by(vec![hop(url, 429, None, Some("8"))], &without);
        assert_eq!(told("https://seen.example/x"), Some(("seen.example".to_owned(), 8)));
        assert_eq!(told("https://victim.example/"), None);
    }
}
