//! The address rules against third-party data: labelled addresses and URLs, the IANA registries block by block,
//! and collections of URLs that must never be allowed.
//!
//! Each test prints a row: what was looked at, how much of it came out as labelled, and what did not, with the
//! reason. An address or URL that is labelled `deny` and allowed fails, always; a host name is left to the
//! gateway, which judges what it resolves to. `network` sends the same through the whole program.

#[path = "../hostile_network/island.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod island;
#[path = "../hostile_network/names.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod names;
#[path = "ssrf/network.rs"]
mod network;
#[path = "../hostile_network/program.rs"]
mod program;
#[path = "../hostile_network/web.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod web;

use std::net::IpAddr;
use std::path::PathBuf;

use safeurl::gateway::check::{Outlook, check};
use safeurl_egress::Policy;

/// The text of a file of the collection.
fn corpus(file: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    // Relative to the repository, wherever the test runs; an absolute path stays as it is.
    let folder = std::env::var_os("SAFEURL_CORPORA").map_or("../shared/corpora".into(), PathBuf::from);
    let path = root.join(folder).join("ssrf").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}\nhint: set SAFEURL_CORPORA to the folder that holds ssrf/",
            path.display()
        )
    })
}

/// The most deviations of one row that are printed.
const SHOWN: usize = 25;

/// Prints one row of the table, then what is not as labelled.
fn report(what: &str, expected: usize, deviations: &[String]) {
    println!(
        "{what:<34} passed {:>4} expected {expected:>4} deviations {:>3}",
        expected - deviations.len(),
        deviations.len()
    );
    for deviation in deviations.iter().take(SHOWN) {
        println!("    {deviation}");
    }
    if deviations.len() > SHOWN {
        println!("    and {} more of the same kind", deviations.len() - SHOWN);
    }
}

#[test]
fn every_labelled_vector_is_judged_as_labelled_or_left_to_the_resolver() {
    let text = corpus("ip_and_url_vectors_dev.tsv");
    let vectors: Vec<(&str, &str)> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once('\t').expect("a value and a label"))
        .map(|(value, rest)| (value, rest.split('\t').next().unwrap_or_default()))
        .collect();
    let mut wrong = Vec::new();
    for (label, expected) in [("deny", Outlook::Denied), ("allow", Outlook::Allowed)] {
        let labelled: Vec<&str> =
            vectors.iter().filter(|(_, found)| *found == label).map(|(value, _)| *value).collect();
        assert!(!labelled.is_empty(), "the file has vectors labelled {label}");
        let mut names = Vec::new();
        for value in &labelled {
            let answer = check(&Policy::default(), value);
            match answer.decision {
                found if found == expected => {}
                Outlook::NeedsResolution => {
                    names.push(format!("{value}: a name; judged when it is resolved"))
                }
                found => wrong.push(format!("{value}: {} by {:?}", found.as_str(), answer.rule)),
            }
        }
        report(&format!("vectors labelled {label}"), labelled.len(), &names);
    }
    let unlabelled = vectors.iter().filter(|(_, label)| !matches!(*label, "deny" | "allow")).count();
    println!("vectors with other labels, not judged: {unlabelled}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The first column of a registry. Quoted fields may hold commas and line breaks.
fn blocks(csv: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut first_fields = Vec::new();
    let mut quoted = false;
    for c in csv.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            '\n' if !quoted => {
                first_fields.push(std::mem::replace(&mut fields, vec![String::new()]).swap_remove(0))
            }
            _ => fields.last_mut().expect("never empty").push(c),
        }
    }
    // Several blocks in one row are separated by commas; numbers in brackets are footnotes.
    let blocks = first_fields.iter().skip(1).flat_map(|field| field.split(','));
    blocks.map(|block| block.split_whitespace().next().expect("a block").to_owned()).collect()
}

/// First, middle and last address of a block.
fn samples(block: &str) -> [IpAddr; 3] {
    let (address, prefix) = block.split_once('/').expect("a prefix");
    let prefix: u32 = prefix.parse().expect("a number");
    match address.parse().expect("an address") {
        IpAddr::V4(first) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            [0, rest / 2, rest].map(|offset| IpAddr::V4((first.to_bits() | offset).into()))
        }
        IpAddr::V6(first) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            [0, rest / 2, rest].map(|offset| IpAddr::V6((first.to_bits() | offset).into()))
        }
    }
}

#[test]
fn every_block_of_the_special_purpose_registries_is_denied() {
    let mut allowed = Vec::new();
    for file in ["iana-ipv4-special-registry-1.csv", "iana-ipv6-special-registry-1.csv"] {
        let blocks = blocks(&corpus(file));
        assert!(blocks.len() > 20, "the registry is read: {blocks:?}");
        let found = allowed.len();
        for block in &blocks {
            for address in samples(block) {
                if Policy::default().check(address, 443).allowed {
                    allowed.push(format!("{address} of {block}"));
                }
            }
        }
        report(file, blocks.len() * 3, &allowed[found..]);
    }
    assert!(allowed.is_empty(), "{allowed:#?}");
}

/// Schemes of the links that the text on bypasses shows.
const SCHEMES: [&str; 11] =
    ["http:", "https:", "jar:", "file:", "dict:", "sftp:", "tftp:", "ldap:", "netdoc:", "gopher:", "0:"];

/// The links of the text on bypasses: those in its blocks of code, and how many other lines stand in these blocks.
/// Behind ` = ` stands what a link comes to, which is one itself; the link in a parameter is the one that an exploited
/// program would follow.
fn bypasses(text: &str) -> (Vec<&str>, usize) {
    let (mut links, mut others, mut inside) = (Vec::new(), 0, false);
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside && !line.is_empty() {
            let before = links.len();
            for word in line.split(" = ").flat_map(|part| part.split('"')) {
                let link = word.split_once("url=").map_or(word, |(_, link)| link);
                if SCHEMES.iter().any(|scheme| link.starts_with(scheme)) {
                    links.push(link);
                }
            }
            others += usize::from(links.len() == before);
        }
    }
    (links, others)
}

#[test]
fn no_url_that_hides_an_inner_address_is_allowed() {
    let mut allowed = Vec::new();
    let generated = corpus("patt_generated_127.0.0.1.txt");
    let cloud = corpus("patt_ssrf_cloud_instances.md");
    let written =
        cloud.split(|c: char| c.is_whitespace() || c == '`').filter(|word| word.starts_with("http://"));
    let text = corpus("patt_ssrf_README.md");
    let (bypasses, others) = bypasses(&text);
    println!("lines of the bypasses without a link, not judged: {others}");
    for (what, urls) in [
        ("generated obfuscations", generated.lines().collect::<Vec<_>>()),
        ("bypasses", bypasses),
        ("metadata services of clouds", written.collect()),
    ] {
        assert!(urls.len() > 40, "the file is read: {}", urls.len());
        let mut names = Vec::new();
        for url in &urls {
            let answer = check(&Policy::default(), url);
            match answer.decision {
                Outlook::Denied => {}
                Outlook::NeedsResolution => names.push(format!("{url}: a name; judged when it is resolved")),
                Outlook::Allowed => allowed.push(format!("{url}: {:?}", answer.rule)),
            }
        }
        report(what, urls.len(), &names);
    }
    assert!(allowed.is_empty(), "{allowed:#?}");
}
