//! What the rules say of addresses alone, on four collections of harmless and harmful ones.
//!
//! Nothing was fetched for these, so a harmless address must come out as `unknown`: a verdict against it would rest
//! on its looks. How many harmful ones stand out by their looks is printed, not demanded; most do so only by what
//! is behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safeurl::analysis::{Rules, judge};
use safeurl::domain::document::Evidence;
use safeurl::domain::target::Target;
use safeurl::domain::timestamp::Timestamp;
use safeurl::domain::verdict::VerdictState;
use safeurl_protocol::ledger::Ledger;
use safeurl_protocol::{Report, SCHEMA, Usage};

const COLLECTIONS: [&str; 4] =
    ["urls_temporal2026", "urls_sahingoz2019", "urls_malware", "urls_hannousse2021"];

/// Of a thousand harmless addresses, so many may look suspicious.
const SUSPICIOUS_PER_THOUSAND: usize = 2;

/// The first two fields of each line after the first: address and label.
fn labelled(collection: &str) -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    // Relative to the repository, wherever the test runs; an absolute path stays as it is.
    let folder = std::env::var_os("SAFEURL_CORPORA").map_or("../shared/corpora".into(), PathBuf::from);
    let path = root.join(folder).join(collection).join("urls_dev.csv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read {}: {error}\nhint: set SAFEURL_CORPORA to the folder that holds {collection}/",
            path.display()
        )
    });
    let rows = text.lines().skip(1).map(|line| {
        let (url, rest) = match line.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\",").unwrap_or((quoted, "")),
            None => line.split_once(',').unwrap_or((line, "")),
        };
        (url.replace("\"\"", "\""), rest.split(',').next().unwrap_or_default().to_owned())
    });
    rows.collect()
}

#[test]
fn harmless_addresses_are_not_held_against_anyone_by_their_looks() {
    let rules = Rules::embedded();
    let nothing = Report {
        schema: SCHEMA,
        attempt: "corpus/1".into(),
        requests: Vec::new(),
        content: None,
        features: None,
        usage: Usage::default(),
        side: Vec::new(),
        body: None,
    };
    let (mut harmless, mut suspected) = (0, Vec::new());
    for collection in COLLECTIONS {
        let mut table = BTreeMap::<(String, VerdictState), usize>::new();
        for (url, label) in labelled(collection) {
            let Ok(target) = Target::parse(&url) else { continue };
            let evidence = Evidence { target: &target, report: &nothing, ledger: &Ledger::default() };
            let verdict = judge(&rules, evidence, Timestamp::from_seconds(1_795_219_200));
            if label == "benign" {
                harmless += 1;
                if verdict.state >= VerdictState::Suspicious {
                    suspected.push(format!("{:>3} {url}", verdict.risk_score.get()));
                }
                assert!(verdict.state != VerdictState::Malicious, "{url} by its looks alone: {verdict:?}");
            }
            assert!(verdict.state != VerdictState::Benign, "{url}: nothing was seen of it");
            *table.entry((label, verdict.state)).or_default() += 1;
        }
        for ((label, state), count) in table {
            println!("{collection:<20} {label:<8} {:<11} {count:>5}", state.as_str());
        }
    }
    println!("{} of {harmless} harmless addresses suspected\n{}", suspected.len(), suspected.join("\n"));
    assert!(harmless > 10_000, "the collections hold harmless addresses");
    assert!(
        suspected.len() * 1000 <= harmless * SUSPICIOUS_PER_THOUSAND,
        "too many harmless addresses suspected"
    );
}
