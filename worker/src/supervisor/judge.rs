//! Runs the analysis beside the loop and not longer than its limit.

use std::sync::Arc;
use std::time::Duration;

use safeurl_protocol::Report;
use safeurl_protocol::ledger::Ledger;

use crate::analysis::{self, Rules};
use crate::domain::document::{Assessment, Evidence};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::target::Target;

/// The verdict with what else was read out of the report, or why there is none. An analysis beyond its limit is left to
/// end by itself: it holds nothing.
pub(super) async fn within(
    limit: Duration,
    rules: Arc<Rules>,
    target: Target,
    report: Box<Report>,
    ledger: Ledger,
) -> Result<Assessment, Failure> {
    let now = super::now();
    let work = tokio::task::spawn_blocking(move || {
        let evidence = Evidence { target: &target, report: &report, ledger: &ledger };
        analysis::assess(&rules, evidence, now)
    });
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(assessment)) => Ok(assessment),
        Ok(Err(panic)) => Err(Failure::new(
            FailureClass::OutputInvalid,
            FailureStage::Analyse,
            format!("the analysis failed on this report: {panic}"),
        )),
        Err(_) => Err(Failure::new(
            FailureClass::AnalysisTimeout,
            FailureStage::Analyse,
            format!("the analysis took longer than {} ms", limit.as_millis()),
        )),
    }
}
