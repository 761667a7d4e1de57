//! Runs the analysis beside the loop and not longer than its limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use safeurl_protocol::Report;
use safeurl_protocol::ledger::Ledger;
use tokio::task::{JoinError, JoinHandle};
use tracing::Span;

use crate::analysis::{self, Rules};
use crate::domain::document::{Assessment, Evidence};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::target::Target;

/// An analysis under way. Whoever drops it, or waits no longer, leaves it to end by itself: it holds nothing.
pub(super) struct Judging {
    work: JoinHandle<(Assessment, Duration)>,
    /// What came of it, once it was waited for.
    done: Option<Result<(Assessment, Duration), JoinError>>,
    began: Instant,
    limit: Duration,
}

impl Judging {
    /// Begins at once; `part` of the trace lasts until it has ended.
    pub(super) fn begin(
        limit: Duration,
        rules: Arc<Rules>,
        target: Target,
        report: Box<Report>,
        ledger: Ledger,
        part: Span,
    ) -> Self {
        let (now, began) = (super::now(), Instant::now());
        let work = tokio::task::spawn_blocking(move || {
            let evidence = Evidence { target: &target, report: &report, ledger: &ledger };
            let assessment = analysis::assess(&rules, evidence, now);
            drop(part);
            (assessment, began.elapsed())
        });
        Self { work, done: None, began, limit }
    }

    /// Whether there is a verdict before so much time has passed.
    pub(super) async fn is_done_within(&mut self, wait: Duration) -> bool {
        if self.done.is_none() {
            self.done = tokio::time::timeout(wait.min(self.left()), &mut self.work).await.ok();
        }
        matches!(&self.done, Some(Ok((_, took))) if *took <= self.limit)
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    /// The verdict with what else was read out of the report, or why there is none; and how long that took. One that
    /// took longer than its limit counts as none, also where it is there because nobody waited for it before.
    pub(super) async fn end(mut self) -> (Result<Assessment, Failure>, Duration) {
        self.is_done_within(self.limit).await;
        let Self { done, began, limit, .. } = self;
        let failure = |class, message| Err(Failure::new(class, FailureStage::Analyse, message));
        match done {
            Some(Ok((assessment, took))) if took <= limit => (Ok(assessment), took),
            Some(Err(panic)) => {
                let message = format!("the analysis failed on this report: {panic}");
                (failure(FailureClass::OutputInvalid, message), began.elapsed())
            }
            Some(Ok(_)) | None => {
                let message = format!("the analysis took longer than {} ms", limit.as_millis());
                (failure(FailureClass::AnalysisTimeout, message), limit)
            }
        }
    }
}
