//! A started container and the conversation with it: ready line, job, report, end.
//!
//! Owns the attach connection. One task reads, writes and keeps the time, and never awaits anything slow while
//! the container talks, because a reader that stops blocks the container and in the end the engine. A report
//! that is whole is the end: an engine tells of an exit tens of milliseconds late, and nothing that comes after the
//! report counts. Without one the engine's attach may stay open after the exit and the exit may be seen before the last
//! output, so the end is both seen, or one seen and a grace over.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::future::FusedFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::death::{self, Witness};
use super::easing::Easing;
use super::ending::{Stop, outcome};
use super::engine::{Engine, Exit};
use super::following::{Followed, follow};
use super::output::{Fault, Output, Progress};
use super::{Ran, SandboxConfig, Waiting};
use crate::span::{Row, span};

/// How long the second sign of the end may come after the first.
const GRACE: Duration = Duration::from_millis(500);
/// How long a container may live with its output closed and no report in it.
const LINGER: Duration = Duration::from_secs(5);

type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// A container on a Docker engine that has no job yet.
pub struct DockerWaiting {
    engine: Engine,
    id: String,
    start: Duration,
    frames: Frames,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    said: Output,
    /// Processors that it was made with, where it gets less after a while.
    cpus: Option<f64>,
    /// Longest report in bytes.
    limit: u64,
}

impl DockerWaiting {
    pub(super) fn new(
        engine: Engine,
        id: &str,
        streams: AttachContainerResults,
        config: &SandboxConfig,
    ) -> Self {
        let SandboxConfig { cpus, output_bytes: limit, .. } = *config;
        Self {
            engine,
            id: id.to_owned(),
            start: Duration::ZERO,
            frames: streams.output,
            stdin: streams.input,
            said: Output::new(limit),
            cpus: Some(cpus),
            limit,
        }
    }

    /// Reads up to the ready line.
    pub(super) async fn ready(&mut self) -> Result<(), String> {
        loop {
            match self.said.progress() {
                Progress::Starting => {}
                Progress::Ready => return Ok(()),
                Progress::Broken(Fault::Invalid(reason)) => return Err(reason),
                Progress::Broken(Fault::TooLarge) => return Err("too much output".to_owned()),
                Progress::Reporting | Progress::Whole => return Err("output before a job".to_owned()),
            }
            if !take(self.frames.next().await, &mut self.said) {
                let tail = self.said.stderr_tail();
                return Err(match tail.trim() {
                    "" => "it ended before its ready line".to_owned(),
                    tail => format!("it ended before its ready line: {}", tail.escape_debug()),
                });
            }
        }
    }

    /// It keeps what it has of the processor, however long it takes.
    pub(super) const fn keep_share(&mut self) {
        self.cpus = None;
    }

    pub(super) const fn started(&mut self, start: Duration) {
        self.start = start;
    }
}

/// Takes one frame; `false`: there will be no more.
pub(crate) fn take(frame: Option<Result<LogOutput, bollard::errors::Error>>, said: &mut Output) -> bool {
    match frame {
        Some(Ok(LogOutput::StdOut { message })) => said.stdout(&message),
        Some(Ok(LogOutput::StdErr { message })) => said.stderr(&message),
        // Bytes outside of any frame: the connection broke inside one.
        Some(Ok(LogOutput::Console { .. } | LogOutput::StdIn { .. }) | Err(_)) | None => return false,
    }
    true
}

impl Waiting for DockerWaiting {
    fn id(&self) -> &str {
        &self.id
    }

    fn start_ms(&self) -> u64 {
        millis(self.start)
    }

    async fn died(&mut self) {
        let broke = AtomicBool::new(false);
        let mut exit = pin!(self.engine.exit(&self.id, &broke));
        loop {
            if self.said.progress() != Progress::Ready {
                return;
            }
            tokio::select! {
                frame = self.frames.next() => if !take(frame, &mut self.said) {
                    return;
                },
                _ = &mut exit => return,
            }
        }
    }

    async fn run(
        self,
        invocation: &str,
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        let begun = Instant::now();
        let Self { engine, id, mut frames, mut stdin, mut said, cpus, limit, .. } = self;
        said.expect(attempt);
        let line = format!("{invocation}\n");
        let hand_over = async {
            // A failure shows as the exit of the container, which says more.
            let _ = stdin.write_all(line.as_bytes()).await;
            let _ = stdin.flush().await;
        };
        let deadline = begun + timeout;
        let mut cancel = pin!(cancel);
        let conversation =
            converse(&engine, &id, &mut frames, &mut said, hand_over, deadline, cancel.as_mut());
        let talk = Easing { engine: &engine, id: &id, cpus }.around(conversation).await;
        let ran = match talk {
            Talk::Over { stop, open } => {
                let (stop, dead) = finish(&engine, &id, stop, &mut frames, &mut said, open, may_kill).await;
                judge(&engine, &id, stop, said, dead).await
            }
            Talk::Unheard => {
                let followed = Followed { engine: &engine, id: &id, attempt, cpus, limit };
                follow(followed, Witness::Interrupted, deadline, cancel, may_kill).await
            }
        };
        Ran { run_ms: millis(begun.elapsed()), ..ran }
    }
}

/// How a conversation ended.
enum Talk {
    /// For this reason; more output may come while it is `open`.
    Over { stop: Stop, open: bool },
    /// The engine hung up before there was a report. What the container said since, or says yet, is in its log.
    Unheard,
}

/// Writes the job and listens until the conversation is over.
async fn converse(
    engine: &Engine,
    id: &str,
    frames: &mut Frames,
    said: &mut Output,
    hand_over: impl Future<Output = ()>,
    deadline: Instant,
    mut cancel: Pin<&mut impl Future<Output = ()>>,
) -> Talk {
    let mut hand_over = pin!(hand_over);
    // A container that closes its output leaves the other connection alone; an engine that goes closes both.
    let broke = AtomicBool::new(false);
    let mut exit = pin!(engine.exit(id, &broke));
    let mut handed_over = false;
    let mut open = true;
    let mut ended: Option<Stop> = None;
    let mut grace: Option<Instant> = None;
    // What it is waited for: that the job is read, then its report.
    let mut parts = Row::beginning_with(span!("hand over", by = "engine"));
    let over = |stop, open| parted(stop, open, broke.load(Ordering::Relaxed));
    loop {
        tokio::select! {
            biased;
            () = &mut cancel => return over(Stop::Cancelled, open),
            () = sleep_until(deadline) => return over(Stop::Deadline, open),
            () = sleep_until(grace.unwrap_or(deadline)), if grace.is_some() => {
                return over(ended.unwrap_or(Stop::Lingered), open);
            }
            () = &mut hand_over, if !handed_over => {
                handed_over = true;
                parts.next(span!("report", by = "container"));
            }
            frame = frames.next(), if open => open = take(frame, said),
            end = &mut exit, if ended.is_none() => {
                ended = Some(match end {
                    Exit::Code(code) => Stop::Exited { code, oom: false },
                    Exit::Unknown(reason) => Stop::Lost { reason },
                });
            }
        }
        match said.progress() {
            Progress::Broken(_) => return over(Stop::Fault, open),
            Progress::Whole => return over(Stop::Reported, open),
            Progress::Starting | Progress::Ready | Progress::Reporting => {}
        }
        match ended {
            Some(end) if !open => return over(end, false),
            Some(_) => {
                grace.get_or_insert_with(|| Instant::now() + GRACE);
            }
            // Its output is closed, so it is most likely dying; a loaded engine tells of it late.
            None if !open => {
                grace.get_or_insert_with(|| Instant::now() + LINGER);
            }
            None => {}
        }
    }
}

/// Where an engine hung up before there was a report, the end that we saw is not all there is to it.
fn parted(stop: Stop, open: bool, hung_up: bool) -> Talk {
    let unheard = hung_up
        && match &stop {
            Stop::Exited { .. } => true,
            Stop::Deadline | Stop::Lingered => !open,
            Stop::Reported | Stop::Cancelled | Stop::Fault | Stop::Lost { .. } | Stop::Disowned => false,
        };
    if unheard { Talk::Unheard } else { Talk::Over { stop, open } }
}

/// Kills what does not stop by itself, if that is allowed, and reads on meanwhile: an engine whose reader stands
/// still does not even kill. A report that was on its way when the time was over counts. An error says that it may
/// still run.
async fn finish(
    engine: &Engine,
    id: &str,
    stop: Stop,
    frames: &mut Frames,
    said: &mut Output,
    open: bool,
    may_kill: impl Future<Output = bool>,
) -> (Stop, Result<(), String>) {
    match stop {
        Stop::Reported | Stop::Exited { .. } | Stop::Lost { .. } | Stop::Disowned => return (stop, Ok(())),
        Stop::Cancelled | Stop::Deadline | Stop::Fault | Stop::Lingered => {}
    }
    let mut rest = pin!(async { while open && take(frames.next().await, said) {} }.fuse());
    if !beside(may_kill, rest.as_mut()).await {
        return (Stop::Disowned, Ok(()));
    }
    let dead = beside(engine.kill(id), rest.as_mut()).await;
    if !rest.is_terminated() {
        let _ = timeout(GRACE, rest).await;
    }
    (stop, dead.map_err(|error| error.to_string()))
}

/// Waits for an answer while the rest of the output is read.
async fn beside<T>(answer: impl Future<Output = T>, mut rest: Pin<&mut impl FusedFuture<Output = ()>>) -> T {
    let mut answer = pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            () = &mut rest, if !rest.is_terminated() => {}
        }
    }
}

/// What came of it, once all is said.
async fn judge(engine: &Engine, id: &str, stop: Stop, said: Output, dead: Result<(), String>) -> Ran {
    let (stop, exit_code) = match stop {
        Stop::Exited { code, .. } => {
            let stop = death::explain(engine, id, code, Witness::Throughout, &said.progress()).await;
            (stop, Some(code))
        }
        Stop::Reported | Stop::Lost { .. } | Stop::Disowned => (stop, None),
        Stop::Cancelled | Stop::Deadline | Stop::Fault | Stop::Lingered => {
            let status = engine.status(id).await.ok().flatten().filter(|status| !status.running);
            (stop, status.map(|status| status.code))
        }
    };
    Ran { stderr_tail: said.stderr_tail(), outcome: outcome(stop, said, dead), run_ms: 0, exit_code }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
