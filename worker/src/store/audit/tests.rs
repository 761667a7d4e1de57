use proptest::prelude::*;

use super::*;
use crate::domain::document::egress_of;
use crate::domain::document::generated::{composed, ledger, report};

/// What a row says that only the gateway can know.
fn seen(row: &AuditRow) -> serde_json::Value {
    let mut summary: serde_json::Value = serde_json::from_str(&row.summary).expect("an object");
    for judged in ["verdict", "riskScore"] {
        summary[judged].take();
    }
    summary
}

proptest! {
    #[test]
    fn every_connection_is_in_the_audit_and_under_its_own_host_whatever_the_report_claims(
        report in report(),
        ledger in ledger(),
    ) {
        let egress = egress_of(&ledger);
        let told = entries(Some(&composed(&report, &ledger)), &[]);
        for alone in entries(None, &egress) {
            let same: Vec<_> = told.iter().filter(|row| seen(row) == seen(&alone)).collect();
            prop_assert!(!same.is_empty(), "{} is missing", alone.url);
            let entry = egress.iter().find(|entry| alone.summary.contains(&format!("\"{}\"", entry.rule)));
            let entry = entry.expect("each has a rule of its own");
            for row in same {
                prop_assert!(
                    row.url == alone.url || leads_to(&row.url, &entry.host, entry.port),
                    "{} stands for {}", row.url, alone.url
                );
            }
        }
        let rules: Vec<_> = egress.iter().map(|entry| json!(entry.rule)).collect();
        prop_assert!(told.iter().all(|row| rules.contains(&seen(row)["rule"])), "nothing is made up");
    }
}
