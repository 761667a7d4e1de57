//! What is written beside the last edge of an attempt: its record, the document, the ledger.

use safeurl_protocol::ledger::Ledger;

use super::ending::Ending;
use super::invocation::Terms;
use super::{Shared, now, pause};
use crate::analysis;
use crate::domain::document::{
    Assessment, Body, Evidence, SandboxFacts, compose, egress_of, without_report, without_secrets,
};
use crate::domain::failure::Failure;
use crate::domain::scan::Job;
use crate::domain::state::Transition;
use crate::domain::target::Target;
use crate::domain::verdict::Verdict;
use crate::sandbox::Sandbox;
use crate::store::{AttemptRecord, Rows};

/// What is known of an attempt when its last edge is written.
pub(super) struct Account<'a> {
    pub(super) job: &'a Job,
    pub(super) target: Option<&'a Target>,
    pub(super) terms: &'a Terms,
    pub(super) ledger: &'a Ledger,
    pub(super) ending: &'a Ending,
    pub(super) assessment: Option<&'a Assessment>,
    pub(super) stderr_tail: &'a str,
    pub(super) facts: SandboxFacts,
}

/// The rows beside the last edge of an attempt. A final edge has a document; one back to QUEUED has the ledger
/// alone, for the audit.
pub(super) fn of_attempt<S: Sandbox>(
    shared: &Shared<S>,
    account: Account<'_>,
    transition: &Transition,
) -> Rows {
    let Account { job, target, terms, ledger, ending, assessment, stderr_tail, facts } = account;
    let failure = transition.event().failure();
    let attempt = AttemptRecord {
        attempt: job.attempt,
        worker: Some(shared.worker.clone()),
        container_id: job.container_id.clone(),
        outcome: facts.outcome,
        exit_code: facts.exit_code,
        stderr_tail: stderr_tail.to_owned(),
        queue_ms: facts.queue_ms,
        start_ms: facts.start_ms,
        run_ms: facts.run_ms,
    };
    let body = match (ending, assessment, failure, target) {
        (Ending::Report(report), Some(assessment), None, Some(target)) => {
            let evidence = Evidence { target, report, ledger };
            Some(compose(job, terms.documented(), evidence, facts, assessment.clone(), now()))
        }
        (Ending::Failure { report: Some(report), .. }, _, Some(failure), Some(target))
            if transition.to().is_final() =>
        {
            let evidence = Evidence { target, report, ledger };
            let assessment = not_evaluated(shared, failure).into();
            Some(compose(job, terms.documented(), evidence, facts, assessment, now()))
        }
        (_, _, Some(failure), _) if transition.to().is_final() => {
            Some(failure_body(shared, job, target, terms, ledger, facts, failure))
        }
        _ => None,
    };
    let body = body.map(|body| without_secrets(body, &terms.headers));
    let egress = if body.is_some() { Vec::new() } else { egress_of(ledger) };
    let pause = match (ending.report(), target) {
        // The order of a queue in front of the database is not changed.
        (Some(report), Some(target)) if !shared.queue.is_outer() => {
            pause::asked(report, ledger, target, shared.config.politeness.longest_pause, now())
        }
        _ => None,
    };
    Rows { attempt: Some(attempt), body, egress, pause }
}

/// The document of a scan that ended before a container had it.
pub(super) fn refused<S: Sandbox>(shared: &Shared<S>, job: &Job, failure: &Failure) -> Body {
    let target = Target::parse(&job.url).ok();
    let terms = Terms::of(job, &shared.config);
    failure_body(shared, job, target.as_ref(), &terms, &Ledger::default(), SandboxFacts::default(), failure)
}

fn failure_body<S: Sandbox>(
    shared: &Shared<S>,
    job: &Job,
    target: Option<&Target>,
    terms: &Terms,
    ledger: &Ledger,
    facts: SandboxFacts,
    failure: &Failure,
) -> Body {
    without_report(job, target, terms.documented(), ledger, facts, not_evaluated(shared, failure))
}

fn not_evaluated<S: Sandbox>(shared: &Shared<S>, failure: &Failure) -> Verdict {
    let reasoning = format!("There is no result to judge: {}.", failure.message);
    Verdict::not_evaluated(analysis::engine(&shared.rules), reasoning)
}
