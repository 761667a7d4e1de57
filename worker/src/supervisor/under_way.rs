//! The attempts under way: one task each, none of which outlives this.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::error;

use super::Shared;
use super::attempt::runner::{Beginning, Lines, Order, Runner, Summary, chain};
use super::lease::{Asked, Moment, renewed};
use crate::domain::scan::ScanId;
use crate::sandbox::Sandbox;
use crate::store::Held;

/// One attempt as the loop knows it.
struct Attempt {
    task: Id,
    orders: watch::Sender<Order>,
    asked: Asked,
    /// The job that it is to take over, whether or not it has it yet.
    wanted: Option<ScanId>,
    /// The job that it holds.
    job: Option<ScanId>,
    origin: Origin,
    /// What it took of the slots is counted free already.
    freed: bool,
}

/// Where an attempt began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In a slot of ours.
    Slot,
    /// With a container that waits for a job, outside of all slots until then.
    Pool,
    /// With a job that another attempt had claimed.
    Left,
}

/// An attempt that is over.
pub(super) struct Over {
    pub(super) number: u64,
    pub(super) summary: Summary,
    pub(super) origin: Origin,
    /// Whether it takes a slot until now: what was taken over and never held took none, and neither did what was never
    /// called.
    pub(super) frees: bool,
}

/// All of them.
pub(super) struct UnderWay<S: Sandbox> {
    shared: Arc<Shared<S>>,
    tasks: JoinSet<(u64, Summary)>,
    attempts: HashMap<u64, Attempt>,
    /// Jobs that came back from the last renewal and belong to no attempt.
    unknown: HashSet<ScanId>,
    next_number: u64,
}

impl<S: Sandbox> UnderWay<S> {
    pub(super) fn new(shared: Arc<Shared<S>>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            attempts: HashMap::new(),
            unknown: HashSet::new(),
            next_number: 1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn start(&mut self, beginning: Beginning) {
        self.begin(beginning);
    }

    /// Starts an attempt whose container waits to be called.
    pub(super) fn start_to_wait(&mut self) -> u64 {
        self.begin(Beginning::Pool)
    }

    fn begin(&mut self, beginning: Beginning) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        let first = if matches!(beginning, Beginning::Pool) { Order::Wait } else { Order::Work };
        let (orders, receiver) = watch::channel(first);
        let asked = watch::Sender::new(None);
        let lines = Lines { orders: receiver, asked: asked.clone() };
        let wanted = beginning.job().cloned();
        let (origin, job) = match &beginning {
            Beginning::FreeSlot => (Origin::Slot, None),
            Beginning::Pool => (Origin::Pool, None),
            Beginning::Orphan(..) => (Origin::Left, None),
            Beginning::Stray(_) => (Origin::Left, wanted.clone()),
        };
        let shared = Arc::clone(&self.shared);
        let run = async move { (number, Runner::run(shared, number, lines, beginning).await) };
        let task = self.tasks.spawn(run).id();
        self.attempts.insert(number, Attempt { task, orders, asked, wanted, job, origin, freed: false });
        number
    }

    /// Calls an attempt of the pool into a slot, for a job that is due.
    pub(super) fn call(&mut self, number: u64) {
        if let Some(attempt) = self.attempts.get_mut(&number) {
            attempt.origin = Origin::Slot;
            give(attempt, Order::Work);
        }
    }

    pub(super) fn order(&self, number: u64, order: Order) {
        if let Some(attempt) = self.attempts.get(&number) {
            give(attempt, order);
        }
    }

    /// Waits for the next one to end; `None` when there is none.
    pub(super) async fn join_next(&mut self) -> Option<Result<(u64, Summary), JoinError>> {
        self.tasks.join_next().await
    }

    /// Takes an ended attempt off the list. A panic fails its attempt only: its job is a stray from now on, and its
    /// container is left.
    pub(super) fn ended(&mut self, ended: Result<(u64, Summary), JoinError>) -> Option<Over> {
        let (number, summary) = match ended {
            Ok((number, summary)) => (number, Some(summary)),
            Err(error) => {
                error!(error = chain(&error), "an attempt panicked");
                let mut attempts = self.attempts.iter();
                (*attempts.find(|(_, attempt)| attempt.task == error.id())?.0, None)
            }
        };
        let attempt = self.attempts.remove(&number)?;
        let container = self.shared.names().remove(&number);
        let summary = summary.unwrap_or_else(|| {
            if let Some(name) = container {
                self.shared.leave(&name);
            }
            Summary { claimed: attempt.job.is_some(), trouble: None }
        });
        let frees = !attempt.freed && (attempt.origin == Origin::Slot || summary.claimed);
        Some(Over { number, summary, origin: attempt.origin, frees })
    }

    /// Takes in that an attempt needs no slot any more. Says whether it had one, and whether that was for a job.
    pub(super) fn freed(&mut self, number: u64) -> Option<bool> {
        let attempt = self.attempts.get_mut(&number)?;
        let claimed = attempt.job.is_some();
        let frees = !attempt.freed && (attempt.origin == Origin::Slot || claimed);
        attempt.freed |= frees;
        frees.then_some(claimed)
    }

    /// Takes in that an attempt holds a job now; says where it began, and whether it was told to abort meanwhile.
    pub(super) fn claimed(&mut self, number: u64, job: ScanId) -> Option<(Origin, bool)> {
        let attempt = self.attempts.get_mut(&number)?;
        attempt.job = Some(job);
        Some((attempt.origin, *attempt.orders.borrow() == Order::Abort))
    }

    pub(super) fn order_all(&self, order: Order) {
        for attempt in self.attempts.values() {
            give(attempt, order);
        }
    }

    pub(super) fn hold_jobs(&self) -> bool {
        self.attempts.values().any(|attempt| attempt.job.is_some())
    }

    /// Whether an attempt works on the job, or is about to.
    pub(super) fn knows(&self, id: &ScanId) -> bool {
        self.attempts
            .values()
            .any(|attempt| attempt.job.as_ref() == Some(id) || attempt.wanted.as_ref() == Some(id))
    }

    /// Those that hold a job.
    pub(super) fn holders(&self) -> Vec<u64> {
        self.attempts.iter().filter(|(_, attempt)| attempt.job.is_some()).map(|(number, _)| *number).collect()
    }

    /// A job that was held when the renewal began and does not come back from it is lost. One that ended meanwhile has
    /// written its last edge and does not listen any more.
    pub(super) fn renewed(&self, asked_for: &[u64], sent: Moment, held: &[Held]) {
        for (number, attempt) in &self.attempts {
            let Some(job) = &attempt.job else { continue };
            match held.iter().find(|held| held.id == *job) {
                Some(held) => {
                    renewed(&attempt.asked, sent);
                    if held.cancel_requested {
                        give(attempt, Order::Cancel);
                    }
                }
                None if asked_for.contains(number) => give(attempt, Order::LeaseLost),
                None => {}
            }
        }
    }

    /// A job that we hold without an attempt (its attempt panicked) would be held for ever. One that was just claimed is
    /// known by the next renewal, so a stray is a job that was unknown twice.
    pub(super) fn strays(&mut self, held: &[Held]) -> Vec<ScanId> {
        let unknown: HashSet<_> =
            held.iter().map(|held| &held.id).filter(|id| !self.knows(id)).cloned().collect();
        let strays = self.unknown.intersection(&unknown).cloned().collect();
        self.unknown = unknown;
        strays
    }
}

/// Tells an attempt, unless it was told something stronger before.
fn give(attempt: &Attempt, order: Order) {
    attempt.orders.send_if_modified(|current| {
        let stronger = order > *current;
        if stronger {
            *current = order;
        }
        stronger
    });
}
