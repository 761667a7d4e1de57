//! Goes on where another worker, or an attempt of our own that broke off, left a job.

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::fetch::{lost_lease, stopped};
use super::told::{Told, logged};
use super::{Order, Origin, Runner, Stray, Way, Work, again, chain};
use crate::domain::failure::{Failure, FailureClass, FailureStage};
use crate::domain::scan::{Job, Lease};
use crate::domain::state::State;
use crate::domain::target::Target;
use crate::gateway::{AdoptedDoor, DoorFiles};
use crate::sandbox::{Network, Outcome, Sandbox, Standing};
use crate::store::{ContainerRow, Orphan, Serving};
use crate::supervisor::attempt::{End, Known, Seen};
use crate::supervisor::ending::Ending;
use crate::supervisor::invocation::Terms;
use crate::supervisor::lease::{Moment, renewed};
use crate::supervisor::progress::{Note, Progress};
use crate::supervisor::recovery::{Remedy, Wanted};
use crate::supervisor::trouble::is_silence;

/// What an adopted container gets of its time at least: one that ended long ago needs some for its log to be read.
const LEAST: Duration = Duration::from_secs(1);

/// Between two looks at an adopted door.
const LOOK: Duration = Duration::from_millis(200);

/// So often a ledger is asked for that cannot be read, before it counts as a dead gateway's.
const DOOR_LOOKS: u32 = 5;

impl<S: Sandbox> Runner<S> {
    pub(super) fn orphaned(&mut self, orphan: Box<Orphan>, remedy: Remedy) -> Known {
        let is_here = orphan.engine_id.as_deref() == Some(&*self.shared.config.engine.id);
        self.origin = match remedy {
            Remedy::Adopt => Origin::Adopted,
            Remedy::End if is_here => Origin::Adopted,
            Remedy::End | Remedy::GiveBack | Remedy::LeaveToOthers => Origin::Elsewhere,
        };
        if self.origin == Origin::Adopted {
            self.container.clone_from(&orphan.job.container_id);
            if let Some(row) = &orphan.container {
                self.written_down(row);
                self.way = AdoptedDoor::at(Path::new(&row.obligation.door)).map(Way::Adopted);
            }
        }
        self.orphan = Some((orphan, remedy));
        Known::Orphaned(remedy)
    }

    /// Nobody knows how far the attempt had come, so it is lost.
    pub(super) async fn strayed(&mut self, stray: Stray) -> Known {
        let Stray { lease, container } = stray;
        self.container.clone_from(&lease.job().container_id);
        if let Some(row) = &container {
            self.written_down(row);
            self.way = DoorFiles::of(Path::new(&row.obligation.door)).map(Way::Stray);
        }
        self.claimed = true;
        self.work = Some(self.work_on(lease));
        match self.lost("the attempt broke off").await {
            Seen::Ends(end) => Known::Ended(end),
            _ => Known::LeaseLost,
        }
    }

    fn written_down(&mut self, row: &ContainerRow) {
        self.name.clone_from(&row.obligation.name);
        self.uid = Some(row.uid);
        self.attestation.clone_from(&row.obligation.attestation);
    }

    /// What there is to do for a job that was claimed by another attempt.
    fn work_on(&self, lease: Lease) -> Work {
        let terms = Terms::of(lease.job(), &self.shared.config);
        let target = Target::parse(&lease.job().url).ok();
        Work::new(lease, target, terms)
    }

    pub(super) async fn take_over(&mut self) -> Seen {
        let Some((orphan, remedy)) = self.orphan.take() else { return Seen::Lost };
        let lease = match self.new_lease(&orphan.job).await {
            Ok(lease) => lease,
            Err(seen) => return seen,
        };
        let job = lease.job().clone();
        logged(&job, &Told::of_take_over(job.state));
        self.span.record("job", tracing::field::display(&job.id));
        self.shared.queue.adopt(&job, orphan.job.lease_owner.as_ref());
        self.shared.queue.came_to(&job);
        self.claimed = true;
        self.shared.notes.send(Note::Claimed { attempt: self.number, job: job.id.clone() });
        self.work = Some(self.work_on(lease));
        match remedy {
            Remedy::Adopt => {}
            Remedy::End => return self.unwanted(),
            Remedy::GiveBack | Remedy::LeaveToOthers => return self.give_back(&orphan.job),
        }
        self.shared.progress(match job.state {
            State::Analyzing => Progress::Analyzing(job.id),
            _ => Progress::Fetching(job.id),
        });
        match Target::parse(&job.url) {
            Ok(_) => Seen::Done,
            Err(error) => self.fails(FailureClass::InvalidTarget, FailureStage::Claim, error.to_string()),
        }
    }

    /// Nothing is held before there is a lease, so a worker that is to end does not wait for one.
    async fn new_lease(&mut self, job: &Job) -> Result<Lease, Seen> {
        let serving = self.serving(job);
        let taken = self.taken_over(job, &serving).await;
        match (&taken, serving) {
            (Ok(_), Serving::Delivery(_)) => self.delivery = None,
            (Err(_), Serving::Token(token)) => self.shared.queue.let_go(&token),
            (Ok(_) | Err(_), _) => {}
        }
        taken
    }

    /// The delivery that it is done for; failing that, the one that the row names gets a lock of ours.
    fn serving(&self, job: &Job) -> Serving {
        if let Some(delivery) = &self.delivery {
            return Serving::Delivery(delivery.clone());
        }
        match &job.delivery {
            Some(_) => self.shared.queue.fresh_token().map_or(Serving::Nothing, Serving::Token),
            None => Serving::Nothing,
        }
    }

    async fn taken_over(&mut self, job: &Job, serving: &Serving) -> Result<Lease, Seen> {
        let mut failures = 0;
        loop {
            if *self.lines.orders.borrow() >= Order::Drain {
                return Err(Seen::Nothing);
            }
            let sent = Moment::now();
            match self.shared.store.take_over(job, &self.shared.worker, serving.clone()).await {
                Ok(Some(lease)) => {
                    renewed(&self.lines.asked, sent);
                    self.shared.metrics.taken_over();
                    return Ok(lease);
                }
                Ok(None) => return Err(Seen::Lost),
                Err(error) => {
                    failures += 1;
                    self.shared.trouble("taking a job over", &error);
                    if !again(&self.lines.orders, failures).await {
                        return Err(Seen::Trouble);
                    }
                }
            }
        }
    }

    /// The job of a worker whose container is out of reach.
    fn give_back(&mut self, before: &Job) -> Seen {
        let why = match before.lease_owner {
            Some(_) => "the worker that held the job died",
            None => "nobody has worked on the job for a long time",
        };
        let failure = Failure::new(FailureClass::Lost, FailureStage::Fetch, why);
        if let Some(work) = &mut self.work {
            work.ending = Some(Ending::Failure { failure, report: None });
        }
        Seen::Done
    }

    /// The job of a command that has ended: as if a person had asked to cancel it.
    fn unwanted(&mut self) -> Seen {
        if let Some(work) = &mut self.work {
            work.outcome = Some(Outcome::Cancelled);
            work.wanted = Wanted::NoMore;
        }
        Seen::Done
    }

    /// Ends the attempt without its container's word.
    fn fails(&mut self, class: FailureClass, stage: FailureStage, why: String) -> Seen {
        let Some(work) = &mut self.work else { return Seen::Lost };
        work.ending = Some(Ending::Failure { failure: Failure::new(class, stage, why), report: None });
        Seen::Ends(End::Failure)
    }

    /// What cannot be gone on with is lost; what left the machine is told all the same.
    async fn lost(&mut self, why: &str) -> Seen {
        if let (Some(way), Some(work)) = (&self.way, &mut self.work)
            && let Ok(ledger) = way.close().await
        {
            work.ledger = ledger;
        }
        self.fails(FailureClass::Lost, FailureStage::Fetch, why.to_owned())
    }

    pub(super) async fn examine(&mut self) -> Seen {
        let Some(container) = self.container.clone() else {
            return self.lost("the worker that held the job died before it had a container").await;
        };
        let mut failures = 0;
        let standing = loop {
            match self.shared.sandbox.standing(&container).await {
                Ok(standing) => break standing,
                Err(error) => {
                    failures += 1;
                    if is_silence(&error) {
                        self.shared.trouble("looking at a container", &error);
                    } else if failures == 1 {
                        warn!(
                            container.id = container,
                            error = chain(&error),
                            "a dead worker's container cannot be looked at yet"
                        );
                    }
                    if !again(&self.lines.orders, failures).await {
                        return Seen::Lost;
                    }
                }
            }
        };
        if standing == Standing::Gone {
            return self.lost("the worker that held the job died, and its container is gone").await;
        }
        if !is_vouched_for(self.shared.config.network, self.way.as_ref()).await {
            return self.lost("the worker that held the job died, and so did its egress gateway").await;
        }
        info!(
            scan.id = self.work.as_ref().map(|work| tracing::field::display(&work.job.id)),
            container.id = container,
            running = standing == Standing::Running,
            "adopted a dead worker's container"
        );
        self.shared.metrics.adopted();
        Seen::Done
    }

    pub(super) async fn follow(&mut self) -> Seen {
        let Some(remaining) = self.remaining().await else { return Seen::Lost };
        let (Some(work), Some(hold)) = (&self.work, self.hold()) else { return Seen::Lost };
        let attempt = work.job.attempt_name();
        let container = self.container.clone().unwrap_or_default();
        let stopped = std::pin::pin!(stopped(self.lines.orders.clone()));
        let may_kill = async move { hold.is_ours().await };
        let followed = tokio::select! {
            biased;
            () = lost_lease(self.lines.orders.clone()) => return Seen::Lost,
            ran = self.shared.sandbox.follow(&container, &attempt, remaining, stopped, may_kill) => Some(ran),
            () = gateway_died(self.shared.config.network, self.way.as_ref()) => None,
        };
        match followed {
            Some(ran) => self.ran(ran),
            None => self.lost("the egress gateway of a dead worker died during the fetch").await,
        }
    }

    /// What is left of the job's time, by the database's clock. `None` when nobody can say any more.
    async fn remaining(&mut self) -> Option<Duration> {
        let work = self.work.as_ref()?;
        let Some(started) = work.job.started else { return Some(work.terms.timeout) };
        let mut failures = 0;
        loop {
            match self.shared.store.now().await {
                Ok(now) => {
                    let gone = u64::try_from(now.millis().saturating_sub(started.millis())).unwrap_or(0);
                    return Some(left(work.terms.timeout, Duration::from_millis(gone)));
                }
                Err(error) => {
                    failures += 1;
                    self.shared.trouble("asking for the time", &error);
                    if !again(&self.lines.orders, failures).await {
                        return None;
                    }
                }
            }
        }
    }
}

fn left(timeout: Duration, gone: Duration) -> Duration {
    timeout.saturating_sub(gone).max(LEAST)
}

/// Whether the gateway of the adopted container lives or has ended its part in order. With a network card there is none.
async fn is_vouched_for(network: Network, way: Option<&Way>) -> bool {
    let door = match (network, way) {
        (Network::Bridge, _) => return true,
        (Network::None, Some(Way::Adopted(door))) => door,
        (Network::None, Some(Way::Own(_) | Way::Stray(_)) | None) => return false,
    };
    let mut looks = 0;
    loop {
        match door.is_vouched_for() {
            Ok(vouched) => return vouched,
            Err(error) => {
                looks += 1;
                if looks == DOOR_LOOKS {
                    warn!(error = chain(&error), "the ledger of a dead worker cannot be read");
                    return false;
                }
                sleep(LOOK).await;
            }
        }
    }
}

/// Comes back once the gateway of the adopted container is dead; never where it has ended its part in order.
async fn gateway_died(network: Network, way: Option<&Way>) {
    if let (Network::None, Some(Way::Adopted(door))) = (network, way) {
        door.gone().await;
    }
    if is_vouched_for(network, way).await {
        pending::<()>().await;
    }
}
