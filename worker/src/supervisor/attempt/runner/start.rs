//! From a free slot to a job that is bound to a ready container.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::settle::{settle_until_answered, told_queue};
use super::told::{Told, logged};
use super::{Order, Runner, Way, Work};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::Lease;
use crate::domain::state::{Event, step};
use crate::domain::target::Target;
use crate::gateway::{Door, GatewayError};
use crate::queue::{Claimed, QueueError, Settlement};
use crate::sandbox::{Outcome, Request, Sandbox, Waiting as _};
use crate::span::span;
use crate::store::{Ready, Rows, Settled};
use crate::supervisor::ahead::Obliged;
use crate::supervisor::attempt::Seen;
use crate::supervisor::ending::outcome_name;
use crate::supervisor::invocation::Terms;
use crate::supervisor::lease::{Moment, renewed};
use crate::supervisor::progress::{Note, Progress};
use crate::supervisor::rows;
use crate::supervisor::trouble::Trouble;

/// How long a ready container waits for a job before it is thrown away.
const IDLE: Duration = Duration::from_secs(5);

/// The same of one that was made for the pool: of several workers that saw a job, one has it, and the others keep their
/// containers for the next one for as long as the pool remembers a demand.
const IDLE_FROM_POOL: Duration = Duration::from_secs(60);

/// Containers of a pool do not grow old all at the same time.
const AGES: std::ops::Range<f64> = 0.8..1.2;

/// What became of a claimed row.
enum Taken {
    /// It is work for the container.
    Work,
    /// It has ended; the untouched container takes the next.
    Next,
    /// It is held by somebody else, or nobody knows.
    Lost,
}

impl<S: Sandbox> Runner<S> {
    /// Something of ours did not work before the hand-over: nothing is lost, and the loop waits before the next.
    pub(super) fn troubled(&mut self, what: &str, error: &(dyn std::error::Error + 'static)) -> Seen {
        self.trouble = Some(Trouble::of(what, error));
        Seen::Trouble
    }

    pub(super) async fn oblige(&mut self) -> Seen {
        match self.shared.obliged().await {
            Ok(Obliged { name, uid, files }) => {
                self.shared.names().insert(self.number, name.clone());
                self.attestation.clone_from(&self.shared.attestation);
                (self.name, self.uid, self.files) = (name, Some(uid), Some(files));
                Seen::Done
            }
            Err(error) => self.troubled("writing down a container", &error),
        }
    }

    pub(super) async fn open_door(&mut self) -> Seen {
        let gateway = self.shared.gateway();
        let files = self.files.take().unwrap_or_else(|| gateway.new_door());
        match gateway.open(files, self.uid.unwrap_or_default()).await {
            Ok(door) => {
                self.way = Some(Way::Own(door));
                Seen::Done
            }
            Err(error) => self.troubled("opening a gateway socket", &error),
        }
    }

    fn own_door(&self) -> Option<&Door> {
        match &self.way {
            Some(Way::Own(door)) => Some(door),
            Some(Way::Adopted(_) | Way::Stray(_)) | None => None,
        }
    }

    pub(super) async fn create(&mut self) -> Seen {
        let request = Request {
            name: self.name.clone(),
            uid: self.uid.unwrap_or_default(),
            door: self.own_door().map(|door| door.mount_dir.clone()).unwrap_or_default(),
            role: "fetch",
        };
        match self.shared.sandbox.create(&request).await {
            Ok(id) => {
                self.container = Some(id);
                Seen::Done
            }
            Err(error) => self.troubled("creating a container", &error),
        }
    }

    pub(super) async fn start(&mut self) -> Seen {
        let id = self.container.clone().unwrap_or_default();
        let waiting = match self.shared.sandbox.start(&id).await {
            Ok(waiting) => waiting,
            Err(error) => return self.troubled("starting a container", &error),
        };
        self.start_ms = Some(waiting.start_ms());
        self.shared.metrics.container_started(waiting.start_ms());
        self.waiting = Some(waiting);
        Seen::Done
    }

    /// Waits in the pool until there is a job for it; `false` when it is not to have one any more, which the loop is
    /// told before the container is removed: nobody is called meanwhile who cannot come.
    async fn called(&mut self) -> bool {
        let mut orders = self.lines.orders.clone();
        if *orders.borrow() > Order::Wait {
            return true;
        }
        let door = self.own_door().map(|door| door.id.clone()).unwrap_or_default();
        let Some(waiting) = &mut self.waiting else { return false };
        self.shared.notes.send(Note::Waits { attempt: self.number, door });
        let age = self.shared.config.pool.max_age.mul_f64(rand::rng().random_range(AGES));
        tokio::select! {
            biased;
            () = waiting.died() => self.shared.notes.send(Note::Died { attempt: self.number }),
            ordered = orders.wait_for(|order| *order > Order::Wait) => {
                self.warm = true;
                return ordered.is_ok();
            }
            () = tokio::time::sleep(age) => self.shared.notes.send(Note::Old { attempt: self.number }),
        }
        false
    }

    /// Takes a row. One whose URL cannot be fetched ends at once and the untouched container takes the next.
    pub(super) async fn claim(&mut self) -> Seen {
        if !self.called().instrument(span!("wait", by = "queue")).await {
            return Seen::Nothing;
        }
        let container = Ready { name: self.name.clone(), id: self.container.clone().unwrap_or_default() };
        let until = Instant::now() + if self.pooled { IDLE_FROM_POOL } else { IDLE };
        loop {
            if *self.lines.orders.borrow() >= Order::Drain {
                return Seen::Nothing;
            }
            let sent = Moment::now();
            let claimed = self.shared.queue.claim(&container);
            match claimed.instrument(span!("claim", by = "database")).await {
                Ok(Claimed::Job(lease)) => match self.take(lease, sent).await {
                    Taken::Work => return Seen::Done,
                    Taken::Next => {}
                    Taken::Lost => return Seen::Lost,
                },
                // Another attempt takes it over: it has a container of its own.
                Ok(Claimed::Orphan(job, delivery)) => {
                    self.shared.notes.send(Note::Orphan { job, delivery });
                }
                Ok(Claimed::Nothing) => {
                    let mut orders = self.lines.orders.clone();
                    let Some(waiting) = &mut self.waiting else { return Seen::Nothing };
                    tokio::select! {
                        biased;
                        // A job given to it would fail, and the job would be counted for it.
                        () = waiting.died() => return Seen::Nothing,
                        _ = orders.wait_for(|order| *order >= Order::Drain) => {}
                        due = self.shared.queue.due().instrument(span!("wait", by = "queue")) => if let Err(error) = due {
                            return self.unclaimed("waiting for due jobs", &error);
                        },
                        () = tokio::time::sleep_until(until) => return Seen::Nothing,
                    }
                    if Instant::now() >= until {
                        return Seen::Nothing;
                    }
                }
                Err(error) => return self.unclaimed("claiming a job", &error),
            }
        }
    }

    /// There is no job. After an answer that the database did not give there may be one all the same, which needs the
    /// container; after one that the queue did not give there is none.
    fn unclaimed(&mut self, what: &str, error: &QueueError) -> Seen {
        let seen = self.troubled(what, error);
        match error {
            QueueError::Store(_) => seen,
            QueueError::Redis(_) => Seen::Nothing,
        }
    }

    /// Sees whether the claimed row is work for the container.
    async fn take(&mut self, lease: Lease, sent: Moment) -> Taken {
        let job = lease.job().clone();
        logged(&job, &Told::of_claim());
        self.shared.metrics.claimed(&job);
        match Target::parse(&job.url) {
            Ok(target) => {
                let terms = Terms::of(&job, &self.shared.config);
                self.span.record("job", tracing::field::display(&job.id));
                self.claimed = true;
                renewed(&self.lines.asked, sent);
                self.shared.notes.send(Note::Claimed { attempt: self.number, job: job.id.clone() });
                self.shared.queue.came_to(&job);
                self.shared.progress(Progress::Fetching(job.id.clone()));
                self.work = Some(Work::new(lease, Some(target), terms));
                Taken::Work
            }
            Err(error) => {
                let failure =
                    Failure::new(FailureClass::InvalidTarget, FailureStage::Claim, error.to_string());
                let body = rows::refused(&self.shared, &job, &failure);
                let rows = Rows { body: Some(body), ..Rows::default() };
                let Ok(transition) = step(job.state, Event::Fail(failure)) else { return Taken::Lost };
                let (to, told) = (transition.to(), Told::of(&transition));
                let settlement = Settlement::of(&transition);
                match settle_until_answered(&self.shared, &self.lines.orders, lease, (None, transition), rows)
                    .await
                {
                    Settled::Done { .. } => {
                        self.shared.metrics.settled(told.end());
                        logged(&job, &told);
                        told_queue(&self.shared, &job, settlement);
                        self.shared.progress(Progress::Ended(job.id, to));
                        Taken::Next
                    }
                    // The row may still name the container, which must stay then.
                    Settled::Cancelled(_) | Settled::Conflict => {
                        self.shared.leave(&self.name);
                        Taken::Lost
                    }
                }
            }
        }
    }

    pub(super) async fn bind(&mut self) -> Seen {
        let (Some(work), Some(door)) = (&self.work, self.own_door()) else { return Seen::Trouble };
        let budgets = work.terms.budgets(&self.shared.config);
        match door.bind(&work.job.attempt_name(), budgets).await {
            Ok(()) => Seen::Done,
            // A fetcher that does this does it again: were the job only given back, it would go round for ever.
            Err(error @ GatewayError::Spoiled) => {
                let outcome = Outcome::Lost { reason: error.to_string() };
                if let Some(work) = &mut self.work {
                    (work.ended, work.outcome) = (Some(outcome_name(&outcome)), Some(outcome));
                }
                Seen::Over
            }
            Err(error) => {
                self.trouble = Some(Trouble::of("binding a gateway socket", &error));
                Seen::Trouble
            }
        }
    }
}
