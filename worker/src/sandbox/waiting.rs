//! A started container and the conversation with it: ready line, job, report, end.
//!
//! Owns the attach connection. One task reads, writes and keeps the time, and never awaits anything slow while
//! the container talks, because a reader that stops blocks the container and in the end the engine. The
//! engine's attach may stay open after the exit and the exit may be seen before the last output, so the end is
//! a report that is whole, or both seen, or one seen and a grace over.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ending::{Stop, outcome};
use super::engine::{Engine, Exit, Status};
use super::output::{Fault, Output, Progress};
use super::{Ran, Waiting};

/// How long the second sign of the end may come after the first.
const GRACE: Duration = Duration::from_millis(500);
/// How long a container may live with its output closed and no report in it.
const LINGER: Duration = Duration::from_secs(5);

/// Looks for the kernel's memory verdict: the engine learns of it and of the exit by different ways.
const OOM_LOOKS: u32 = 4;
const OOM_PAUSE: Duration = Duration::from_millis(50);

type Frames = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// A container on a Docker engine that has no job yet.
pub struct DockerWaiting {
    engine: Engine,
    id: String,
    start: Duration,
    frames: Frames,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    said: Output,
}

impl DockerWaiting {
    pub(super) fn new(engine: Engine, id: &str, streams: AttachContainerResults, limit: u64) -> Self {
        Self {
            engine,
            id: id.to_owned(),
            start: Duration::ZERO,
            frames: streams.output,
            stdin: streams.input,
            said: Output::new(limit),
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

    pub(super) const fn started(&mut self, start: Duration) {
        self.start = start;
    }
}

/// Takes one frame; `false`: there will be no more.
fn take(frame: Option<Result<LogOutput, bollard::errors::Error>>, said: &mut Output) -> bool {
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
        limit: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> Ran {
        let begun = Instant::now();
        let Self { engine, id, mut frames, mut stdin, mut said, .. } = self;
        said.expect(attempt);
        let line = format!("{invocation}\n");
        let hand_over = async {
            // A failure shows as the exit of the container, which says more.
            let _ = stdin.write_all(line.as_bytes()).await;
            let _ = stdin.flush().await;
        };
        let deadline = begun + limit;
        let (stop, open) = converse(&engine, &id, &mut frames, &mut said, hand_over, deadline, cancel).await;
        let stop = match stop {
            Stop::Exited { .. } | Stop::Lost { .. } => stop,
            // Most of what follows is a kill, which only the holder of the job may do.
            _ if may_kill.await => stop,
            _ => Stop::Disowned,
        };
        let dead = finish(&engine, &id, &stop, &mut frames, &mut said, open).await;
        let (stop, exit_code) = with_memory(&engine, &id, stop, said.progress()).await;
        let stderr_tail = said.stderr_tail();
        Ran { outcome: outcome(stop, said, dead), stderr_tail, run_ms: millis(begun.elapsed()), exit_code }
    }
}

/// Writes the job and listens until the conversation is over. Also says whether more output may come.
async fn converse(
    engine: &Engine,
    id: &str,
    frames: &mut Frames,
    said: &mut Output,
    hand_over: impl Future<Output = ()>,
    deadline: Instant,
    cancel: impl Future<Output = ()>,
) -> (Stop, bool) {
    let mut hand_over = pin!(hand_over);
    let mut cancel = pin!(cancel);
    // A container that closes its output leaves the other connection alone; an engine that goes closes both.
    let broke = AtomicBool::new(false);
    let mut exit = pin!(engine.exit(id, &broke));
    let mut handed_over = false;
    let mut open = true;
    let mut ended: Option<Stop> = None;
    let mut grace: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut cancel => return (Stop::Cancelled, open),
            () = sleep_until(deadline) => return (Stop::Deadline, open),
            () = sleep_until(grace.unwrap_or(deadline)), if grace.is_some() => {
                let unheard = !open && broke.load(Ordering::Relaxed);
                let alive = if unheard { Stop::Unheard } else { Stop::Lingered };
                return (ended.unwrap_or(alive), open);
            }
            () = &mut hand_over, if !handed_over => handed_over = true,
            frame = frames.next(), if open => open = take(frame, said),
            end = &mut exit, if ended.is_none() => {
                ended = Some(match end {
                    Exit::Code(code) => Stop::Exited { code, oom: false },
                    Exit::Unknown(reason) => Stop::Lost { reason },
                });
            }
        }
        let whole = match said.progress() {
            Progress::Broken(_) => return (Stop::Fault, open),
            Progress::Whole => true,
            Progress::Starting | Progress::Ready | Progress::Reporting => false,
        };
        match ended {
            Some(end) if !open => return (end, false),
            None if open && !whole => {}
            // Its output is closed, so it is most likely dying; a loaded engine tells of it late.
            None if !whole => {
                grace.get_or_insert_with(|| Instant::now() + LINGER);
            }
            Some(_) | None => {
                grace.get_or_insert_with(|| Instant::now() + GRACE);
            }
        }
    }
}

/// Kills what does not stop by itself, and reads on meanwhile: an engine whose reader stands still does not
/// even kill. A report that was on its way when the time was over counts. An error says that it may still run.
async fn finish(
    engine: &Engine,
    id: &str,
    stop: &Stop,
    frames: &mut Frames,
    said: &mut Output,
    open: bool,
) -> Result<(), String> {
    match stop {
        Stop::Exited { .. } | Stop::Lost { .. } | Stop::Disowned => return Ok(()),
        Stop::Cancelled | Stop::Deadline | Stop::Fault | Stop::Lingered | Stop::Unheard => {}
    }
    let rest = pin!(async { while open && take(frames.next().await, said) {} });
    let dead = match select(pin!(engine.kill(id)), rest).await {
        Either::Left((dead, rest)) => {
            let _ = timeout(GRACE, rest).await;
            dead
        }
        Either::Right(((), kill)) => kill.await,
    };
    dead.map_err(|error| error.to_string())
}

/// Adds whether the kernel killed it for its memory, and the exit code where there is one.
async fn with_memory(engine: &Engine, id: &str, stop: Stop, progress: Progress) -> (Stop, Option<i64>) {
    let killed = |code: i64| code == 137 && progress != Progress::Whole;
    match stop {
        Stop::Exited { code, .. } if killed(code) => {
            for _ in 0..OOM_LOOKS {
                match engine.status(id).await {
                    Ok(Some(Status { oom: true, .. })) => {
                        return (Stop::Exited { code, oom: true }, Some(code));
                    }
                    Ok(Some(_)) => sleep(OOM_PAUSE).await,
                    Ok(None) | Err(_) => break,
                }
            }
            (stop, Some(code))
        }
        Stop::Exited { code, .. } => (stop, Some(code)),
        Stop::Lost { .. } | Stop::Disowned => (stop, None),
        Stop::Cancelled | Stop::Deadline | Stop::Fault | Stop::Lingered | Stop::Unheard => {
            let code = engine.status(id).await.ok().flatten().filter(|status| !status.running);
            (stop, code.map(|status| status.code))
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
