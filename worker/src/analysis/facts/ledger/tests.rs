use proptest::prelude::*;
use proptest::sample::{Index, select};
use safeurl_protocol::{Purpose, SideRequest};

use super::*;
use crate::analysis::sample::{NOW, RULES, Sample};
use crate::domain::document::Evidence;
use crate::domain::target::Target;
use crate::domain::timestamp::Timestamp;

const SITE: &str = "https://harbour.example/";

/// How a hop went.
#[derive(Debug, Clone, Copy)]
enum Went {
    Answered,
    Denied,
    /// Allowed, and nobody was there.
    Silent,
    /// The deadline passed before the fetcher had its connection's number.
    Cut,
}

/// A fetch whose report says what its ledger says, with one answered hop at least.
fn honest() -> impl Strategy<Value = Sample> {
    let url = (
        select(&["http", "https"][..]),
        select(&["a.example", "b.example", "192.0.2.9"][..]),
        8080..8083_u16,
    );
    let went = select(&[Went::Answered, Went::Denied, Went::Silent, Went::Cut][..]);
    let hop =
        (url.prop_map(|(scheme, host, port)| format!("{scheme}://{host}:{port}/")), went, any::<bool>());
    prop::collection::vec(hop, 0..5).prop_map(|hops| {
        let mut sample = Sample::page(SITE);
        for (url, went, beside) in hops {
            sample.hop(&url, matches!(went, Went::Answered).then_some(200));
            let entry = sample.ledger.entries.last_mut().expect("just added");
            match went {
                Went::Answered => {}
                Went::Denied => (entry.decision, entry.dialed) = (Decision::Denied, None),
                Went::Silent => entry.dialed = None,
                Went::Cut => sample.report.requests.last_mut().expect("just added").connection = None,
            }
            if beside {
                let exchange = sample.report.requests.pop().expect("just added");
                sample.report.side.push(SideRequest { purpose: Purpose::Robots, before: 0, exchange });
            }
        }
        sample
    })
}

/// Whether report and ledger disagree, and whether a connection is not told of.
fn found(sample: &Sample) -> (bool, bool) {
    let target = Target::parse(&sample.submitted).expect("a URL");
    let evidence = Evidence { target: &target, report: &sample.report, ledger: &sample.ledger };
    let mut facts = Facts::default();
    add(&Case::of(&RULES, evidence, Timestamp::from_seconds(NOW)), &mut facts);
    (facts.seen(Fact::LedgerDisagrees).is_some(), facts.seen(Fact::LedgerUnreported).is_some())
}

/// All exchanges of a report, to be changed.
fn told(sample: &mut Sample) -> Vec<&mut Exchange> {
    let side = sample.report.side.iter_mut().map(|side| &mut side.exchange);
    sample.report.requests.iter_mut().chain(side).collect()
}

/// One that got an answer: only there a claim is more than a missing number.
fn answered(sample: &mut Sample, picked: Index) -> &mut Exchange {
    let mut answered: Vec<_> =
        told(sample).into_iter().filter(|exchange| exchange.status.is_some()).collect();
    answered.remove(picked.index(answered.len()))
}

proptest! {
    #[test]
    fn a_report_that_says_what_the_ledger_says_is_believed(sample in honest()) {
        prop_assert_eq!(found(&sample), (false, false));
    }

    #[test]
    fn a_connection_that_was_never_made_is_a_disagreement(
        mut sample in honest(), picked: Index, number in any::<u64>(),
    ) {
        prop_assume!(sample.ledger.entry(number).is_none());
        answered(&mut sample, picked).connection = Some(number);
        prop_assert!(found(&sample).0);
    }

    #[test]
    fn an_answer_without_its_connection_is_a_disagreement(mut sample in honest(), picked: Index) {
        answered(&mut sample, picked).connection = None;
        prop_assert!(found(&sample).0);
    }

    #[test]
    fn somebody_else_s_connection_is_a_disagreement(
        mut sample in honest(), picked: Index, other: Index,
    ) {
        let entries = sample.ledger.entries.clone();
        let other = &entries[other.index(entries.len())];
        let liar = answered(&mut sample, picked);
        prop_assume!(!leads_to(liar, other));
        liar.connection = Some(other.seq);
        prop_assert!(found(&sample).0);
    }

    #[test]
    fn another_host_or_port_is_a_disagreement_and_leaves_a_connection_untold(
        mut sample in honest(), picked: Index, elsewhere in select(&["https://nice.example/", "https://a.example:1/"][..]),
    ) {
        let liar = answered(&mut sample, picked);
        elsewhere.clone_into(&mut liar.url);
        let seq = liar.connection;
        let hidden = sample.ledger.entries.iter().find(|entry| Some(entry.seq) == seq).cloned().expect("made");
        let named = told(&mut sample).iter().any(|exchange| leads_to(exchange, &hidden));
        prop_assert_eq!(found(&sample), (true, !named));
    }

    #[test]
    fn an_answer_where_nothing_was_reached_is_a_disagreement(
        mut sample in honest(), picked: Index, denied: bool,
    ) {
        let seq = answered(&mut sample, picked).connection;
        for entry in sample.ledger.entries.iter_mut().filter(|entry| Some(entry.seq) == seq) {
            entry.dialed = None;
            if denied {
                entry.decision = Decision::Denied;
            }
        }
        prop_assert!(found(&sample).0);
    }

    /// However much is left out, what was left out is told by the ledger.
    #[test]
    fn an_exchange_that_is_left_out_leaves_a_connection_untold(
        mut sample in honest(), kept in prop::collection::vec(any::<bool>(), 10),
    ) {
        let mut keep = kept.iter().copied();
        sample.report.requests.retain(|_| keep.next().unwrap_or(true));
        sample.report.side.retain(|_| keep.next().unwrap_or(true));
        let entries = sample.ledger.entries.clone();
        let left = told(&mut sample);
        let untold = entries.iter().any(|entry| !left.iter().any(|exchange| leads_to(exchange, entry)));
        prop_assert_eq!(found(&sample), (false, untold));
    }
}
