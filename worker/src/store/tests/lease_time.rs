//! Leases through time, against the rules written out again: any order of claims, renewals, confirmations,
//! take-overs, edges and waits.

use std::time::Duration;

use proptest::prelude::*;

use super::fresh;
use crate::domain::scan::{DEAD_AFTER, LEASE, Lease, ScanId, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{Folder, edge};
use crate::store::{Advanced, Rows, Serving, Settled, Store};

const WORKERS: usize = 3;

/// Of these a lease outlives one and not two. The time that the test itself takes is small beside what is left.
const LONG: i64 = 4_000;
const SHORT: i64 = 10;

#[derive(Debug, Clone)]
enum Act {
    Claim(usize),
    Renew(usize),
    /// The n-th of the leases that were ever given and not used up, whether it still holds or not.
    Confirm(usize),
    Advance(usize),
    Release(usize),
    /// Of the row as it is now.
    TakeOver(usize),
    /// Of the row as the n-th lease knows it.
    TakeOverStale(usize, usize),
    Pass(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let worker = || 0..WORKERS;
    let lease = || 0..4_usize;
    prop_oneof![
        2 => worker().prop_map(Act::Claim),
        3 => worker().prop_map(Act::Renew),
        2 => lease().prop_map(Act::Confirm),
        1 => lease().prop_map(Act::Advance),
        1 => lease().prop_map(Act::Release),
        4 => worker().prop_map(Act::TakeOver),
        2 => (worker(), lease()).prop_map(|(worker, lease)| Act::TakeOverStale(worker, lease)),
        4 => prop_oneof![Just(LONG), Just(SHORT)].prop_map(Act::Pass),
    ]
}

/// The row as the rules know it.
struct Row {
    state: State,
    version: i64,
    owner: Option<usize>,
    until: i64,
}

struct World {
    _folder: Folder,
    store: Store,
    id: ScanId,
    workers: Vec<WorkerId>,
    row: Row,
    heard: [i64; WORKERS],
    now: i64,
    /// Every lease that is out, with its worker.
    leases: Vec<(usize, Lease)>,
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a few seconds")
}

impl World {
    async fn new() -> Self {
        let (folder, store) = fresh().await;
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            workers.push(store.worker().await);
        }
        let id = store.one("https://example.com/").await;
        let row = Row { state: State::Queued, version: 1, owner: None, until: 0 };
        let (heard, leases) = Default::default();
        Self { _folder: folder, store, id, workers, row, heard, now: 0, leases }
    }

    fn at_work(&self) -> bool {
        matches!(self.row.state, State::Fetching | State::Analyzing)
    }

    /// A lease holds by the row's version, and by nothing else.
    fn holds(&self, lease: &Lease) -> bool {
        self.at_work() && lease.job().version == self.row.version
    }

    fn granted(&mut self, worker: usize, state: State, lease: Lease) {
        let version = self.row.version + 1;
        self.row = Row { state, version, owner: Some(worker), until: self.now + ms(LEASE) };
        assert_eq!((lease.job().version, lease.job().state), (version, state));
        self.leases.push((worker, lease));
    }

    async fn take_over(&mut self, worker: usize, job: &crate::domain::scan::Job) {
        let may = self.at_work() && job.version == self.row.version && self.row.until < self.now;
        let taken =
            self.store.take_over(job, &self.workers[worker], Serving::Nothing).await.expect("an answer");
        assert_eq!(taken.is_some(), may, "exactly when the lease is over");
        if let Some(lease) = taken {
            self.granted(worker, self.row.state, lease);
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Claim(worker) => {
                let lease = self.store.take(&self.workers[worker]).await;
                assert_eq!(lease.is_some(), self.row.state == State::Queued);
                if let Some(lease) = lease {
                    self.granted(worker, State::Fetching, lease);
                }
            }
            Act::Renew(worker) => {
                let held = self.store.renew(&self.workers[worker], 0).await.expect("an answer");
                let mine = self.at_work() && self.row.owner == Some(worker);
                assert_eq!(held.len(), usize::from(mine), "what was taken does not come back");
                self.heard[worker] = self.now;
                if mine {
                    self.row.until = self.now + ms(LEASE);
                }
            }
            Act::Confirm(n) if n < self.leases.len() => {
                let (worker, lease) = &self.leases[n];
                let confirmed =
                    self.store.confirm(lease.job(), &self.workers[*worker]).await.expect("an answer");
                assert_eq!(confirmed, self.holds(lease));
                if confirmed {
                    self.row.until = self.now + ms(LEASE);
                }
            }
            Act::Advance(n) if n < self.leases.len() && self.leases[n].1.job().state == State::Fetching => {
                let (worker, lease) = self.leases.swap_remove(n);
                let held = self.holds(&lease);
                match self
                    .store
                    .advance(lease, edge(State::Fetching, Event::Accept))
                    .await
                    .expect("an answer")
                {
                    Advanced::Held(lease) => {
                        assert!(held);
                        self.granted(worker, State::Analyzing, lease);
                    }
                    Advanced::Conflict => assert!(!held),
                }
            }
            Act::Release(n) if n < self.leases.len() => {
                let (_, lease) = self.leases.swap_remove(n);
                let held = self.holds(&lease);
                let release = edge(lease.job().state, Event::Release);
                let settled = self.store.settle(lease, release, Rows::default()).await.expect("an answer");
                let version = self.row.version + 1;
                assert_eq!(settled, if held { Settled::Done { version } } else { Settled::Conflict });
                if held {
                    self.row = Row { state: State::Queued, version, owner: None, until: 0 };
                }
            }
            Act::TakeOver(worker) if self.at_work() => {
                let job = self.store.job(&self.id).await.expect("an answer").expect("the job");
                self.take_over(worker, &job).await;
            }
            Act::TakeOverStale(worker, n) if n < self.leases.len() => {
                let job = self.leases[n].1.job().clone();
                self.take_over(worker, &job).await;
            }
            Act::Pass(by) => {
                for worker in &self.workers {
                    self.store.age(worker, Duration::from_millis(by.unsigned_abs())).await;
                }
                self.now += by;
            }
            Act::Confirm(_)
            | Act::Advance(_)
            | Act::Release(_)
            | Act::TakeOver(_)
            | Act::TakeOverStale(..) => {}
        }
    }

    /// What is true at any moment.
    async fn assert_true(&self) {
        let job = self.store.job(&self.id).await.expect("an answer").expect("the job");
        let owner = self.row.owner.map(|worker| &self.workers[worker]);
        assert_eq!(
            (job.state, job.version, job.lease_owner.as_ref()),
            (self.row.state, self.row.version, owner)
        );
        let holders = self.leases.iter().filter(|(_, lease)| self.holds(lease)).count();
        assert!(holders <= 1, "{holders} holders");
        let dead = |worker: usize| self.heard[worker] < self.now - ms(DEAD_AFTER);
        let over = self.at_work() && self.row.until < self.now;
        let orphan = over && self.row.owner.is_some_and(dead);
        let orphans = self.store.orphans(Duration::from_secs(600)).await.expect("orphans");
        assert_eq!(orphans.len(), usize::from(orphan), "its lease is over and its worker is dead");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_job_has_one_holder_and_changes_hands_only_when_its_lease_is_over(
        acts in proptest::collection::vec(act(), 0..40)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new().await;
            for act in acts {
                world.act(act).await;
                world.assert_true().await;
            }
        });
    }
}
