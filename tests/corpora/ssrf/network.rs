//! The same data through the whole program, in a network in which every address answers: what is denied arrives
//! nowhere, what is allowed arrives.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use safeurl::gateway::check::{Outlook, check};
use safeurl_egress::Policy;

use super::{blocks, bypasses, corpus, report, samples};
use crate::island::Island;
use crate::names::{Names, Query, Record, Reply};
use crate::program::{denials, dialled, end, scan};
use crate::web::{Web, article};

/// A host out there.
const OUT: &str = "93.184.216.34";

/// Every port that a link of the collection names.
const PORTS: [u16; 7] = [80, 443, 22, 3128, 8080, 8000, 9090];

/// Every name has this address.
fn everywhere(address: &'static str) -> impl Fn(&Query) -> Reply {
    move |query| Reply::Say(vec![query.answer(&[Record::address(&query.name, address)])])
}

/// A link to a bare address, or the link as it is; numbered, because links that mean the same are scanned once.
fn link(number: usize, value: &str) -> String {
    if let Some((start, fragment)) = value.split_once('#') {
        format!("{start}?{number}#{fragment}")
    } else if value.contains("://") || value.starts_with("http:") {
        format!("{value}?{number}")
    } else if value.contains(':') {
        format!("http://[{}]/?{number}", value.replace('%', "%25"))
    } else {
        format!("http://{value}/?{number}")
    }
}

/// Scans links none of which may be dialled, and tells how many of them were links.
fn nothing_is_sent(what: &str, links: &[String]) {
    let island = Island::new();
    let _web = Web::open(&island, &PORTS, |_| article());
    let _names = Names::open(&island, everywhere("10.0.0.9"));
    let documents = scan(&island, links, &[]);
    for (link, document) in &documents {
        assert_eq!(end(document), ("FAILED", "egress_denied"), "{link}");
        assert_eq!(
            (denials(document).len(), dialled(document).len()),
            (1, 0),
            "{link}: {}",
            document["egress"]
        );
    }
    assert_eq!(island.dialled(), 0, "nothing was dialled");
    report(what, links.len(), &[]);
    println!("    {} links, {} that no parser takes for one", documents.len(), links.len() - documents.len());
}

#[test]
fn nothing_arrives_for_a_vector_labelled_deny_and_everything_for_one_labelled_allow() {
    let text = corpus("ip_and_url_vectors_dev.tsv");
    let mut rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    rows.sort_unstable();
    rows.dedup_by_key(|row| row[0]);
    let labelled = |label: &str| -> Vec<String> {
        let values = rows.iter().enumerate().filter(|(_, row)| row[1] == label);
        values.map(|(number, row)| link(number, row[0])).collect()
    };
    let denied = labelled("deny");
    assert!(denied.len() > 100, "{denied:?}");
    nothing_is_sent("vectors labelled deny, dialled", &denied);

    // Those with other labels go the way that `check` tells.
    let others: Vec<(usize, &str)> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row[1] != "deny")
        .map(|(number, row)| (number, row[0]))
        .collect();
    let links: Vec<String> = others.iter().map(|(number, value)| link(*number, value)).collect();
    let island = Island::new();
    let web = Web::open(&island, &PORTS, |_| article());
    let documents = scan(&island, &links, &[]);
    let mut expected = BTreeSet::new();
    for ((_, value), link) in others.iter().zip(&links) {
        let allowed = check(&Policy::default(), value).decision == Outlook::Allowed;
        let state = documents.get(link).map(end);
        if allowed {
            expected.insert(value.parse::<IpAddr>().expect("an address"));
            assert_eq!(state, Some(("COMPLETED", "")), "{link}");
        } else {
            assert!(matches!(state, None | Some(("FAILED", "egress_denied"))), "{link}: {state:?}");
        }
    }
    let allowed = labelled("allow");
    assert!(
        allowed.iter().all(|link| documents.get(link).map(end) == Some(("COMPLETED", ""))),
        "{allowed:?}"
    );
    let arrived: BTreeSet<IpAddr> = web.arrivals(island.dialled()).iter().map(|arrival| arrival.at).collect();
    assert_eq!(arrived, expected);
    report("vectors labelled allow, dialled", allowed.len(), &[]);
}

#[test]
fn nothing_arrives_at_any_block_of_the_special_purpose_registries() {
    for file in ["iana-ipv4-special-registry-1.csv", "iana-ipv6-special-registry-1.csv"] {
        let blocks = blocks(&corpus(file));
        assert!(blocks.len() > 20, "the registry is read: {blocks:?}");
        let addresses: BTreeSet<IpAddr> = blocks.iter().flat_map(|block| samples(block)).collect();
        let links: Vec<String> =
            addresses.iter().map(|address| format!("http://{}/", SocketAddr::new(*address, 8080))).collect();
        nothing_is_sent(&format!("{file}, dialled"), &links);
    }
}

#[test]
fn nothing_arrives_inside_for_a_url_that_hides_an_inner_address() {
    let cloud = corpus("patt_ssrf_cloud_instances.md");
    let written: BTreeSet<&str> = cloud
        .split(|c: char| c.is_whitespace() || c == '`')
        .filter(|word| word.starts_with("http://"))
        .collect();
    let links: Vec<String> = written.into_iter().enumerate().map(|(number, url)| link(number, url)).collect();
    nothing_is_sent("metadata services, dialled", &links);

    // Every name leads inside: also those that pretend to be something else.
    let text = corpus("patt_ssrf_README.md");
    let written: BTreeSet<&str> = bypasses(&text).0.into_iter().collect();
    let links: Vec<String> = written.into_iter().enumerate().map(|(number, url)| link(number, url)).collect();
    assert!(links.len() > 40, "{links:?}");
    nothing_is_sent("bypasses, dialled", &links);

    let generated = corpus("patt_generated_127.0.0.1.txt");
    let links: Vec<String> = generated.lines().enumerate().map(|(number, url)| link(number, url)).collect();
    let island = Island::new();
    let web = Web::open(&island, &PORTS, |_| article());
    // The name that they are mixed with is out there: what a parser takes for the host shows in who is dialled.
    let names = Names::open(&island, everywhere(OUT));
    let documents = scan(&island, &links, &[]);
    let denied = documents.values().filter(|document| end(document) == ("FAILED", "egress_denied")).count();
    let outside = documents.values().filter(|document| end(document) == ("COMPLETED", "")).count();
    let unresolved = documents.len() - denied - outside;
    let arrivals = web.arrivals(island.dialled() - names.over_tcp());
    assert!(arrivals.iter().all(|arrival| arrival.at.to_string() == OUT), "{arrivals:?}");
    assert!(denied > 100 && unresolved == 0, "{denied} denied, {outside} outside, {unresolved} else");
    report("generated obfuscations, dialled", links.len(), &[]);
    let refused = links.len() - documents.len();
    println!("    {denied} denied, {outside} lead to the name, {refused} that no parser takes for a link");
}
