//! One scan for a person: the verdict and its reasons first, then where it led.

use std::fmt::Write as _;

use super::table::{printable, risk, time};
use crate::domain::document::Document;
use crate::domain::failure::FailureClass;
use crate::domain::verdict::VerdictState;

/// Findings shown in full.
const FINDINGS: usize = 12;

/// Hops shown in full.
const HOPS: usize = 20;

/// The report, each line ended by a newline.
pub(in crate::cli) fn report(document: &Document) -> String {
    let body = &document.body;
    let mut text = String::new();
    let mut say = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    say(format!("{}  {}", printable(&body.task.url), document.job.state));
    if let Some(failure) = &document.job.failure {
        let (class, stage) = (failure.class.as_str(), failure.stage.as_str());
        say(format!("failure   {class} in {stage}: {}", printable(&failure.message)));
        if failure.class == FailureClass::EgressDenied {
            say("hint      --allow-net NETWORK lets a network of your own be reached".to_owned());
        }
    }
    if body.verdict.state == VerdictState::NotEvaluated {
        // Nobody is confident of nothing, and of a failure the reason is told already.
        say(format!("verdict   none ({})", time(document)));
    } else {
        let confidence = body.verdict.confidence;
        say(format!("verdict   {} (confidence {confidence:.2}, {})", risk(document), time(document)));
    }
    if document.job.failure.is_none() {
        say(format!("          {}", printable(&body.verdict.reasoning)));
    }
    for finding in body.verdict.findings.iter().take(FINDINGS) {
        say(format!("{:>+4}  {}  [{}]", finding.weight, printable(&finding.title), finding.rule_id));
        for evidence in &finding.evidence {
            say(format!("      {}", printable(evidence)));
        }
    }
    for request in body.requests.iter().take(HOPS) {
        let status = request.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        let peer = request.ip.as_deref().unwrap_or("-");
        say(format!("hop       {status}  {}  ({peer})", printable(&request.url)));
        if let Some(error) = &request.error {
            say(format!("          {}: {}", error.class.as_str(), printable(&error.message)));
        }
    }
    if let Some(title) = body.page.as_ref().and_then(|page| page.title.as_ref()) {
        say(format!("title     {}", printable(title)));
    }
    if let Some(content) = &body.content {
        let truncated = if content.truncated { ", truncated" } else { "" };
        let kind = content.sniffed_mime_type.as_deref().unwrap_or("unknown type");
        say(format!("content   {} bytes of {}{truncated}", content.size, printable(kind)));
        say(format!("sha256    {}", content.sha256));
    }
    say(format!("job       {}", printable(&document.job.id)));
    text
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_scan_without_a_result_says_why_once_and_claims_no_confidence() {
        let text = report(&sample::failed("no connection: connection refused"));
        assert_eq!(text.matches("no connection").count(), 1, "{text}");
        assert!(text.contains("\nfailure   connect in fetch: no connection") && !text.contains("confidence"));
        assert!(text.contains("\nverdict   none (43 ms)\n"), "{text}");
    }

    #[test]
    fn a_job_that_waits_has_no_verdict_and_says_so() {
        let text = report(&sample::judged(VerdictState::NotEvaluated));
        assert!(text.contains("\nverdict   none (43 ms)\n          Sentences.\n"), "{text}");
        assert!(!text.contains("confidence"), "{text}");
    }

    #[test]
    fn a_scan_with_a_result_shows_its_verdict_and_every_reason_with_evidence() {
        let text = report(&sample::judged(VerdictState::Suspicious));
        assert!(text.contains("\nverdict   suspicious 30 (confidence 0.55, 43 ms)\n"), "{text}");
        assert!(text.contains("\n +10  An unusual port  [url-odd-port]\n      port 81\n"), "{text}");
    }
}
