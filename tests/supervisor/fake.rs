//! An engine without containers. It does what a test tells it, writes down what it is asked, and looks at the
//! database whenever it is asked to hand over or to remove: what must be true there at that moment is checked by
//! every test.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeurl::domain::scan::Job;
use safeurl::domain::state::State;
use safeurl::sandbox::{
    EngineVersion, Found, Outcome, Ran, Request, Sandbox, SandboxError, Standing, Waiting,
};
use safeurl::store::{JobFilter, Store};
use safeurl_protocol::{Exchange, Invocation, Report, SCHEMA, Timings, Usage};
use tokio::sync::{Semaphore, watch};

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
    Kill,
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) container: String,
}

struct Container {
    name: String,
    dead: watch::Sender<bool>,
}

#[derive(Default)]
struct Inside {
    containers: BTreeMap<String, Container>,
    calls: Vec<Call>,
    invocations: Vec<Invocation>,
    violations: Vec<String>,
    creations: VecDeque<Creation>,
    beginnings: VecDeque<Beginning>,
    works: VecDeque<Work>,
    silent: bool,
    removals_refused: bool,
    kills_refused: bool,
    kills_at: Option<Gate>,
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

    pub(crate) fn refuse_removals(&self, refuse: bool) {
        self.inside().removals_refused = refuse;
    }

    pub(crate) fn refuse_kills(&self, refuse: bool) {
        self.inside().kills_refused = refuse;
    }

    /// Kills take until the gate opens.
    pub(crate) fn kill_at(&self, gate: &Gate) {
        self.inside().kills_at = Some(gate.clone());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.inside().calls.clone()
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

    fn answer(&self, operation: &'static str) -> Result<(), SandboxError> {
        if self.inside().silent { Err(unavailable(operation)) } else { Ok(()) }
    }

    /// Makes a container as somebody else did long ago.
    pub(crate) fn made(&self, name: &str) -> String {
        let mut inside = self.inside();
        inside.made += 1;
        let id = format!("c{}", inside.made);
        let container = Container { name: name.to_owned(), dead: watch::Sender::new(false) };
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

impl Sandbox for Fake {
    type Waiting = FakeWaiting;

    async fn engine_id(&self) -> Result<String, SandboxError> {
        Ok("engine".to_owned())
    }

    async fn create(&self, request: &Request) -> Result<String, SandboxError> {
        self.answer("create")?;
        let rows = self.store.containers("engine").await.expect("the obligations");
        if !rows.iter().any(|row| row.obligation.name == request.name && row.uid == request.uid) {
            self.violated(format!("{} was created before it was written down", request.name));
        }
        if !request.door.join("gw.sock").exists() {
            self.violated(format!("{} was created before its socket", request.name));
        }
        let creation = self.inside().creations.pop_front();
        let answer = match creation {
            Some(Creation::Refused) => Err(refused("create")),
            Some(Creation::AnswerLost) => {
                self.made(&request.name);
                Err(unavailable("create"))
            }
            None => Ok(self.made(&request.name)),
        };
        self.note(Op::Create, &request.name);
        answer
    }

    async fn start(&self, container: &str) -> Result<FakeWaiting, SandboxError> {
        self.answer("start")?;
        self.note(Op::Start, container);
        let beginning = self.inside().beginnings.pop_front();
        match beginning {
            None => {}
            Some(Beginning::Refused) => return Err(refused("start")),
            Some(Beginning::NotReady) => {
                let reason = "it said nothing".to_owned();
                return Err(SandboxError::NotReady { container: container.to_owned(), reason });
            }
            Some(Beginning::Panics) => panic!("the test wants a panic in a start"),
            Some(Beginning::At(gate)) => gate.pass().await,
            Some(Beginning::After(happens)) => happens(),
        }
        Ok(FakeWaiting { fake: self.clone(), id: container.to_owned() })
    }

    async fn kill(&self, container: &str) -> Result<(), SandboxError> {
        self.answer("kill")?;
        let refuse = self.inside().kills_refused;
        let gate = self.inside().kills_at.clone();
        self.note(Op::Kill, container);
        if let Some(gate) = gate {
            gate.pass().await;
        }
        if refuse {
            return Err(refused("kill"));
        }
        self.die(container);
        Ok(())
    }

    async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        self.answer("remove")?;
        let id = self.find(container).unwrap_or_else(|| container.to_owned());
        for job in self.bound(&id).await {
            self.violated(format!("{id} was removed while {} was {}", job.id, job.state));
        }
        let refuse = self.inside().removals_refused;
        if !refuse {
            self.die(&id);
            self.inside().containers.remove(&id);
        }
        self.note(Op::Remove, container);
        if refuse { Err(refused("remove")) } else { Ok(()) }
    }

    async fn standing(&self, container: &str) -> Result<Standing, SandboxError> {
        self.answer("standing")?;
        let found = self.find(container);
        Ok(match found {
            None => Standing::Gone,
            Some(id) if self.is_dead(&id) => Standing::Dead,
            Some(_) => Standing::Running,
        })
    }

    async fn follow(
        &self,
        container: &str,
        _attempt: &str,
        _timeout: Duration,
        _cancel: impl Future<Output = ()> + Send,
        _may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        ended(Held::new(self, container), Outcome::Lost { reason: "the test has no log".to_owned() })
    }

    async fn list(&self) -> Result<Vec<Found>, SandboxError> {
        self.answer("list")?;
        let inside = self.inside();
        let found = inside.containers.iter().map(|(id, container)| Found {
            id: id.clone(),
            name: container.name.clone(),
            worker: String::new(),
            role: "fetch".to_owned(),
            running: !*container.dead.borrow(),
        });
        Ok(found.collect())
    }

    async fn version(&self) -> Result<EngineVersion, SandboxError> {
        self.answer("version")?;
        Ok(EngineVersion { engine: "1".to_owned(), api: "1.41".to_owned() })
    }
}

pub(crate) struct FakeWaiting {
    fake: Fake,
    id: String,
}

impl Waiting for FakeWaiting {
    fn id(&self) -> &str {
        &self.id
    }

    fn start_ms(&self) -> u64 {
        1
    }

    async fn died(&mut self) {
        self.fake.note(Op::Watch, &self.id);
        let mut dead = self.fake.dead(&self.id);
        let _ = dead.wait_for(|dead| *dead).await;
    }

    async fn run(
        self,
        invocation: &str,
        attempt: &str,
        _timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        let held = Held::new(&self.fake, &self.id);
        let holder = self.fake.bound(&self.id).await;
        let [Job { state: State::Fetching, .. }] = holder.as_slice() else {
            self.fake.violated(format!("{} got a job without a row: {holder:?}", self.id));
            return ended(held, Outcome::NoJob);
        };
        self.fake.inside().invocations.push(serde_json::from_str(invocation).expect("an invocation"));
        self.fake.note(Op::HandOver, &self.id);
        let work = self.fake.inside().works.pop_front();
        let killed = async {
            let mut dead = self.fake.dead(&self.id);
            let _ = dead.wait_for(|dead| *dead).await;
        };
        let outcome = match work {
            None => Outcome::Reported(report(attempt)),
            Some(Work::Says(report)) => Outcome::Reported(bytes(&report(attempt))),
            Some(Work::Ends(outcome)) => outcome,
            Some(Work::ReportsForAnother) => Outcome::Reported(report("another/1")),
            Some(Work::Panics) => panic!("the test wants a panic in an attempt"),
            Some(Work::PanicsAt(gate)) => {
                gate.pass().await;
                panic!("the test wants a panic in an attempt");
            }
            Some(Work::At(gate)) => tokio::select! {
                biased;
                () = cancel => if may_kill.await { Outcome::Cancelled } else { Outcome::Disowned },
                () = killed => Outcome::Crashed { code: 137 },
                () = gate.pass() => Outcome::Reported(report(attempt)),
            },
        };
        self.fake.die(&self.id);
        ended(held, outcome)
    }
}

/// A container with a job, until it has ended or nobody waits for it any more.
struct Held {
    fake: Fake,
    id: String,
    ended: bool,
}

impl Held {
    fn new(fake: &Fake, id: &str) -> Self {
        let mut inside = fake.inside();
        inside.working += 1;
        inside.most_working = inside.most_working.max(inside.working);
        drop(inside);
        Self { fake: fake.clone(), id: id.to_owned(), ended: false }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.fake.inside().working -= 1;
        if !self.ended {
            self.fake.note(Op::LetGo, &self.id);
        }
    }
}

fn ended(mut held: Held, outcome: Outcome) -> Ran {
    held.ended = true;
    Ran { outcome, stderr_tail: "the last words".to_owned(), run_ms: 7, exit_code: Some(0) }
}

fn report(attempt: &str) -> Vec<u8> {
    bytes(&plain_report(attempt))
}

fn bytes(report: &Report) -> Vec<u8> {
    serde_json::to_vec(report).expect("plain values")
}

/// What a fetcher says of a page without a body.
pub(crate) fn plain_report(attempt: &str) -> Report {
    let exchange = Exchange {
        url: "http://example.test/".to_owned(),
        method: "GET".to_owned(),
        status: Some(204),
        status_text: None,
        protocol: Some("http/1.1".to_owned()),
        headers: Vec::new(),
        mime_type: None,
        size: Some(0),
        encoded_size: Some(0),
        sha256: None,
        redirect: None,
        error: None,
        connection: None,
        timings: Timings::default(),
        tls: None,
        robots: None,
    };
    Report {
        schema: SCHEMA,
        attempt: attempt.to_owned(),
        requests: vec![exchange],
        content: None,
        features: None,
        usage: Usage::default(),
        side: Vec::new(),
        body: None,
    }
}

fn unavailable(operation: &'static str) -> SandboxError {
    let source = "the test wants no answer".into();
    SandboxError::Unavailable { host: "fake".to_owned(), operation, source }
}

fn refused(operation: &'static str) -> SandboxError {
    let message = "the test wants an error".to_owned();
    SandboxError::Refused { operation, status: 500, message }
}
