//! An engine without containers. It does what a test tells it, writes down what it is asked, and looks at the
//! database whenever it is asked to hand over or to remove: what must be true there at that moment is checked by
//! every test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeurl::domain::scan::Job;
use safeurl::domain::state::State;
use safeurl::sandbox::{Attestation, Outcome, SandboxError};
use safeurl::store::{JobFilter, Store};
use safeurl_protocol::{Invocation, Report};
use tokio::sync::{Semaphore, watch};

#[path = "fake/answers.rs"]
mod answers;

pub(crate) use answers::plain_report;

/// Holds whoever waits at it until it is opened.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn shut() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) fn open(&self) {
        self.0.add_permits(1000);
    }

    async fn pass(&self) {
        self.0.acquire().await.expect("a gate is never closed").forget();
    }
}

/// How a create goes; in order without one.
pub(crate) enum Creation {
    Refused,
    /// The container is made, and the answer does not arrive.
    AnswerLost,
}

/// How a start goes; in order without one.
pub(crate) enum Beginning {
    NotReady,
    Refused,
    Panics,
    /// The container gets ready when the gate opens.
    At(Gate),
    /// Something happens before the container is ready.
    After(Box<dyn FnOnce() + Send>),
}

/// What a container does with its job; it reports without one.
pub(crate) enum Work {
    Ends(Outcome),
    /// Reports for another attempt than its own.
    ReportsForAnother,
    /// Reports this about its attempt.
    Says(fn(&str) -> Report),
    /// Reports when the gate opens.
    At(Gate),
    Panics,
    PanicsAt(Gate),
}

/// What the engine was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Start,
    HandOver,
    /// The supervisor watches whether a container without a job dies.
    Watch,
    /// The supervisor gave up waiting for the container without touching it.
    LetGo,
    /// May the container be killed that has no time left?
    AskKill,
    Kill,
    /// A container that has reported is seen to its end, beside what is done for its job.
    SeeOff,
    Remove,
    /// How does a container stand?
    Look,
    /// Another worker's container is seen to its end.
    Follow,
    List,
    /// Who are you?
    Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) container: String,
}

struct Container {
    name: String,
    dead: watch::Sender<bool>,
    /// What becomes of its job whether or not anybody listens; `None` before there is one.
    job: Option<Course>,
}

/// What a container does with its job.
#[derive(Clone)]
enum Course {
    /// Reports when the gate opens.
    At(Gate),
    Ended(Outcome),
}

#[derive(Default)]
struct Inside {
    containers: BTreeMap<String, Container>,
    calls: Vec<Call>,
    invocations: Vec<Invocation>,
    violations: Vec<String>,
    creations: VecDeque<Creation>,
    beginnings: VecDeque<Beginning>,
    probes: VecDeque<Result<Attestation, SandboxError>>,
    works: VecDeque<Work>,
    silent: bool,
    /// What is not answered the next times it is asked.
    silences: Vec<Op>,
    unanswered: Vec<Op>,
    removals_at: Option<Gate>,
    removals_refused: bool,
    kills_refused: bool,
    kills_at: Option<Gate>,
    lingers: Option<Duration>,
    at_follow: Option<Box<dyn FnOnce() + Send>>,
    made: u32,
    working: usize,
    most_working: usize,
}

#[derive(Clone)]
pub(crate) struct Fake {
    store: Store,
    inside: Arc<Mutex<Inside>>,
    changes: watch::Sender<u64>,
}

impl Fake {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, inside: Arc::default(), changes: watch::Sender::new(0) }
    }

    pub(crate) fn next_create(&self, creation: Creation) {
        self.inside().creations.push_back(creation);
    }

    /// What the next probe sees; one that is not expected is not answered.
    pub(crate) fn next_probe(&self, seen: Result<Attestation, SandboxError>) {
        self.inside().probes.push_back(seen);
    }

    pub(crate) fn next_start(&self, beginning: Beginning) {
        self.inside().beginnings.push_back(beginning);
    }

    pub(crate) fn next_work(&self, work: Work) {
        self.inside().works.push_back(work);
    }

    /// Whether the engine answers at all.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.inside().silent = silent;
    }

    /// The engine does not answer this the next times it is asked.
    pub(crate) fn set_silent_at(&self, op: Op, times: usize) {
        self.inside().silences.extend(std::iter::repeat_n(op, times));
    }

    /// Waits until the engine would answer this.
    pub(crate) async fn until_answering(&self, op: Op) {
        self.until(|inside| !inside.silences.contains(&op)).await;
    }

    /// Waits until the engine was asked this so often without an answer.
    pub(crate) async fn until_unanswered(&self, op: Op, times: usize) {
        self.until(|inside| inside.unanswered.iter().filter(|asked| **asked == op).count() >= times).await;
    }

    async fn until(&self, holds: impl Fn(&Inside) -> bool) {
        let mut changes = self.changes.subscribe();
        let waited = async {
            while !holds(&self.inside()) {
                changes.changed().await.expect("the engine is here");
            }
        };
        let waited = tokio::time::timeout(super::stage::LONG, waited).await;
        assert!(waited.is_ok(), "it did not come to that: {:?}", self.calls());
    }

    /// Removals take until the gate opens.
    pub(crate) fn remove_at(&self, gate: &Gate) {
        self.inside().removals_at = Some(gate.clone());
    }

    pub(crate) fn refuse_removals(&self, refuse: bool) {
        self.inside().removals_refused = refuse;
    }

    /// Containers that have reported live on, and are given this time to end; by themselves they end without one.
    pub(crate) fn linger(&self, waited: Option<Duration>) {
        self.inside().lingers = waited;
    }

    pub(crate) fn refuse_kills(&self, refuse: bool) {
        self.inside().kills_refused = refuse;
    }

    /// Something happens once another worker's container is waited for.
    pub(crate) fn at_follow(&self, happens: Box<dyn FnOnce() + Send>) {
        self.inside().at_follow = Some(happens);
    }

    /// A container is gone, as if somebody had removed it by hand.
    pub(crate) fn vanish(&self, id: &str) {
        self.inside().containers.remove(id);
    }

    /// A container never got its job: whoever had it died on the way to its standard input.
    pub(crate) fn forget_job(&self, id: &str) {
        if let Some(container) = self.inside().containers.get_mut(id) {
            container.job = None;
        }
    }

    /// A container has ended like this.
    pub(crate) fn log(&self, id: &str, outcome: Outcome) {
        self.takes_course(id, Course::Ended(outcome));
        self.die(id);
    }

    /// Kills take until the gate opens.
    pub(crate) fn kill_at(&self, gate: &Gate) {
        self.inside().kills_at = Some(gate.clone());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.inside().calls.clone()
    }

    /// What was done with a container, in order.
    pub(crate) fn done_to(&self, container: &str) -> Vec<Op> {
        let calls = self.calls().into_iter().filter(|call| call.container == container);
        calls.map(|call| call.op).filter(|op| *op != Op::SeeOff).collect()
    }

    /// The containers for which this was asked, in order.
    pub(crate) fn asked(&self, op: Op) -> Vec<String> {
        self.calls().into_iter().filter(|call| call.op == op).map(|call| call.container).collect()
    }

    /// What containers were given.
    pub(crate) fn invocations(&self) -> Vec<Invocation> {
        self.inside().invocations.clone()
    }

    /// What was wrong in the database when the engine was asked.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.inside().violations.clone()
    }

    /// The most containers that had a job at the same time.
    pub(crate) fn most_working(&self) -> usize {
        self.inside().most_working
    }

    pub(crate) fn containers(&self) -> Vec<String> {
        self.inside().containers.keys().cloned().collect()
    }

    pub(crate) fn is_dead(&self, container: &str) -> bool {
        self.inside().containers.get(container).is_none_or(|container| *container.dead.borrow())
    }

    /// Waits until the engine was asked this so often.
    pub(crate) async fn until_asked(&self, op: Op, times: usize) -> Vec<String> {
        let mut changes = self.changes.subscribe();
        let asked = async {
            while self.asked(op).len() < times {
                changes.changed().await.expect("the engine is here");
            }
        };
        let waited = tokio::time::timeout(super::stage::LONG, asked).await;
        assert!(waited.is_ok(), "{op:?} was not asked {times} times: {:?}", self.calls());
        self.asked(op)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, op: Op, container: &str) {
        self.inside().calls.push(Call { op, container: container.to_owned() });
        self.changes.send_modify(|count| *count += 1);
    }

    fn answer(&self, op: Op, operation: &'static str) -> Result<(), SandboxError> {
        let mut inside = self.inside();
        let asked_for = inside.silences.iter().position(|silence| *silence == op);
        if let Some(at) = asked_for {
            inside.silences.remove(at);
        }
        if asked_for.is_none() && !inside.silent {
            return Ok(());
        }
        inside.unanswered.push(op);
        drop(inside);
        self.changes.send_modify(|count| *count += 1);
        Err(unavailable(operation))
    }

    /// Makes a container as somebody else did long ago.
    pub(crate) fn made(&self, name: &str) -> String {
        let mut inside = self.inside();
        inside.made += 1;
        let id = format!("c{}", inside.made);
        let container = Container { name: name.to_owned(), dead: watch::Sender::new(false), job: None };
        inside.containers.insert(id.clone(), container);
        id
    }

    fn find(&self, handle: &str) -> Option<String> {
        let inside = self.inside();
        let mut found = inside.containers.iter().filter(|(id, c)| *id == handle || c.name == handle);
        found.next().map(|(id, _)| id.clone())
    }

    pub(crate) fn die(&self, id: &str) {
        if let Some(container) = self.inside().containers.get(id) {
            container.dead.send_replace(true);
        }
    }

    fn is_alive(&self, id: &str) -> bool {
        self.inside().containers.get(id).is_some_and(|container| !*container.dead.borrow())
    }

    /// What the container does with its job.
    fn course(&self, id: &str) -> Option<Course> {
        self.inside().containers.get(id).and_then(|container| container.job.clone())
    }

    fn takes_course(&self, id: &str, course: Course) {
        if let Some(container) = self.inside().containers.get_mut(id) {
            container.job = Some(course);
        }
    }

    async fn killed(&self, id: &str) {
        let mut dead = self.dead(id);
        let _ = dead.wait_for(|dead| *dead).await;
    }

    fn dead(&self, id: &str) -> watch::Receiver<bool> {
        let inside = self.inside();
        inside
            .containers
            .get(id)
            .map_or_else(|| watch::channel(true).1, |container| container.dead.subscribe())
    }

    /// The jobs at work that name a container.
    async fn bound(&self, id: &str) -> Vec<Job> {
        let states = vec![State::Fetching, State::Analyzing];
        let jobs = self.store.jobs(JobFilter { states, user: None, limit: 1000 }).await.expect("the rows");
        jobs.into_iter().filter(|job| job.container_id.as_deref() == Some(id)).collect()
    }

    fn violated(&self, what: String) {
        self.inside().violations.push(what);
    }
}

fn unavailable(operation: &'static str) -> SandboxError {
    let source = "the test wants no answer".into();
    SandboxError::Unavailable { host: "fake".to_owned(), operation, source }
}
