//! `safeurl jobs cancel` and `safeurl jobs retry`: wishes, and what became of each.

use super::{Ids, id, open};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, plain};
use crate::store::{CancelOutcome, ReplayOutcome};

pub(super) async fn cancel(args: Ids) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let mut told = Told::default();
    for text in &args.ids {
        let id = id(text)?;
        match store.request_cancel(&id).await? {
            CancelOutcome::Cancelled => told.done(text, "cancelled")?,
            CancelOutcome::Requested => told.done(text, "its worker was asked to stop it")?,
            CancelOutcome::AlreadyFinal(state) => told.refused(text, &format!("has ended already: {state}")),
            CancelOutcome::NotFound => told.refused(text, "there is no such job"),
        }
    }
    Ok(told.exit())
}

pub(super) async fn retry(args: Ids) -> anyhow::Result<Exit> {
    let store = open(&args.settings).await?;
    let mut told = Told::default();
    for text in &args.ids {
        let id = id(text)?;
        match store.replay(&id).await? {
            ReplayOutcome::Replayed { .. } => told.done(text, "queued again")?,
            ReplayOutcome::NotReplayable(state) => {
                told.refused(text, &format!("is {state}; only FAILED and TIMED_OUT jobs are tried again"));
            }
            ReplayOutcome::NotFound => told.refused(text, "there is no such job"),
        }
    }
    Ok(told.exit())
}

/// One line for each id: what was done on stdout, what was not on stderr.
struct Told {
    output: Output,
    all_done: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self { output: Output::stdout(), all_done: true }
    }
}

impl Told {
    fn done(&mut self, id: &str, what: &str) -> anyhow::Result<()> {
        self.output.line(&format!("{}: {what}", plain(id)))
    }

    fn refused(&mut self, id: &str, why: &str) {
        eprintln!("error: {}: {why}", plain(id));
        self.all_done = false;
    }

    const fn exit(&self) -> Exit {
        if self.all_done { Exit::Done } else { Exit::Failed }
    }
}
