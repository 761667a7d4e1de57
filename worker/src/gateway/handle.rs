//! The supervisor's side: starts the process, hands doors over, hears what becomes of them.

use std::collections::{HashMap, VecDeque};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::FlockOperation;
use safeurl_protocol::ledger::Ledger;
use tokio::process::{Child, Command as Program};
use tokio::sync::{Notify, oneshot, watch};
use tracing::debug;

use super::budget::Budgets;
use super::channel::{self, Channel};
use super::message::{Command, Order, Report, Settings};
use super::record::{self, DoorFiles};
use super::user::{self, Ids};
use super::{GatewayConfig, GatewayError};

/// What the process is called in lists of processes, whatever the path that it is started by.
const NAME: &str = "safeurl";

/// How long the process may take to acknowledge an order. It does nothing slower than writing a line.
const ACKNOWLEDGE: Duration = Duration::from_secs(10);

/// How long an orderly shutdown waits for the process to go.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The most events that wait to be acted on. A process that was taken over may send them without end; a true one sends
/// one a door.
const MOST_EVENTS: usize = 4096;

/// A running gateway process. Clones and doors share it; when the last of them is dropped the process is left to
/// itself and ends after its last bound attempt.
#[derive(Debug, Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
    /// Ends the listening task when the last handle goes.
    _listening: Arc<Listening>,
}

/// What the supervisor must act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayEvent {
    /// The process is gone: every attempt bound to it is lost. Said once.
    Died,
    /// A container used its door before it was bound and must be thrown away. The door may have been closed since.
    TouchedUnbound {
        /// The door's [`id`](Door::id).
        door: String,
    },
}

#[derive(Debug)]
struct Shared {
    channel: Channel,
    run_dir: PathBuf,
    pid: Option<u32>,
    next_number: AtomicU64,
    alive: watch::Sender<bool>,
    closing: AtomicBool,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<(), No>>>>,
    events: Mutex<VecDeque<GatewayEvent>>,
    news: Notify,
}

/// Why an order was not carried out.
#[derive(Debug)]
enum No {
    Refused(String),
    Spoiled,
}

#[derive(Debug)]
struct Listening(tokio::task::JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Gateway {
    /// Starts the process and configures it.
    ///
    /// # Errors
    /// When the user cannot be taken, the run directory cannot be made, the program cannot be started, or it does not
    /// accept the settings or cannot lock itself down.
    pub async fn spawn(config: GatewayConfig) -> Result<Self, GatewayError> {
        let user = user::chosen(config.user.as_deref())?;
        let files = |source| GatewayError::Files { path: config.run_dir.clone(), source };
        // The engine wants absolute paths for mounts.
        let run_dir = std::path::absolute(&config.run_dir).map_err(files)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&run_dir).map_err(files)?;

        let start = |source| GatewayError::Start { program: config.program.clone(), source };
        let (ours, theirs) = channel::pair().map_err(start)?;
        let channel = Channel::new(ours).map_err(start)?;
        let child = Program::new(&config.program)
            .arg0(NAME)
            .arg("gateway")
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // A ^C in the terminal is for the supervisor, which drains; its gateway must outlive that.
            .process_group(0)
            .spawn()
            .map_err(start)?;

        let shared = Arc::new(Shared {
            channel,
            run_dir,
            pid: child.id(),
            next_number: AtomicU64::new(1),
            alive: watch::Sender::new(true),
            closing: AtomicBool::new(false),
            waiting: Mutex::default(),
            events: Mutex::default(),
            news: Notify::new(),
        });
        let listening = tokio::spawn(Arc::clone(&shared).listen(child));
        let gateway = Self { shared, _listening: Arc::new(Listening(listening)) };
        gateway.shared.order(Command::Configure(settings(&config, user)), &[]).await?;
        Ok(gateway)
    }

    /// Names the files of a door that is to be opened, so that they can be written down before they are there.
    #[must_use]
    pub fn new_door(&self) -> DoorFiles {
        DoorFiles::at(&self.shared.run_dir, &uuid::Uuid::new_v4().simple().to_string())
    }

    /// Opens a door for a container whose processes have this uid (as the host sees it).
    ///
    /// # Errors
    /// When its files cannot be made or the process does not take it.
    pub async fn open(&self, files: DoorFiles, uid: u32) -> Result<Door, GatewayError> {
        let door = Door {
            id: files.id.clone(),
            mount_dir: files.mount_dir.clone(),
            ledger_path: files.ledger_path.clone(),
            gateway: self.clone(),
            bound: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        // From here on dropping `door` removes what was made.
        let ledger = make_ledger(&files)
            .map_err(|source| GatewayError::Files { path: door.ledger_path.clone(), source })?;
        let listener = make_socket(&files)
            .map_err(|source| GatewayError::Files { path: door.mount_dir.clone(), source })?;
        let command = Command::Open { door: door.id.clone(), uid };
        self.shared.order(command, &[listener.as_fd(), ledger.as_fd()]).await?;
        // Our copies go now: a socket or lock that outlived the gateway would say that it lives.
        Ok(door)
    }

    /// The next thing to act on; waits for ever when there is none. For one task at a time.
    pub async fn next_event(&self) -> GatewayEvent {
        loop {
            if let Some(event) = self.shared.events().pop_front() {
                return event;
            }
            self.shared.news.notified().await;
        }
    }

    /// Whether the process is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        *self.shared.alive.borrow()
    }

    /// The process's id; `None` when it was gone before it could be asked.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.shared.pid
    }

    /// Tells the process that no more orders come and waits for it to end, at most 5 s: attempts that are still
    /// bound go on until their deadlines without us.
    pub async fn shutdown(self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        // Failing means that it is gone already.
        let _ = self.shared.channel.finish();
        let mut alive = self.shared.alive.subscribe();
        let _ = tokio::time::timeout(SHUTDOWN, alive.wait_for(|alive| !alive)).await;
    }
}

impl Shared {
    /// Hears the process until it is gone. Owned by the [`Gateway`] handles.
    async fn listen(self: Arc<Self>, mut child: Child) {
        while let Ok(Some(packet)) = self.channel.receive().await {
            // Something else than a report means that it is not our gateway any more: it must not go on by itself.
            let Ok(report) = serde_json::from_slice::<Report>(&packet.bytes) else {
                // Failing means that it has ended.
                let _ = child.start_kill();
                break;
            };
            match report {
                Report::Done { number } => self.answered(number, Ok(())),
                Report::Refused { number, reason } => self.answered(number, Err(No::Refused(reason))),
                Report::Spoiled { number } => self.answered(number, Err(No::Spoiled)),
                Report::LockedDown { files } => debug!(files, "the gateway is locked down"),
                Report::TouchedUnbound { door } => self.tell(GatewayEvent::TouchedUnbound { door }),
            }
        }
        // It closed the socket, so it ends by itself or has ended; a zombie must not stay.
        let _ = tokio::time::timeout(SHUTDOWN, child.wait()).await;
        self.alive.send_replace(false);
        self.waiting().clear();
        if !self.closing.load(Ordering::Relaxed) {
            self.tell(GatewayEvent::Died);
        }
    }

    fn answered(&self, number: u64, result: Result<(), No>) {
        if let Some(waiting) = self.waiting().remove(&number) {
            // Nobody waits when the order ran out of time.
            let _ = waiting.send(result);
        }
    }

    fn tell(&self, event: GatewayEvent) {
        let mut events = self.events();
        // A visited door refuses to be bound all the same, so that nothing is lost with what is not told.
        if events.len() >= MOST_EVENTS && event != GatewayEvent::Died {
            return;
        }
        events.push_back(event);
        drop(events);
        self.news.notify_one();
    }

    async fn order(&self, command: Command, descriptors: &[BorrowedFd<'_>]) -> Result<(), GatewayError> {
        let name = command.name();
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(number, answer);
        // Looked at after the entry is in the map: whoever clears the map has set the flag before.
        if !*self.alive.borrow() {
            self.waiting().remove(&number);
            return Err(GatewayError::Died);
        }
        let carried_out = async {
            match self.channel.send(&Order { number, command }, descriptors).await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(GatewayError::Died),
                Err(source) => return Err(GatewayError::Control { source }),
            }
            match answered.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(No::Refused(reason))) => Err(GatewayError::Refused { command: name, reason }),
                Ok(Err(No::Spoiled)) => Err(GatewayError::Spoiled),
                Err(_) => Err(GatewayError::Died),
            }
        };
        let result = tokio::time::timeout(ACKNOWLEDGE, carried_out).await;
        self.waiting().remove(&number);
        result.unwrap_or(Err(GatewayError::NoAnswer { command: name, seconds: ACKNOWLEDGE.as_secs() }))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Result<(), No>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<GatewayEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One container's way out.
///
/// Dropping an unbound door closes it and removes its files. Dropping a bound one does nothing: somebody else may
/// have taken its job over and needs its ledger.
#[derive(Debug)]
#[must_use]
pub struct Door {
    /// Its name: that of the folder and of the ledger file.
    pub id: String,
    /// The folder to mount read-only; the socket in it is `gw.sock`.
    pub mount_dir: PathBuf,
    /// Where the ledger is written.
    pub ledger_path: PathBuf,
    gateway: Gateway,
    bound: AtomicBool,
    closed: AtomicBool,
}

impl Door {
    /// Binds the door to an attempt, for ever. Returns when the process has acknowledged it: from then on the
    /// container is served and the deadline runs.
    ///
    /// # Errors
    /// [`GatewayError::Spoiled`] when its container used it before; [`GatewayError::Refused`] when it is bound already or
    /// closed; [`GatewayError::Died`] and [`GatewayError::NoAnswer`] when the process does not answer.
    pub async fn bind(&self, attempt: &str, budgets: Budgets) -> Result<(), GatewayError> {
        // Without an answer it is not known whether it is bound; then its files are not ours to drop.
        let was_bound = self.bound.swap(true, Ordering::Relaxed);
        let command = Command::Bind { door: self.id.clone(), attempt: attempt.to_owned(), budgets };
        let result = self.gateway.shared.order(command, &[]).await;
        if let Err(GatewayError::Refused { .. } | GatewayError::Spoiled) = &result {
            self.bound.store(was_bound, Ordering::Relaxed);
        }
        result
    }

    /// Ends the binding, cutting what is open, and reads what the gateway saw. A ledger of a gateway that died comes
    /// back with `complete` false. Closing again only reads again.
    ///
    /// # Errors
    /// When a living process does not answer, or the ledger cannot be read.
    pub async fn close(&self) -> Result<Ledger, GatewayError> {
        match self.gateway.shared.order(Command::Close { door: self.id.clone() }, &[]).await {
            Ok(()) | Err(GatewayError::Died) => {}
            Err(error) => return Err(error),
        }
        self.closed.store(true, Ordering::Relaxed);
        record::read_ledger(&self.ledger_path)
            .map_err(|source| GatewayError::Files { path: self.ledger_path.clone(), source })
    }

    /// Removes socket, folder and ledger. The ledger is the only copy of what was seen: close first.
    ///
    /// # Errors
    /// The first thing that could not be removed; what is gone already is fine.
    pub fn discard(&self) -> io::Result<()> {
        self.files().remove()
    }

    fn files(&self) -> DoorFiles {
        DoorFiles {
            id: self.id.clone(),
            mount_dir: self.mount_dir.clone(),
            ledger_path: self.ledger_path.clone(),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.bound.load(Ordering::Relaxed) {
            return;
        }
        if !self.closed.load(Ordering::Relaxed) {
            let shared = &self.gateway.shared;
            let number = shared.next_number.fetch_add(1, Ordering::Relaxed);
            let command = Command::Close { door: self.id.clone() };
            // A safety net: should it not get through, the door goes with the process.
            let _ = shared.channel.send_now(&Order { number, command });
        }
        let _ = self.discard();
    }
}

fn settings(config: &GatewayConfig, user: Option<Ids>) -> Settings {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Settings {
        allow_networks: config.allow_networks.iter().map(ToString::to_string).collect(),
        nat64_recheck: config.nat64_recheck,
        resolvers: config.resolvers.clone(),
        hosts: config.hosts.clone(),
        dns_timeout_ms: millis(config.dns_timeout),
        connect_timeout_ms: millis(config.connect_timeout),
        // Whoever goes on with an attempt of this process runs as the same user.
        owner: rustix::process::geteuid().as_raw(),
        user,
    }
}

/// Makes the ledger; it gets its name once it is locked, so that nobody takes it for a leftover. The lock belongs to
/// the open file, which the gateway gets, and stays when our copy is closed.
fn make_ledger(files: &DoorFiles) -> io::Result<File> {
    let unnamed = files.unnamed_ledger();
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&unnamed)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    std::fs::rename(&unnamed, &files.ledger_path)?;
    Ok(file)
}

/// Makes the folder that is mounted and the socket in it. Any user may connect who can reach it: the run directory
/// keeps other users of the host out, and the gateway asks the kernel who connects.
fn make_socket(files: &DoorFiles) -> io::Result<UnixListener> {
    let (folder, path) = (&files.mount_dir, files.socket_path());
    DirBuilder::new().mode(0o711).create(folder)?;
    // The mode given at creation is cut by the process's umask.
    std::fs::set_permissions(folder, Permissions::from_mode(0o711))?;
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_without_end_are_not_kept_and_the_death_is_told_after_them() {
        let (ours, _theirs) = channel::pair().expect("a socket pair");
        let shared = Shared {
            channel: Channel::new(ours).expect("an end"),
            run_dir: PathBuf::new(),
            pid: None,
            next_number: AtomicU64::new(1),
            alive: watch::Sender::new(true),
            closing: AtomicBool::new(false),
            waiting: Mutex::default(),
            events: Mutex::default(),
            news: Notify::new(),
        };
        for door in 0..MOST_EVENTS * 2 {
            shared.tell(GatewayEvent::TouchedUnbound { door: door.to_string() });
        }
        shared.tell(GatewayEvent::Died);
        assert_eq!(shared.events().len(), MOST_EVENTS + 1);
        assert_eq!(shared.events().pop_back(), Some(GatewayEvent::Died));
    }
}
