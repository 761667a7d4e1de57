//! What holds for every verdict.

use proptest::prelude::*;
use safeurl_protocol::RedirectKind;

use super::sample::{RULES, Sample};
use super::{rules, score};
use crate::domain::verdict::VerdictState;

/// One change that makes a page worse or stranger.
fn change() -> impl Strategy<Value = fn(&mut Sample)> {
    prop::sample::select(vec![
        (|s: &mut Sample| {
            s.login("https://collector.example/");
        }) as fn(&mut Sample),
        |s| {
            s.login("mailto:a@b.example");
        },
        |s| {
            s.title("PayPal");
        },
        |s| {
            s.script(&["powershell", "clipboard-write", "eval", "atob", "unescape"]);
        },
        |s| {
            s.redirects(RedirectKind::Http, "http://169.254.169.254/");
        },
        |s| {
            s.redirected(RedirectKind::Http, "http://a.b.c.login-paypal.xyz:81/x.exe");
        },
        |s| s.ledger.exhausted = Some("bytes-in".into()),
        |s| s.report.requests.clear(),
        |s| s.report.content = None,
        |s| s.report.features = None,
        |s| {
            s.form("https://x.example/", &["cvv:text", "ssn:text"]);
        },
        |s| {
            s.frame("https://y.example/", true);
        },
    ])
}

proptest! {
    #[test]
    fn every_verdict_keeps_its_bounds(text in "\\PC{0,80}", changes in prop::collection::vec(change(), 0..6)) {
        let mut sample = Sample::page("https://harbour.example/x");
        for change in changes {
            if !sample.report.requests.is_empty() && sample.report.features.is_some() {
                change(&mut sample);
            }
        }
        // Hostile text in every place that holds text.
        for exchange in &mut sample.report.requests {
            exchange.status_text = Some(text.clone());
            if let Some(redirect) = &mut exchange.redirect {
                redirect.to.push_str(&text);
            }
        }
        if let Some(features) = &mut sample.report.features {
            features.canonical = Some(text.clone());
            features.open_graph.insert("url".into(), text.clone());
            features.open_graph.insert("site_name".into(), text.clone());
            features.resources.push(text.clone());
            for form in &mut features.forms {
                form.action.push_str(&text);
                form.inputs.iter_mut().for_each(|input| input.name.push_str(&text));
            }
        }
        if let Some(content) = &mut sample.report.content {
            content.file_name = Some(text.clone());
            content.sniffed_mime_type = Some(text.clone());
        }
        let verdict = sample.judged();
        prop_assert!(verdict.risk_score.get() <= 100);
        prop_assert!((0.0..=1.0).contains(&verdict.confidence));
        prop_assert!(!verdict.reasoning.is_empty());
        prop_assert!(verdict.state != VerdictState::NotEvaluated);
        for piece in verdict.findings.iter().flat_map(|finding| &finding.evidence) {
            prop_assert!(!piece.chars().any(char::is_control) && piece.chars().count() <= 201);
        }
    }

    /// One more finding that speaks against a page never lowers its score.
    #[test]
    fn more_risk_never_lowers_the_score(picked in prop::collection::vec(any::<prop::sample::Index>(), 0..8), extra in any::<prop::sample::Index>()) {
        let all = RULES.all();
        let fired = |indices: &[usize]| {
            indices.iter().map(|n| rules::Fired { rule: &all[*n], evidence: Vec::new() }).collect::<Vec<_>>()
        };
        let mut indices: Vec<_> = picked.iter().map(|index| index.index(all.len())).collect();
        let extra = extra.index(all.len());
        prop_assume!(all[extra].weight >= 0);
        let before = score::risk(&fired(&indices), RULES.thresholds());
        indices.push(extra);
        prop_assert!(score::risk(&fired(&indices), RULES.thresholds()) >= before);
    }

    /// Weak signs alone, however many, never make a page malicious.
    #[test]
    fn weak_signs_alone_are_never_malicious(picked in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let weak: Vec<_> = RULES.all().iter().filter(|rule| rule.severity < crate::domain::verdict::Severity::High).collect();
        let fired: Vec<_> = picked
            .iter()
            .map(|index| rules::Fired { rule: weak[index.index(weak.len())], evidence: Vec::new() })
            .collect();
        let score = score::risk(&fired, RULES.thresholds());
        prop_assert!(score::state(RULES.thresholds(), score, &fired) < VerdictState::Malicious);
    }
}
