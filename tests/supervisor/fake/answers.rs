//! What the engine does when it is asked.

use std::time::Duration;

use safeurl::domain::scan::Job;
use safeurl::domain::state::State;
use safeurl::sandbox::{
    Attestation, EngineVersion, Found, Outcome, Ran, Request, Sandbox, SandboxError, Standing, Waiting,
};
use safeurl_protocol::{Exchange, Report, SCHEMA, Timings, Usage};

use super::{Beginning, Course, Creation, Fake, Op, Work, unavailable};

impl Sandbox for Fake {
    type Waiting = FakeWaiting;

    async fn engine_id(&self) -> Result<String, SandboxError> {
        Ok("engine".to_owned())
    }

    async fn create(&self, request: &Request) -> Result<String, SandboxError> {
        self.answer(Op::Create, "create")?;
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

    async fn probe(&self, request: &Request) -> Result<Attestation, SandboxError> {
        let rows = self.store.containers("engine").await.expect("the obligations");
        if !rows.iter().any(|row| row.obligation.name == request.name && row.uid == request.uid) {
            self.violated(format!("{} was probed before it was written down", request.name));
        }
        self.inside().probes.pop_front().unwrap_or_else(|| Err(unavailable("probe")))
    }

    async fn start(&self, container: &str) -> Result<FakeWaiting, SandboxError> {
        self.answer(Op::Start, "start")?;
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
        self.answer(Op::Kill, "kill")?;
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

    async fn see_off(
        &self,
        container: &str,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Result<bool, SandboxError> {
        self.answer(Op::SeeOff, "see off")?;
        let lingers = self.inside().lingers;
        let Some(waited) = lingers else {
            self.die(container);
            self.note(Op::SeeOff, container);
            return Ok(true);
        };
        let mut leave = Leave { fake: self, container, taken: false };
        self.note(Op::SeeOff, container);
        tokio::time::sleep(waited).await;
        self.note(Op::AskKill, container);
        let may_kill = may_kill.await;
        leave.taken = true;
        if may_kill {
            self.kill(container).await?;
        }
        Ok(may_kill)
    }

    async fn remove_dead(&self, container: &str) -> Result<(), SandboxError> {
        let id = self.find(container).unwrap_or_else(|| container.to_owned());
        if self.is_alive(&id) {
            self.violated(format!("{id} was taken for dead"));
        }
        self.remove(container).await
    }

    async fn remove(&self, container: &str) -> Result<(), SandboxError> {
        self.answer(Op::Remove, "remove")?;
        let id = self.find(container).unwrap_or_else(|| container.to_owned());
        for job in self.bound(&id).await {
            self.violated(format!("{id} was removed while {} was {}", job.id, job.state));
        }
        let gate = self.inside().removals_at.clone();
        if let Some(gate) = gate {
            self.note(Op::Remove, container);
            gate.pass().await;
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
        self.answer(Op::Look, "standing")?;
        self.note(Op::Look, container);
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
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        let held = Held::new(self, container);
        self.note(Op::Follow, container);
        let happens = self.inside().at_follow.take();
        if let Some(happens) = happens {
            happens();
        }
        let outcome = match self.course(container) {
            None => Outcome::NoJob,
            Some(Course::Ended(outcome)) => outcome,
            Some(Course::At(gate)) => {
                let killed = self.killed(container);
                let course = tokio::select! {
                    biased;
                    () = cancel => Err(Outcome::Cancelled),
                    () = tokio::time::sleep(timeout) => Err(Outcome::TimedOut),
                    () = gate.pass() => Ok(Outcome::Reported(report(attempt))),
                    () = killed => Ok(Outcome::Crashed { code: 137 }),
                };
                match course {
                    Ok(outcome) => outcome,
                    Err(outcome) => {
                        self.note(Op::AskKill, container);
                        if !may_kill.await {
                            return disowned(&held);
                        }
                        outcome
                    }
                }
            }
        };
        self.die(container);
        ended(held, outcome)
    }

    async fn list(&self) -> Result<Vec<Found>, SandboxError> {
        self.answer(Op::List, "list")?;
        self.note(Op::List, "");
        let inside = self.inside();
        let found = inside.containers.iter().map(|(id, container)| Found {
            id: id.clone(),
            name: container.name.clone(),
            worker: maker(&container.name).to_owned(),
            role: "fetch".to_owned(),
            running: !*container.dead.borrow(),
        });
        Ok(found.collect())
    }

    async fn version(&self) -> Result<EngineVersion, SandboxError> {
        self.answer(Op::Version, "version")?;
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
        timeout: Duration,
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
        let killed = self.fake.killed(&self.id);
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
            Some(Work::At(gate)) => {
                self.fake.takes_course(&self.id, Course::At(gate.clone()));
                let course = tokio::select! {
                    biased;
                    () = cancel => Err(Outcome::Cancelled),
                    () = tokio::time::sleep(timeout) => Err(Outcome::TimedOut),
                    () = gate.pass() => Ok(Outcome::Reported(report(attempt))),
                    () = killed => Ok(Outcome::Crashed { code: 137 }),
                };
                match course {
                    Ok(outcome) => outcome,
                    Err(outcome) => {
                        self.fake.note(Op::AskKill, &self.id);
                        if !may_kill.await {
                            return disowned(&held);
                        }
                        outcome
                    }
                }
            }
        };
        self.fake.takes_course(&self.id, Course::Ended(outcome.clone()));
        // One that has reported may live on.
        if !matches!(outcome, Outcome::Reported(_)) {
            self.fake.die(&self.id);
        }
        ended(held, outcome)
    }
}

/// A container that is seen off, until that is over or nobody does it any more.
struct Leave<'a> {
    fake: &'a Fake,
    container: &'a str,
    taken: bool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if !self.taken {
            self.fake.note(Op::LetGo, self.container);
        }
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
    // Nobody waits for the end of a container that has reported.
    let exit_code = (!matches!(outcome, Outcome::Reported(_))).then_some(0);
    Ran { outcome, stderr_tail: "the last words".to_owned(), run_ms: 7, exit_code }
}

/// Nobody waits for it any more, and it is not touched.
fn disowned(_held: &Held) -> Ran {
    Ran { outcome: Outcome::Disowned, stderr_tail: String::new(), run_ms: 7, exit_code: None }
}

/// Who made the container of this name; empty for a name that no worker gives.
fn maker(name: &str) -> &str {
    name.strip_prefix("safeurl-").and_then(|rest| rest.rsplit_once('-')).map_or("", |(worker, _)| worker)
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

fn refused(operation: &'static str) -> SandboxError {
    let message = "the test wants an error".to_owned();
    SandboxError::Refused { operation, status: 500, message }
}
