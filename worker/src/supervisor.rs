//! Takes due jobs, runs each in a container of its own, and moves it on.
//!
//! One task decides: the `event_loop`. It hears that rows are due, that attempts have claimed or
//! ended, that leases were renewed or lost, that engine, gateway or database fell silent, and that a person wants
//! the worker to stop; `slots` owns the counters. Each attempt is a task of the loop's own `JoinSet`, so none
//! outlives it. What a crash leaves behind (a lease, an obligation row, a labelled container, a socket's folder)
//! is found by `recovery`, in any worker.

mod ahead;
mod attempt;
mod attest;
pub(crate) mod ending;
mod event_loop;
mod invocation;
mod judge;
mod lease;
mod pause;
mod pool;
mod progress;
mod recovery;
mod retry;
mod rows;
mod setup;
mod slots;
mod trouble;
mod under_way;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

pub use attempt::{Effect, End, Known, Seen, learn, plan};
pub use attest::Walls;
pub use ending::{Ending, Watched, decide};
pub use pool::PoolBounds;
pub use progress::Progress;
pub use recovery::{Maker, Place, Remains, Remedy, Wanted, may_reap, remedy};
pub use retry::{after_delivered_failure, after_failure, trouble_backoff};
pub use setup::{Config, EngineFacts};

use crate::analysis::Rules;
use crate::domain::scan::WorkerId;
use crate::domain::timestamp::Timestamp;
use crate::gateway::{Gateway, GatewayConfig, GatewayError};
use crate::metrics::{Metrics, Part};
use crate::queue::{BullMqConfig, BullMqQueue, EmbeddedQueue, Queue, RedisError};
use crate::sandbox::attestation::Judged;
use crate::sandbox::{Sandbox, SandboxError};
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError, WorkerRow};
use ahead::Ahead;
use attempt::runner::chain;
use event_loop::Loop;
use progress::{Note, Notes};
use recovery::hearing::Hearing;
use recovery::{reaper, run_dirs};
use trouble::Trouble;

/// The clock of this machine. Leases go by the database's clock; this one is for documents.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// What a supervisor is made of.
pub struct Parts<S: Sandbox> {
    /// Jobs and results.
    pub store: Store,
    /// Containers.
    pub sandbox: S,
    /// How to start the gateway. Its folder of sockets is set to one below `run_base`.
    pub gateway: GatewayConfig,
    /// The analysis.
    pub rules: Rules,
    /// Limits and facts.
    pub config: Config,
    /// This process.
    pub worker: WorkerId,
    /// Folder that holds one folder of gateway sockets per worker.
    pub run_base: PathBuf,
    /// Take only rows reserved for this worker, whatever queue there is.
    pub reserved_only: bool,
    /// The queue in front of the database; without one the database is the queue.
    pub bullmq: Option<BullMqConfig>,
    /// Where it is counted what happens.
    pub metrics: Metrics,
}

/// What every attempt needs.
struct Shared<S: Sandbox> {
    store: Store,
    queue: Queue,
    sandbox: S,
    gateway: Mutex<Gateway>,
    rules: Arc<Rules>,
    config: Config,
    worker: WorkerId,
    reserved_only: bool,
    /// Digest of what containers turned out to be.
    attestation: Option<String>,
    run_dir: PathBuf,
    notes: Notes,
    watchers: mpsc::UnboundedSender<Progress>,
    /// Containers that are written down for whoever wants one.
    ahead: Ahead,
    /// Names of the containers of the attempts that have one, by their numbers.
    names: Mutex<HashMap<u64, String>>,
    /// Names of containers that no attempt will remove any more.
    left: Mutex<HashSet<String>>,
    /// Names of containers whose removal was refused, and told.
    refused: Mutex<HashSet<String>>,
    /// Whether other workers' heartbeats mean anything.
    hearing: Mutex<Hearing>,
    metrics: Metrics,
}

impl<S: Sandbox> Shared<S> {
    fn hearing(&self) -> MutexGuard<'_, Hearing> {
        self.hearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn register(&self) -> Result<(), StoreError> {
        register(&self.store, &self.worker, &self.config).await
    }

    /// Leaves a container to the reaper, which removes it once no job's row needs it any more.
    fn leave(&self, name: &str) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// Keeps the name of an attempt's container, for the case that the attempt does not live to see to it.
    fn names(&self) -> MutexGuard<'_, HashMap<u64, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> HashSet<String> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_left(&self, name: &str) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Whether it is news that this container cannot be removed.
    fn is_first_refusal(&self, name: &str) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned())
    }

    /// Tells the loop that something of ours did not do its part.
    fn trouble(&self, what: &str, error: &(dyn std::error::Error + 'static)) {
        self.notes.send(Note::Trouble(Trouble::of(what, error)));
    }

    fn gateway(&self) -> Gateway {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who does not listen any more misses nothing that is not in the database.
    fn progress(&self, progress: Progress) {
        let _ = self.watchers.send(progress);
    }
}

/// How often a gateway is started that dies before it has answered: a machine without memory kills what is youngest.
const GATEWAY_STARTS: u32 = 3;

async fn spawn_gateway(config: &GatewayConfig) -> Result<Gateway, GatewayError> {
    let mut failures = 0;
    loop {
        match Gateway::spawn(config.clone()).await {
            Err(error) if error.may_pass() && failures + 1 < GATEWAY_STARTS => {
                failures += 1;
                warn!(error = chain(&error), "the egress gateway did not come up; starting it again");
                sleep(trouble_backoff(failures)).await;
            }
            spawned => return spawned,
        }
    }
}

/// Says who a worker is; with it comes the first heartbeat.
async fn register(store: &Store, worker: &WorkerId, config: &Config) -> Result<(), StoreError> {
    let row = WorkerRow {
        id: worker.clone(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine_id: config.engine.id.clone(),
        slots: u32::try_from(config.slots).unwrap_or(u32::MAX),
    };
    store.register(&row).await
}

/// Where jobs come from.
async fn queue<S: Sandbox>(parts: &Parts<S>) -> Result<Queue, RedisError> {
    let (store, worker) = (parts.store.clone(), parts.worker.clone());
    Ok(match &parts.bullmq {
        Some(config) if !parts.reserved_only => {
            Queue::BullMq(BullMqQueue::start(config.clone(), store, worker).await?)
        }
        Some(_) | None => {
            let store = store.polite(parts.config.politeness);
            Queue::Embedded(EmbeddedQueue::new(store, worker, parts.reserved_only))
        }
    })
}

/// Why a supervisor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error("registering the worker")]
    Store(#[from] StoreError),
    /// The queue.
    #[error("reaching the queue")]
    Queue(#[from] RedisError),
    /// The gateway.
    #[error("starting the egress gateway")]
    Gateway(#[from] GatewayError),
    /// The engine, or the container that was probed.
    #[error("looking at how closed containers are")]
    Engine(#[from] SandboxError),
    /// Containers are less closed than they should be.
    #[error("containers here lack restrictions: {}", attest::told(broken))]
    Walls {
        /// What does not hold and is not accepted.
        broken: Vec<Judged>,
    },
}

/// How a supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Attempts were killed and their jobs given back.
    pub aborted: bool,
}

/// A supervisor ready to run.
pub struct Supervisor<S: Sandbox> {
    shared: Arc<Shared<S>>,
    gateway_config: GatewayConfig,
    run_base: PathBuf,
    /// Says that the worker of the folder lives.
    held: File,
    notes: mpsc::UnboundedReceiver<Note>,
}

impl<S: Sandbox> Supervisor<S> {
    /// Registers the worker, starts its gateway, and looks at what containers are like. The receiver hears where scans have come to.
    ///
    /// # Errors
    /// [`StartError`] when database, gateway or engine do not do their part, or containers are too open.
    pub async fn start(parts: Parts<S>) -> Result<(Self, mpsc::UnboundedReceiver<Progress>), StartError> {
        let queue = queue(&parts).await?;
        let run_base = std::path::absolute(&parts.run_base).unwrap_or(parts.run_base);
        let run_dir = run_dirs::run_dir(&run_base, &parts.worker);
        let gateway_config = GatewayConfig { run_dir: run_dir.clone(), ..parts.gateway };
        // Before there is a folder, so that nobody takes it for one that was left.
        if let Err(error) = register(&parts.store, &parts.worker, &parts.config).await {
            queue.close().await;
            return Err(error.into());
        }
        let started = async {
            let gateway = spawn_gateway(&gateway_config).await?;
            let held = run_dirs::hold(&run_dir);
            let held = held.map_err(|source| GatewayError::Files { path: run_dir.clone(), source })?;
            let attested =
                attest::attest(&parts.store, &parts.sandbox, &parts.config, &parts.worker, &gateway).await;
            match attested {
                Ok(attestation) => Ok((gateway, held, attestation)),
                Err(error) => {
                    gateway.shutdown().await;
                    Err(error)
                }
            }
        };
        let (gateway, held, attestation) = match started.await {
            Ok(started) => started,
            Err(error) => {
                run_dirs::remove(&run_dir);
                queue.close().await;
                // Failing that, its heartbeat grows old.
                let _ = parts.store.retire(&parts.worker).await;
                return Err(error);
            }
        };
        parts.metrics.answers(Part::Gateway);
        let (notes, notes_receiver) = Notes::channel();
        let (watchers, progress) = mpsc::unbounded_channel();
        let shared = Shared {
            store: parts.store,
            queue,
            sandbox: parts.sandbox,
            gateway: Mutex::new(gateway),
            rules: Arc::new(parts.rules),
            config: parts.config,
            worker: parts.worker,
            reserved_only: parts.reserved_only,
            attestation,
            run_dir,
            notes,
            watchers,
            ahead: Ahead::default(),
            names: Mutex::default(),
            left: Mutex::default(),
            refused: Mutex::default(),
            hearing: Mutex::default(),
            metrics: parts.metrics,
        };
        let supervisor =
            Self { shared: Arc::new(shared), gateway_config, run_base, held, notes: notes_receiver };
        Ok((supervisor, progress))
    }

    /// Works until `shutdown` says to stop and every attempt has ended.
    pub async fn run(self, shutdown: Shutdown) -> Finished {
        let Self { shared, gateway_config, run_base, held, notes } = self;
        let looped = Loop::new(Arc::clone(&shared), gateway_config, run_base.clone());
        let finished = looped.run(shutdown, notes).await;
        shared.take_back().await;
        reaper::reap(&shared, true).await;
        // What was ended of a dead worker just now leaves its folder, and a scan may be too short for another sweep.
        run_dirs::clear(&shared, &run_base).await;
        shared.gateway().shutdown().await;
        if !shared.queue.close().await {
            // As a dead worker's, its entries are delivered again within seconds; a retired one is nobody's business.
            warn!("what became of some jobs is not told to the queue; the next worker sees to that");
            return finished;
        }
        // As long as a container is written down or a job held, the worker's row (which engine it is on) and the ledgers
        // are needed. Once the heartbeat is old, others see to all of it.
        match shared.store.holds_anything(&shared.worker).await {
            Ok(false) => run_dirs::remove(&shared.run_dir),
            Ok(true) => {
                warn!("containers or jobs of this worker are left to the next one");
                return finished;
            }
            Err(error) => {
                warn!(error = chain(&error), "whether anything is left is not known; the next worker looks");
                return finished;
            }
        }
        if let Err(error) = shared.store.retire(&shared.worker).await {
            warn!(error = chain(&error), "the worker's row stays until its heartbeat is old");
        }
        drop(held);
        finished
    }
}
