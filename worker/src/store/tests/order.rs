//! Who is claimed next, against the rules written out again: any rows, several programs on one file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::folder;
use crate::domain::scan::{Lease, WorkerId};
use crate::domain::state::{Event, State};
use crate::store::testing::{Folder, edge, new_job};
use crate::store::{NewJob, Rows, Store};

const STORES: usize = 3;
const USERS: u8 = 4;
const HOUR: Duration = Duration::from_secs(3600);

/// A row to be submitted.
#[derive(Debug, Clone)]
struct New {
    user: u8,
    priority: i64,
    /// Milliseconds after a moment long ago.
    age: u32,
    /// Made by a program that knows seconds only.
    coarse: bool,
    delay_hours: u32,
    reserved_for: Option<usize>,
}

#[derive(Debug, Clone)]
enum Act {
    Submit(New),
    Claim {
        store: usize,
        reserved: bool,
    },
    /// The n-th of the leases that are out goes back to the queue.
    Release(usize),
    HourPasses,
    Promote(usize),
}

fn new() -> impl Strategy<Value = New> {
    let delay = prop_oneof![3 => Just(0), 1 => 1..3_u32];
    let reserved = prop_oneof![4 => Just(None), 1 => (0..STORES).prop_map(Some)];
    (0..USERS, 0..3_i64, 0..4_000_u32, any::<bool>(), delay, reserved).prop_map(
        |(user, priority, age, coarse, delay_hours, reserved_for)| New {
            user,
            priority,
            age,
            coarse,
            delay_hours,
            reserved_for,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => new().prop_map(Act::Submit),
        6 => (0..STORES, prop::bool::weighted(0.2)).prop_map(|(store, reserved)| Act::Claim { store, reserved }),
        2 => (0..8_usize).prop_map(Act::Release),
        1 => Just(Act::HourPasses),
        1 => (0..STORES).prop_map(Act::Promote),
    ]
}

/// A queued row as the rules see it; the order of the fields is the order of one user's rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    priority: i64,
    second: u32,
    /// Unknown comes first.
    millisecond: Option<u32>,
    number: usize,
    user: u8,
    ready: bool,
    hours: u32,
    reserved_for: Option<usize>,
}

/// What the rules say, and how long each user has waited for each program.
#[derive(Default)]
struct Rules {
    queue: BTreeSet<Waiting>,
    served: [Option<u8>; STORES],
    passed_over: BTreeMap<(usize, u8), u32>,
}

impl Rules {
    fn next(&self, store: usize, reserved: bool) -> Option<Waiting> {
        let mine = |row: &&Waiting| row.ready && row.reserved_for == reserved.then_some(store);
        let mut due: Vec<_> = self.queue.iter().filter(mine).collect();
        if !reserved {
            let behind = |row: &&Waiting| self.served[store].is_none_or(|last| row.user > last);
            let turn = due.iter().filter(|row| behind(row)).map(|row| row.user).min();
            let turn = turn.or_else(|| due.iter().map(|row| row.user).min());
            due.retain(|row| Some(row.user) == turn);
        }
        due.into_iter().min().cloned()
    }

    /// Nobody who has something due is passed over for longer than a round takes.
    fn claimed(&mut self, store: usize, row: &Waiting) {
        self.queue.remove(row);
        if row.reserved_for.is_some() {
            return;
        }
        self.served[store] = Some(row.user);
        for user in 0..USERS {
            let waits =
                self.queue.iter().any(|row| row.user == user && row.ready && row.reserved_for.is_none());
            let passed = self.passed_over.entry((store, user)).or_default();
            *passed = if waits && user != row.user { *passed + 1 } else { 0 };
            assert!(*passed < u32::from(USERS), "user {user} is starved by store {store}");
        }
    }
}

/// The rows, the programs on them, and the rules beside.
struct World {
    _folder: Folder,
    stores: Vec<Store>,
    workers: Vec<WorkerId>,
    rules: Rules,
    submitted: usize,
    out: Vec<(Lease, Waiting)>,
}

impl World {
    async fn new() -> Self {
        let folder = folder();
        let mut stores = Vec::new();
        let mut workers = Vec::new();
        for _ in 0..STORES {
            let store = folder.open().await;
            store.migrate().await.expect("a migrated database");
            workers.push(store.worker().await);
            stores.push(store);
        }
        let (rules, out) = Default::default();
        Self { _folder: folder, stores, workers, rules, submitted: 0, out }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Submit(new) => self.submit(&new).await,
            Act::Claim { store, reserved } => {
                self.claim(store, reserved).await;
            }
            Act::Release(n) if n < self.out.len() => {
                let (lease, row) = self.out.swap_remove(n);
                let release = edge(State::Fetching, Event::Release);
                self.stores[0].settle(lease, release, Rows::default()).await.expect("an answer");
                self.rules.queue.insert(row);
            }
            Act::Release(_) => {}
            Act::HourPasses => {
                self.stores[0].run("UPDATE scan_jobs SET run_at = run_at - 3600000").await;
                let rows = std::mem::take(&mut self.rules.queue);
                self.rules.queue = rows
                    .into_iter()
                    .map(|row| Waiting { hours: row.hours.saturating_sub(1), ..row })
                    .collect();
            }
            Act::Promote(store) => {
                self.stores[store].promote_due().await.expect("an answer");
                let rows = std::mem::take(&mut self.rules.queue);
                self.rules.queue = rows
                    .into_iter()
                    .map(|row| Waiting { ready: row.ready || row.hours == 0, ..row })
                    .collect();
            }
        }
    }

    async fn submit(&mut self, new: &New) {
        let &New { user, priority, age, coarse, delay_hours, reserved_for } = new;
        let number = self.submitted;
        self.submitted += 1;
        let job = NewJob {
            priority,
            delay: (delay_hours > 0).then_some(HOUR * delay_hours),
            reserved_for: reserved_for.map(|store| self.workers[store].clone()),
            ..new_job(&format!("user {user}"), &number.to_string())
        };
        self.stores[0].submit(vec![job]).await.expect("a job");
        let millisecond = (!coarse).then_some(age);
        let created_ms = if coarse { "0".to_owned() } else { format!("1700000000000 + {age}") };
        self.stores[0]
            .run(&format!(
                "UPDATE scan_jobs SET created_at = 1700000000 + {age} / 1000, created_ms = {created_ms}
                 WHERE url = '{number}'"
            ))
            .await;
        self.rules.queue.insert(Waiting {
            priority,
            second: age / 1000,
            millisecond,
            number,
            user,
            ready: delay_hours == 0,
            hours: delay_hours,
            reserved_for,
        });
    }

    /// One claim, which is what the rules say. Whether something was due.
    async fn claim(&mut self, store: usize, reserved: bool) -> bool {
        let expected = self.rules.next(store, reserved);
        let worker = &self.workers[store];
        assert_eq!(
            self.stores[store].look(reserved.then_some(worker)).await.expect("an answer").0,
            expected.is_some()
        );
        let lease = self.stores[store].take_of(worker, reserved).await;
        let url = lease.as_ref().map(|lease| lease.job().url.clone());
        assert_eq!(url, expected.as_ref().map(|row| row.number.to_string()), "{expected:?}");
        let (Some(lease), Some(row)) = (lease, expected) else { return false };
        self.rules.claimed(store, &row);
        self.out.push((lease, row));
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_due_is_claimed_in_turn_and_nothing_else(
        acts in proptest::collection::vec(act(), 0..40)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new().await;
            for act in acts {
                world.act(act).await;
            }
            // What is due in the end all goes, by turns of the programs.
            let mut some = true;
            while std::mem::take(&mut some) {
                for store in 0..STORES {
                    some |= world.claim(store, true).await;
                    some |= world.claim(store, false).await;
                }
            }
            assert!(world.rules.queue.iter().all(|row| !row.ready), "{:?}", world.rules.queue);
        });
    }
}
