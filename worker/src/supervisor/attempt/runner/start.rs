//! From a free slot to a job that is bound to a ready container.

use tokio::time::Instant;

use super::settle::settle_until_answered;
use super::{IDLE, Order, Runner, Seen, Told, Trouble, Work, logged};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::Lease;
use crate::domain::state::{Event, step};
use crate::domain::target::Target;
use crate::sandbox::{Request, Sandbox, Waiting as _};
use crate::store::{Obligation, Rows, Settled};
use crate::supervisor::invocation::Terms;
use crate::supervisor::progress::{Note, Progress};
use crate::supervisor::rows;
use safeurl_protocol::ledger::Ledger;

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
        let files = self.shared.gateway().new_door();
        let obligation = Obligation {
            name: self.name.clone(),
            engine_id: self.shared.config.engine.id.clone(),
            worker: self.shared.worker.clone(),
            door: files.mount_dir.display().to_string(),
        };
        match self.shared.store.oblige(obligation).await {
            Ok(uid) => {
                self.uid = Some(uid);
                self.files = Some(files);
                Seen::Done
            }
            Err(error) => {
                // The row may be there all the same.
                self.shared.leave(&self.name, None);
                self.troubled("writing down a container", &error)
            }
        }
    }

    pub(super) async fn open_door(&mut self) -> Seen {
        let gateway = self.shared.gateway();
        let files = self.files.take().unwrap_or_else(|| gateway.new_door());
        match gateway.open(files, self.uid.unwrap_or_default()).await {
            Ok(door) => {
                self.door = Some(door);
                Seen::Done
            }
            Err(error) => self.troubled("opening a gateway socket", &error),
        }
    }

    pub(super) async fn create(&mut self) -> Seen {
        let request = Request {
            name: self.name.clone(),
            uid: self.uid.unwrap_or_default(),
            door: self.door.as_ref().map(|door| door.mount_dir.clone()).unwrap_or_default(),
            role: "fetch",
        };
        match self.shared.sandbox.create(&request).await {
            Ok(id) => {
                if let Err(error) = self.shared.store.container_created(&self.name, &id).await {
                    self.container = Some(id);
                    return self.troubled("writing down a container's id", &error);
                }
                self.container = Some(id);
                Seen::Done
            }
            Err(error) => self.troubled("creating a container", &error),
        }
    }

    pub(super) async fn start(&mut self) -> Seen {
        let id = self.container.clone().unwrap_or_default();
        match self.shared.sandbox.start(&id).await {
            Ok(waiting) => {
                self.start_ms = Some(waiting.start_ms());
                self.waiting = Some(waiting);
                Seen::Done
            }
            Err(error) => self.troubled("starting a container", &error),
        }
    }

    /// Takes a row. One whose URL cannot be fetched ends at once and the untouched container takes the next.
    pub(super) async fn claim(&mut self) -> Seen {
        let container = self.container.clone().unwrap_or_default();
        let until = Instant::now() + IDLE;
        loop {
            if *self.orders.borrow() >= Order::Drain {
                return Seen::Nothing;
            }
            match self.shared.queue.claim(&container).await {
                Ok(Some(lease)) => match self.take(lease).await {
                    Taken::Work => return Seen::Done,
                    Taken::Next => {}
                    Taken::Lost => return Seen::Lost,
                },
                Ok(None) => {
                    let mut orders = self.orders.clone();
                    let Some(waiting) = &mut self.waiting else { return Seen::Nothing };
                    tokio::select! {
                        biased;
                        // A job given to it would fail, and the job would be counted for it.
                        () = waiting.died() => return Seen::Nothing,
                        _ = orders.wait_for(|order| *order >= Order::Drain) => {}
                        due = self.shared.queue.due() => if let Err(error) = due {
                            return self.troubled("waiting for due jobs", &error);
                        },
                        () = tokio::time::sleep_until(until) => return Seen::Nothing,
                    }
                    if Instant::now() >= until {
                        return Seen::Nothing;
                    }
                }
                Err(error) => return self.troubled("claiming a job", &error),
            }
        }
    }

    /// Sees whether the claimed row is work for the container.
    async fn take(&mut self, lease: Lease) -> Taken {
        let job = lease.job().clone();
        logged(&job, &Told::of_claim());
        match Target::parse(&job.url) {
            Ok(target) => {
                let terms = Terms::of(&job, &self.shared.config);
                self.claimed = true;
                self.shared.notes.send(Note::Claimed { attempt: self.number, job: job.id.clone() });
                self.shared.progress(Progress::Fetching(job.id.clone()));
                let work = Work {
                    lease: Some(lease),
                    job,
                    target,
                    terms,
                    outcome: None,
                    ended: None,
                    exit_code: None,
                    run_ms: 0,
                    stderr_tail: String::new(),
                    ledger: Ledger::default(),
                    ending: None,
                    assessment: None,
                    whole: None,
                };
                self.work = Some(work);
                Taken::Work
            }
            Err(error) => {
                let failure =
                    Failure::new(FailureClass::InvalidTarget, FailureStage::Claim, error.to_string());
                let body = rows::refused(&self.shared, &job, &failure);
                let rows = Rows { attempt: None, body: Some(body), egress: Vec::new() };
                let Ok(transition) = step(job.state, Event::Fail(failure)) else { return Taken::Lost };
                let (to, told) = (transition.to(), Told::of(&transition));
                match settle_until_answered(&self.shared, &self.orders, lease, transition, rows).await {
                    Settled::Done { .. } => {
                        logged(&job, &told);
                        self.shared.progress(Progress::Ended(job.id, to));
                        Taken::Next
                    }
                    // The row may still name the container, which must stay then.
                    Settled::Cancelled(_) | Settled::Conflict => {
                        self.shared.leave(&self.name, Some(&job.id));
                        Taken::Lost
                    }
                }
            }
        }
    }

    pub(super) async fn bind(&mut self) -> Seen {
        let (Some(work), Some(door)) = (&self.work, &self.door) else { return Seen::Trouble };
        let budgets = work.terms.budgets(&self.shared.config);
        match door.bind(&work.job.attempt_name(), budgets).await {
            Ok(()) => Seen::Done,
            Err(error) => {
                self.trouble = Some(Trouble::of("binding a gateway socket", &error));
                Seen::Trouble
            }
        }
    }
}
