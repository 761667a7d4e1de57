//! What a container's end means for its job. Pure: the outcome, the report's bytes and the ledger go in, an
//! [`Ending`] comes out. The only place where bytes from the sandbox become a report.

use safeurl_protocol::ledger::{Decision, Ledger};
use safeurl_protocol::{
    ErrorClass, Exchange, Header, Purpose, Report, RobotsDecision, RobotsSource, SCHEMA, SideRequest,
};

use super::attempt::End;
use crate::domain::document::{OutcomeName, text_without_secrets};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::sandbox::Outcome;

/// How an attempt ended after the hand-over.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With evidence to judge.
    Report(Box<Report>),
    /// Without a response; what the fetcher says of its tries is kept where it said something.
    Failure {
        /// Why.
        failure: Failure,
        /// Its report, in which no hop has a response head.
        report: Option<Box<Report>>,
    },
    /// A person asked to stop it.
    Cancelled,
    /// The worker shuts down.
    Aborted,
}

impl Ending {
    /// What the plan needs to know of it.
    #[must_use]
    pub fn end(&self) -> End {
        match self {
            Self::Report(_) => End::Report,
            Self::Failure { failure, .. } if failure.class.is_timeout() => End::TimedOut,
            Self::Failure { .. } => End::Failure,
            Self::Cancelled => End::Cancelled,
            Self::Aborted => End::Aborted,
        }
    }
}

impl Ending {
    /// Takes what was fetched out of the report. Nothing that is judged, stored or logged gets to see it.
    pub(super) fn take_body(&mut self) -> Option<String> {
        self.report_mut().and_then(|report| report.body.take())
    }

    /// Takes the values of submitted headers out of the reason: it may quote a site that shows what it was sent, and is
    /// stored and told beside the document.
    pub(super) fn without_secrets(&mut self, headers: &[Header]) {
        if let Self::Failure { failure, .. } = self {
            failure.message = text_without_secrets(&failure.message, headers);
        }
    }

    /// The report, where there is one.
    pub(super) fn report(&self) -> Option<&Report> {
        match self {
            Self::Report(report) | Self::Failure { report: Some(report), .. } => Some(report),
            Self::Failure { report: None, .. } | Self::Cancelled | Self::Aborted => None,
        }
    }

    fn report_mut(&mut self) -> Option<&mut Report> {
        match self {
            Self::Report(report) | Self::Failure { report: Some(report), .. } => Some(report),
            Self::Failure { report: None, .. } | Self::Cancelled | Self::Aborted => None,
        }
    }
}

/// How the egress of the attempt was watched.
#[derive(Debug, Clone, Copy)]
pub enum Watched<'a> {
    /// By the gateway, whose ledger this is.
    Gateway(&'a Ledger),
    /// Not at all: the container had a network card.
    Bridge,
}

/// Decides how an attempt ended.
#[must_use]
pub fn decide(outcome: Outcome, attempt: &str, watched: Watched<'_>) -> Ending {
    let fail = |class, stage, message: String| Ending::Failure {
        failure: Failure::new(class, stage, message),
        report: None,
    };
    if let (Watched::Gateway(ledger), false) = (watched, matches!(outcome, Outcome::Cancelled))
        && !ledger.complete
    {
        let message = "the egress gateway died during the fetch, so what was seen cannot be checked";
        return fail(FailureClass::Lost, FailureStage::Fetch, message.into());
    }
    match outcome {
        Outcome::Reported(bytes) => match read(&bytes, attempt) {
            Ok(report) => of_report(report, watched),
            Err(reason) => fail(FailureClass::OutputInvalid, FailureStage::Report, reason),
        },
        Outcome::Invalid { reason } => fail(FailureClass::OutputInvalid, FailureStage::Report, reason),
        Outcome::TooLarge => fail(
            FailureClass::OutputTooLarge,
            FailureStage::Report,
            "the container printed more than its output limit".into(),
        ),
        Outcome::OutOfMemory => fail(
            FailureClass::OutOfMemory,
            FailureStage::Fetch,
            "the container needed more memory than its limit".into(),
        ),
        Outcome::TimedOut => fail(
            FailureClass::Timeout,
            FailureStage::Fetch,
            "the container did not end in time and was killed".into(),
        ),
        Outcome::Cancelled => Ending::Cancelled,
        Outcome::Crashed { code } => fail(
            FailureClass::ContainerCrash,
            FailureStage::Fetch,
            format!("the fetcher ended with exit code {code} and no report"),
        ),
        Outcome::NoJob => fail(
            FailureClass::Lost,
            FailureStage::Start,
            "the container's standard input ended before the job reached it".into(),
        ),
        Outcome::Lost { reason } => fail(FailureClass::Lost, FailureStage::Fetch, reason),
        Outcome::Disowned => {
            fail(FailureClass::Lost, FailureStage::Fetch, "another worker holds the job".into())
        }
    }
}

/// The name of an outcome in the document.
#[must_use]
pub(super) const fn outcome_name(outcome: &Outcome) -> OutcomeName {
    match outcome {
        Outcome::Reported(_) | Outcome::Invalid { .. } | Outcome::Crashed { .. } | Outcome::NoJob => {
            OutcomeName::Exited
        }
        Outcome::TooLarge => OutcomeName::OutputTooLarge,
        Outcome::OutOfMemory => OutcomeName::OutOfMemory,
        Outcome::TimedOut => OutcomeName::TimedOut,
        Outcome::Cancelled | Outcome::Lost { .. } | Outcome::Disowned => OutcomeName::Lost,
    }
}

pub(crate) fn read(bytes: &[u8], attempt: &str) -> Result<Report, String> {
    let report: Report =
        serde_json::from_slice(bytes).map_err(|error| format!("the report cannot be read: {error}"))?;
    if report.schema != SCHEMA {
        return Err(format!("the report has schema {}, this worker reads {SCHEMA}", report.schema));
    }
    if report.attempt != attempt {
        return Err("the report belongs to another attempt".into());
    }
    if report.requests.is_empty() {
        return Err("the report names no request".into());
    }
    // It would stand where the last hop is looked for.
    if report.side.iter().any(|side| side.purpose == Purpose::Document) {
        return Err("the report has a hop beside the hops".into());
    }
    Ok(report)
}

/// The first hop decides whether there is a scan: once any response head arrived, all else is evidence.
fn of_report(report: Report, watched: Watched<'_>) -> Ending {
    if report.requests.iter().any(|exchange| exchange.status.is_some()) {
        return Ending::Report(Box::new(report));
    }
    let failure = report.requests.last().map_or_else(
        || Failure::new(FailureClass::OutputInvalid, FailureStage::Report, "the report names no request"),
        |exchange| match unreached_robots(&report, exchange) {
            Some(robots) => before_the_hop(first_hop_failure(robots, watched)),
            None => first_hop_failure(exchange, watched),
        },
    );
    Ending::Failure { failure, report: Some(Box::new(report)) }
}

/// The exchange for the robots.txt of the last hop, where that got no response: the hop was then not refused by the
/// site but could not be reached, and why not is what a person has to know.
fn unreached_robots<'a>(report: &'a Report, hop: &Exchange) -> Option<&'a Exchange> {
    let unreachable = |robots: &RobotsDecision| match robots.source {
        RobotsSource::Unreachable => true,
        RobotsSource::File | RobotsSource::Missing => false,
    };
    let last = report.requests.len().saturating_sub(1);
    let asked = |side: &&SideRequest| side.purpose == Purpose::Robots && side.before == last;
    let side = report.side.iter().rev().find(asked)?;
    let refused = hop.error.as_ref().is_some_and(|error| error.class == ErrorClass::RobotsDisallowed);
    let silent = side.exchange.status.is_none() && side.exchange.error.is_some();
    (refused && silent && hop.robots.as_ref().is_some_and(unreachable)).then_some(&side.exchange)
}

fn before_the_hop(failure: Failure) -> Failure {
    Failure { message: format!("asking for robots.txt: {}", failure.message), ..failure }
}

/// Where report and ledger disagree about a refusal, the ledger wins.
fn first_hop_failure(exchange: &Exchange, watched: Watched<'_>) -> Failure {
    if let Watched::Gateway(ledger) = watched
        && let Some(entry) = exchange.connection.and_then(|seq| ledger.entry(seq))
        && entry.decision == Decision::Denied
    {
        let message = format!("{}:{} may not be dialled (rule {})", entry.host, entry.port, entry.rule);
        return Failure::from_hop(ErrorClass::EgressDenied, message);
    }
    match &exchange.error {
        Some(error) => Failure::from_hop(error.class, error.message.clone()),
        None => Failure::new(
            FailureClass::OutputInvalid,
            FailureStage::Report,
            "the report names neither a response nor an error",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::generated;
    use proptest::prelude::*;
    use safeurl_protocol::ledger::Entry;
    use safeurl_protocol::{HopError, Timings, Usage};

    const ATTEMPT: &str = "job/1";

    fn exchange(status: Option<u16>, error: Option<ErrorClass>) -> Exchange {
        Exchange {
            url: "http://example.test/".into(),
            method: "GET".into(),
            status,
            status_text: None,
            protocol: None,
            headers: Vec::new(),
            mime_type: None,
            size: None,
            encoded_size: None,
            sha256: None,
            redirect: None,
            error: error.map(|class| HopError { class, message: "why".into() }),
            connection: Some(1),
            timings: Timings::default(),
            tls: None,
            robots: None,
        }
    }

    fn report(requests: Vec<Exchange>) -> Report {
        Report {
            schema: SCHEMA,
            attempt: ATTEMPT.into(),
            requests,
            content: None,
            features: None,
            usage: Usage::default(),
            side: Vec::new(),
            body: None,
        }
    }

    fn reported(report: &Report) -> Outcome {
        Outcome::Reported(serde_json::to_vec(report).expect("plain values"))
    }

    fn ledger() -> Ledger {
        Ledger { attempt: Some(ATTEMPT.into()), complete: true, ..Ledger::default() }
    }

    fn class_of(ending: &Ending) -> Option<FailureClass> {
        match ending {
            Ending::Failure { failure, .. } => Some(failure.class),
            Ending::Report(_) | Ending::Cancelled | Ending::Aborted => None,
        }
    }

    #[test]
    fn a_response_head_on_any_hop_makes_it_a_scan() {
        for requests in [
            vec![exchange(Some(200), None)],
            vec![exchange(Some(302), None), exchange(None, Some(ErrorClass::EgressDenied))],
            vec![exchange(None, Some(ErrorClass::Tls)), exchange(Some(200), Some(ErrorClass::Body))],
            vec![exchange(Some(200), Some(ErrorClass::Timeout))],
        ] {
            let ending = decide(reported(&report(requests)), ATTEMPT, Watched::Gateway(&ledger()));
            assert!(matches!(ending, Ending::Report(_)), "{ending:?}");
        }
    }

    #[test]
    fn without_one_the_last_first_hop_names_the_class() {
        for (error, class) in [
            (ErrorClass::EgressDenied, FailureClass::EgressDenied),
            (ErrorClass::Dns, FailureClass::Dns),
            (ErrorClass::Connect, FailureClass::Connect),
            (ErrorClass::Tls, FailureClass::Tls),
            (ErrorClass::HttpProtocol, FailureClass::HttpProtocol),
            (ErrorClass::Timeout, FailureClass::Timeout),
        ] {
            let requests = vec![exchange(None, Some(ErrorClass::Tls)), exchange(None, Some(error))];
            let ending = decide(reported(&report(requests)), ATTEMPT, Watched::Gateway(&ledger()));
            assert_eq!(class_of(&ending), Some(class), "{error:?}");
        }
    }

    #[test]
    fn the_ledger_wins_over_what_the_report_says_of_a_refusal() {
        let mut denied = ledger();
        denied.entries.push(Entry {
            seq: 1,
            host: "localhost".into(),
            port: 80,
            addresses: vec!["127.0.0.1".into()],
            tried: Vec::new(),
            dialed: None,
            decision: Decision::Denied,
            rule: "loopback".into(),
            bytes_in: 0,
            bytes_out: 0,
            opened_at: 0,
            dns_ms: None,
            connect_ms: None,
            duration_ms: None,
            error: None,
        });
        let requests = vec![exchange(None, Some(ErrorClass::Connect))];
        let ending = decide(reported(&report(requests)), ATTEMPT, Watched::Gateway(&denied));
        assert_eq!(class_of(&ending), Some(FailureClass::EgressDenied));
    }

    #[test]
    fn what_was_asked_beside_the_hops_is_no_hop() {
        let exchange = exchange(Some(200), None);
        let side = SideRequest { purpose: Purpose::Document, before: 1, exchange: exchange.clone() };
        let hidden = Report { side: vec![side], ..report(vec![exchange]) };
        let ending = decide(reported(&hidden), ATTEMPT, Watched::Gateway(&ledger()));
        assert_eq!(class_of(&ending), Some(FailureClass::OutputInvalid));
    }

    /// A hop that was refused, and the exchange for robots.txt that went before it.
    fn refused_by_robots(source: RobotsSource, robots: Exchange) -> Report {
        let mut hop = exchange(None, Some(ErrorClass::RobotsDisallowed));
        hop.connection = None;
        hop.robots = Some(RobotsDecision { allowed: false, source, rule: Some("Disallow: /".into()) });
        let side = SideRequest { purpose: Purpose::Robots, before: 0, exchange: robots };
        Report { side: vec![side], ..report(vec![hop]) }
    }

    #[test]
    fn a_first_hop_that_robots_refuse_is_no_scan_although_the_file_had_a_response() {
        for (source, status) in [(RobotsSource::File, 200), (RobotsSource::Unreachable, 503)] {
            let refused = refused_by_robots(source, exchange(Some(status), None));
            let ending = decide(reported(&refused), ATTEMPT, Watched::Gateway(&ledger()));
            let Ending::Failure { failure, report } = ending else { panic!("{ending:?}") };
            assert_eq!((failure.class, failure.retryable), (FailureClass::RobotsDisallowed, false));
            assert!(report.is_some_and(|report| report.side.len() == 1), "what was asked is kept");
        }
    }

    #[test]
    fn robots_that_cannot_be_asked_are_told_by_what_was_in_the_way() {
        for (error, class, retryable) in [
            (ErrorClass::Dns, FailureClass::Dns, false),
            (ErrorClass::DnsUnavailable, FailureClass::Dns, true),
            (ErrorClass::EgressDenied, FailureClass::EgressDenied, false),
            (ErrorClass::Connect, FailureClass::Connect, false),
            (ErrorClass::Timeout, FailureClass::Timeout, false),
        ] {
            let refused = refused_by_robots(RobotsSource::Unreachable, exchange(None, Some(error)));
            let ending = decide(reported(&refused), ATTEMPT, Watched::Gateway(&ledger()));
            let Ending::Failure { failure, .. } = ending else { panic!("{ending:?}") };
            assert_eq!((failure.class, failure.retryable), (class, retryable), "{error:?}");
            assert_eq!(failure.message, "asking for robots.txt: why");
        }
    }

    #[test]
    fn a_later_hop_that_robots_refuse_is_evidence() {
        let later = exchange(None, Some(ErrorClass::RobotsDisallowed));
        let ending = decide(
            reported(&report(vec![exchange(Some(302), None), later])),
            ATTEMPT,
            Watched::Gateway(&ledger()),
        );
        assert!(matches!(ending, Ending::Report(_)), "{ending:?}");
    }

    #[test]
    fn a_failure_is_told_in_a_sentence_and_without_the_secrets_of_the_job() {
        let mut refused = exchange(None, Some(ErrorClass::HttpProtocol));
        let message = format!("it begins with \"t0ken-123\" {}", "é".repeat(100_000));
        refused.error = Some(HopError { class: ErrorClass::HttpProtocol, message });
        let mut ending = decide(reported(&report(vec![refused])), ATTEMPT, Watched::Gateway(&ledger()));
        ending.without_secrets(&[Header { name: "X-Key".into(), value: "t0ken-123".into() }]);
        let Ending::Failure { failure, .. } = ending else { panic!("{ending:?}") };
        assert!(failure.message.starts_with("it begins with \"***\"") && failure.message.len() <= 1000);
    }

    #[test]
    fn a_gateway_that_died_makes_any_report_lost() {
        let dead = Ledger { complete: false, ..ledger() };
        let ending =
            decide(reported(&report(vec![exchange(Some(200), None)])), ATTEMPT, Watched::Gateway(&dead));
        assert_eq!(class_of(&ending), Some(FailureClass::Lost));
        let bridge = decide(reported(&report(vec![exchange(Some(200), None)])), ATTEMPT, Watched::Bridge);
        assert!(matches!(bridge, Ending::Report(_)));
    }

    proptest! {
        #[test]
        fn no_claim_survives_a_dead_gateway_and_none_hides_a_refusal_it_names(
            mut report in generated::report(),
            ledger in generated::ledger(),
        ) {
            let dead = Ledger { complete: false, ..ledger.clone() };
            let ending = decide(reported(&report), ATTEMPT, Watched::Gateway(&dead));
            prop_assert_eq!(class_of(&ending), Some(FailureClass::Lost));
            // Without any answer the last hop says why; but not that it was let through.
            for exchange in &mut report.requests {
                exchange.status = None;
            }
            let whole = Ledger { complete: true, ..ledger };
            for denied in whole.entries.iter().filter(|entry| entry.decision == Decision::Denied) {
                if let Some(hop) = report.requests.last_mut() {
                    hop.connection = Some(denied.seq);
                }
                let ending = decide(reported(&report), ATTEMPT, Watched::Gateway(&whole));
                prop_assert_eq!(class_of(&ending), Some(FailureClass::EgressDenied));
            }
        }
    }

    #[test]
    fn what_is_not_a_report_of_this_attempt_is_invalid_output() {
        let whole = report(vec![exchange(Some(200), None)]);
        let newer = Report { schema: SCHEMA + 1, ..whole.clone() };
        let foreign = Report { attempt: "job/2".into(), ..whole.clone() };
        let empty = report(Vec::new());
        let silent = report(vec![exchange(None, None)]);
        let deep = Outcome::Reported("[".repeat(1 << 20).into_bytes());
        for outcome in [reported(&newer), reported(&foreign), reported(&empty), reported(&silent), deep] {
            let ending = decide(outcome, ATTEMPT, Watched::Gateway(&ledger()));
            assert_eq!(class_of(&ending), Some(FailureClass::OutputInvalid), "{ending:?}");
        }
    }

    #[test]
    fn every_other_outcome_has_its_class() {
        for (outcome, class) in [
            (Outcome::Invalid { reason: "x".into() }, FailureClass::OutputInvalid),
            (Outcome::TooLarge, FailureClass::OutputTooLarge),
            (Outcome::OutOfMemory, FailureClass::OutOfMemory),
            (Outcome::TimedOut, FailureClass::Timeout),
            (Outcome::Crashed { code: 101 }, FailureClass::ContainerCrash),
            (Outcome::NoJob, FailureClass::Lost),
            (Outcome::Lost { reason: "x".into() }, FailureClass::Lost),
        ] {
            let ending = decide(outcome.clone(), ATTEMPT, Watched::Gateway(&ledger()));
            assert_eq!(class_of(&ending), Some(class), "{outcome:?}");
        }
        assert_eq!(
            decide(Outcome::Cancelled, ATTEMPT, Watched::Gateway(&Ledger::default())),
            Ending::Cancelled
        );
    }
}
