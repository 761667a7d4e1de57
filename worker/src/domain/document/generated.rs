//! Ledgers and reports for properties: any ledger a gateway can write, and whatever a container may claim of it.

use std::collections::BTreeMap;

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use safeurl_protocol::ledger::{Decision, Entry, Ledger};
use safeurl_protocol::{
    ErrorClass, Exchange, Header, HopError, Purpose, Report, SCHEMA, SideRequest, Timings, Usage,
};

use super::{Body, Evidence, SandboxFacts, TaskOptions, compose};
use crate::domain::scan::sample;
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::{Engine, Verdict};

const HOSTS: [&str; 5] = ["a.example", "B.example.", "c.example", "192.0.2.1", "[2001:db8::1]"];
const PORTS: [u16; 3] = [80, 443, 8443];

/// More connections than this have no ledger here; claims go a little further.
const CONNECTIONS: usize = 5;

/// An address that only a ledger has.
fn address() -> impl Strategy<Value = String> {
    any::<u8>().prop_map(|last| format!("203.0.113.{last}"))
}

fn entry() -> impl Strategy<Value = Entry> {
    let asked = (select(&HOSTS[..]), select(&PORTS[..]), any::<bool>());
    let addresses = (prop::collection::vec(address(), 0..3), of(address()));
    let counted = (any::<u32>(), any::<u32>(), of(0..5000_u64), of(0..5000_u64), of(0..5000_u64));
    (asked, addresses, counted).prop_map(|((host, port, allowed), (addresses, dialed), counted)| Entry {
        seq: 0,
        host: host.into(),
        port,
        tried: addresses.iter().take(1).chain(&dialed).cloned().collect(),
        addresses,
        dialed: dialed.filter(|_| allowed),
        decision: if allowed { Decision::Allowed } else { Decision::Denied },
        rule: String::new(),
        bytes_in: counted.0.into(),
        bytes_out: counted.1.into(),
        opened_at: 1,
        dns_ms: counted.2,
        connect_ms: counted.3,
        duration_ms: counted.4,
        error: None,
    })
}

/// Connections are numbered from 1, in the ledger in any order, and each is told by its rule.
pub(crate) fn ledger() -> impl Strategy<Value = Ledger> {
    let entries = prop::collection::vec(entry(), 0..=CONNECTIONS).prop_map(|mut entries| {
        for (seq, entry) in (1..).zip(&mut entries) {
            (entry.seq, entry.rule) = (seq, format!("rule-{seq}"));
        }
        entries
    });
    (entries.prop_shuffle(), of(Just("bytes-in".to_owned())), any::<bool>()).prop_map(
        |(entries, exhausted, complete)| Ledger {
            attempt: Some("job/1".into()),
            entries,
            exhausted,
            complete,
        },
    )
}

fn url() -> impl Strategy<Value = String> {
    let url = (select(&["http", "https"][..]), select(&HOSTS[..]), select(&PORTS[..]));
    prop_oneof![9 => url.prop_map(|(scheme, host, port)| format!("{scheme}://{host}:{port}/")), 1 => "\\PC{0,20}"]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let error = of(select(&[ErrorClass::Dns, ErrorClass::Connect, ErrorClass::Timeout][..]));
    let claims = (of(100..600_u16), of(0..CONNECTIONS as u64 + 3), error);
    (url(), claims).prop_map(|(url, (status, connection, error))| Exchange {
        url,
        method: "GET".into(),
        status,
        status_text: Some("198.51.100.1".into()),
        protocol: None,
        headers: vec![Header { name: "X-Address".into(), value: "198.51.100.2".into() }],
        mime_type: None,
        size: None,
        encoded_size: None,
        sha256: None,
        redirect: None,
        error: error.map(|class| HopError { class, message: "198.51.100.3".into() }),
        connection,
        timings: Timings { tls_ms: Some(90_001), first_byte_ms: Some(90_002), total_ms: 90_003 },
        tls: None,
        robots: None,
    })
}

/// A report that claims any connections to anywhere. Its addresses and times are in no ledger.
pub(crate) fn report() -> impl Strategy<Value = Report> {
    let side = (select(&[Purpose::Robots, Purpose::Favicon][..]), 0..4_usize, exchange())
        .prop_map(|(purpose, before, exchange)| SideRequest { purpose, before, exchange });
    let side = prop::collection::vec(side, 0..3);
    (prop::collection::vec(exchange(), 1..5), side).prop_map(|(requests, side)| Report {
        schema: SCHEMA,
        attempt: "job/1".into(),
        requests,
        content: None,
        features: None,
        usage: Usage::default(),
        side,
        body: None,
    })
}

/// What a document is made of besides.
pub(crate) fn composed(report: &Report, ledger: &Ledger) -> Body {
    let target = Target::parse("https://a.example/").expect("a URL");
    let engine = Engine { name: "rules".into(), version: "1".into(), rules_digest: "0".into() };
    compose(
        &sample("https://a.example/"),
        TaskOptions {
            user_agent: "u".into(),
            timeout_ms: 1,
            max_redirects: 1,
            headers: BTreeMap::new(),
            respect_robots: true,
        },
        Evidence { target: &target, report, ledger },
        SandboxFacts::default(),
        Verdict::not_evaluated(engine, "why").into(),
        Timestamp::default(),
    )
}
