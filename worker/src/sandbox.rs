//! Throw-away containers: one is created and started, waits for a job, gets it, reports, and is removed.
//!
//! Owns every word with the container engine; `bollard` is used below this module and nowhere else. The order
//! is always create, start (which returns once the fetcher has said it is ready), `run`, `remove`. What a
//! container says is hostile: it is counted before it is kept, and only a whole report with the right length,
//! digest and attempt leaves this module. Refuses to decide: it knows no job, no state and no database, and
//! never removes a container by itself, because the log of one is the only other copy of its report.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub mod attestation;
pub mod bare;
mod bridge;
mod death;
pub mod docker;
pub mod easing;
mod ending;
pub mod engine;
mod following;
pub mod image;
mod log;
pub mod output;
mod probe;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod sample;
pub mod seccomp;
pub mod spec;
pub mod waiting;

pub use attestation::Attestation;
pub use docker::Docker;
pub use engine::Engine;

/// How containers are made. Comes from the configuration only, never from a job.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxConfig {
    /// `unix:///path`, a bare path, or `tcp://host:port`; `None`: `/var/run/docker.sock`.
    pub docker_host: Option<String>,
    /// The installation, as kept in its database; the label `safeurl.instance`.
    pub instance: String,
    /// This process; the label `safeurl.worker`.
    pub worker: String,
    /// Resolved reference or id of the fetcher's image.
    pub image: String,
    /// Whether a container has a network card.
    pub network: Network,
    /// Name of an OCI runtime the engine knows (such as `runsc`); `None`: the engine's default.
    pub runtime: Option<String>,
    /// Memory limit of a container, swap included.
    pub memory_bytes: u64,
    /// Processors a container may use, such as 0.5.
    pub cpus: f64,
    /// Processes and threads a container may have.
    pub pids: u64,
    /// The largest timeout a job may have.
    pub timeout: Duration,
    /// Longest report in bytes.
    pub output_bytes: u64,
    /// Names of restrictions that need not hold.
    pub accept: Vec<String>,
}

/// The network of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// No network card at all; the gateway's socket is the only way out.
    #[default]
    None,
    /// A bridge of the installation's own, on which containers do not reach each other; the address rules are then the
    /// fetcher's own.
    Bridge,
}

impl Network {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bridge => "bridge",
        }
    }
}

/// One container to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Unique name; the obligation to remove it is on record under this name before it is created.
    pub name: String,
    /// User and group id inside, unique among live containers of the engine.
    pub uid: u32,
    /// Directory of the host that holds the gateway's socket; mounted read-only.
    pub door: PathBuf,
    /// What it is for; the label `safeurl.role`.
    pub role: &'static str,
}

/// A container of this installation, as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The engine's id.
    pub id: String,
    /// Name it was created with.
    pub name: String,
    /// The process that created it; empty when the label is missing.
    pub worker: String,
    /// What it is for; empty when the label is missing.
    pub role: String,
    /// A process is in it.
    pub running: bool,
}

/// How a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A process is in it.
    Running,
    /// It ended, or never began; its log is there.
    Dead,
    /// There is none of this name.
    Gone,
}

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// Such as `20.10.24`.
    pub engine: String,
    /// Newest API it speaks, such as `1.41`.
    pub api: String,
}

/// Makes, starts, ends and removes containers. Every call has a deadline of its own.
pub trait Sandbox: Clone + Send + Sync + 'static {
    /// A started container that has no job yet.
    type Waiting: Waiting;

    /// The id the engine keeps over restarts. Always asks the engine.
    fn engine_id(&self) -> impl Future<Output = Result<String, SandboxError>> + Send;

    /// Creates a container and returns the engine's id of it. After an error the container may exist, or may come to
    /// exist later: what [`list`](Sandbox::list) shows and nobody has on record is one of these.
    fn create(&self, request: &Request) -> impl Future<Output = Result<String, SandboxError>> + Send;

    /// Attaches, starts, and waits for the ready line. After an error the container may run: kill or remove it.
    fn start(&self, container: &str) -> impl Future<Output = Result<Self::Waiting, SandboxError>> + Send;

    /// Kills; returns when the container is dead. One that is dead or gone already is a success.
    fn kill(&self, container: &str) -> impl Future<Output = Result<(), SandboxError>> + Send;

    /// Sees a container off that has said all that it had to say: waits for its end, for a moment, and kills it then, if
    /// `may_kill`, asked once, says so. Whether it is dead, or gone. Its log keeps the report either way: an engine reads
    /// what was written to the pipe to its end.
    fn see_off(
        &self,
        container: &str,
        may_kill: impl Future<Output = bool> + Send,
    ) -> impl Future<Output = Result<bool, SandboxError>> + Send;

    /// Removes by id or name, killing first; one that is gone already is a success. What the engine is removing
    /// already, and may be for ever, is [`SandboxError::Pending`] within seconds: ask again later.
    fn remove(&self, container: &str) -> impl Future<Output = Result<(), SandboxError>> + Send;

    /// The same for one that is known to be dead, without killing first.
    fn remove_dead(&self, container: &str) -> impl Future<Output = Result<(), SandboxError>> + Send;

    /// How a container stands.
    fn standing(&self, container: &str) -> impl Future<Output = Result<Standing, SandboxError>> + Send;

    /// Sees a container to its end to which a worker that is gone handed a job over: waits while it runs, at most for
    /// `timeout`, and takes its report from its log. Everything else is as with [`Waiting::run`], but that output
    /// before the hand-over is not noticed: a log does not show when that was.
    fn follow(
        &self,
        container: &str,
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> impl Future<Output = Ran> + Send;

    /// All containers of this installation on this engine, also dead ones and those being removed. Who looks for
    /// forgotten ones asks for the list first and for the records after: a record is older than its container.
    fn list(&self) -> impl Future<Output = Result<Vec<Found>, SandboxError>> + Send;

    /// Makes one container like those for jobs, which tries its walls from the inside, and judges what came of it. The
    /// container is gone afterwards, or left for whoever has its name on record.
    fn probe(&self, request: &Request) -> impl Future<Output = Result<Attestation, SandboxError>> + Send;

    /// Whether the engine answers, and as what.
    fn version(&self) -> impl Future<Output = Result<EngineVersion, SandboxError>> + Send;
}

/// A started container whose fetcher has said it is ready. It serves one job. Dropping it closes its standard
/// input, on which the fetcher exits by itself.
pub trait Waiting: Send + 'static {
    /// The engine's id of the container.
    fn id(&self) -> &str;

    /// Milliseconds from the start call to the ready line.
    fn start_ms(&self) -> u64;

    /// Ends when the container can serve no job any more. May be dropped and asked for again.
    fn died(&mut self) -> impl Future<Output = ()> + Send;

    /// Hands the job over and hears the container out. `invocation` is JSON without a newline; `attempt`
    /// is what the report must repeat. The timeout runs from this call. With a whole report this returns at once, and
    /// the container may still run: nothing that it does from then on is part of its job. Otherwise the container is
    /// dead when this returns, unless the engine stopped answering, which is [`Outcome::Lost`], or
    /// `may_kill`, asked once before it is killed, said no, which is [`Outcome::Disowned`]. It is not removed.
    fn run(
        self,
        invocation: &str,
        attempt: &str,
        timeout: Duration,
        cancel: impl Future<Output = ()> + Send,
        may_kill: impl Future<Output = bool> + Send,
    ) -> impl Future<Output = Ran> + Send;
}

/// How a container that had a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What came of it.
    pub outcome: Outcome,
    /// The last of what it wrote to standard error; hostile text, to be escaped when shown.
    pub stderr_tail: String,
    /// Milliseconds from the hand-over to the report or the end. Of a container that was followed: from its start to its
    /// end by the engine's clock, so the wait for its job is in it; 0 when it is not known to have ended.
    pub run_ms: u64,
    /// `None` where nobody waited for it, or the engine could not tell; else it is dead.
    pub exit_code: Option<i64>,
}

/// The closed set of endings. A whole report counts whatever the exit code: codes lie after an engine's
/// restart, a length and a digest do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A whole report: its JSON, with length, digest and attempt checked.
    Reported(Vec<u8>),
    /// It ended in order, or was killed for it, with output that is no report.
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// More output than the limit; killed.
    TooLarge,
    /// Killed by the kernel at its memory limit.
    OutOfMemory,
    /// Killed at the end of its time; it is dead.
    TimedOut,
    /// Killed because the caller asked; it is dead.
    Cancelled,
    /// It ended without a whole report, and not because of the engine.
    Crashed {
        /// Exit code; 128 + n for signal n.
        code: i64,
    },
    /// It would have to be killed, and the caller may not: the job is somebody else's. It may still run.
    Disowned,
    /// It saw the end of its input before a job: not an attempt.
    NoJob,
    /// The engine or the container went away, so how it ended is not known or not to be put down to it. It may
    /// still run.
    Lost {
        /// What was seen.
        reason: String,
    },
}

impl SandboxError {
    /// Asking again will not help: a person has to change something.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::TooOld { .. }
            | Self::ImageMissing { .. }
            | Self::Weakened { .. }
            | Self::NotReady { .. }
            | Self::Unproven { .. } => true,
            Self::Refused { status, .. } => *status >= 400 && *status < 500,
            Self::Unavailable { .. } | Self::Pending { .. } => false,
        }
    }
}

/// Why something could not be done with the engine.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// No answer: not running, not reachable, or too slow. Worth trying again later.
    #[error("the container engine at {host} does not answer ({operation})")]
    Unavailable {
        /// Where it was looked for.
        host: String,
        /// What was attempted.
        operation: &'static str,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answers, but is too old.
    #[error("the container engine at {host} speaks API {api}, older than {floor}")]
    TooOld {
        /// Where it is.
        host: String,
        /// What it speaks.
        api: String,
        /// The oldest that will do.
        floor: &'static str,
    },
    /// The image is not there.
    #[error("image {image} is not on the container engine")]
    ImageMissing {
        /// Its reference.
        image: String,
    },
    /// The engine made a container with less protection than asked for. It is not started.
    #[error("the container engine ignored protections asked for: {fields}")]
    Weakened {
        /// Which, separated by commas.
        fields: String,
    },
    /// The container started but its fetcher did not say that it is ready.
    #[error("container {container} did not become ready: {reason}")]
    NotReady {
        /// Its id.
        container: String,
        /// What it did instead.
        reason: String,
    },
    /// A probe container ended without saying what it saw.
    #[error("the probe container did not say what it saw: {reason}")]
    Unproven {
        /// What it did instead.
        reason: String,
    },
    /// It could not be confirmed dead or removed within the time; the engine may still be at it.
    #[error("{operation} of container {container} is still pending")]
    Pending {
        /// What was attempted.
        operation: &'static str,
        /// Its id or name.
        container: String,
    },
    /// The engine answered with an error.
    #[error("the container engine refused to {operation} ({status}): {message}")]
    Refused {
        /// What was attempted.
        operation: &'static str,
        /// HTTP status; 200 when the error came in the middle of the answer.
        status: u16,
        /// What the engine said.
        message: String,
    },
}
