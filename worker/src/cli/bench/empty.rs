//! A sandbox without containers: whoever is handed a job reports at once, always the same. What is left of a scan is
//! the queue, the supervisor, the gateway's orders, the analysis and every row.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::future::pending;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use safeurl_protocol::Report;
use safeurl_protocol::ledger::{Decision, Entry, LedgerLine};

use crate::gateway::DoorFiles;
use crate::sandbox::{
    Attestation, EngineVersion, Found, Outcome, Ran, Request, Sandbox, SandboxError, Standing, Waiting,
};

/// What every container says, and what the gateway saw of it.
struct Canned {
    /// The report before and behind the name of its attempt.
    report: (String, String),
    /// Lines of the ledger, between its first and its last.
    ledger: String,
}

/// The sandbox. Clones share everything.
#[derive(Clone)]
pub(super) struct Empty {
    canned: Arc<Canned>,
    doors: Arc<Mutex<HashMap<String, PathBuf>>>,
    made: Arc<AtomicU64>,
}

/// Where the attempt's name goes.
const ATTEMPT: &str = "@ATTEMPT@";

impl Empty {
    /// One that repeats what a container reported of a page at this address.
    pub(super) fn repeating(report: &[u8], host: &str, port: u16) -> anyhow::Result<Self> {
        let report: Report = serde_json::from_slice(report).context("cannot read a report")?;
        let said = serde_json::to_string(&Report { attempt: ATTEMPT.to_owned(), ..report })
            .context("cannot write a report")?;
        let (before, behind) = said.split_once(ATTEMPT).context("a report names its attempt")?;
        let canned = Canned { report: (before.to_owned(), behind.to_owned()), ledger: ledger(host, port)? };
        Ok(Self { canned: Arc::new(canned), doors: Arc::default(), made: Arc::default() })
    }
}

/// The lines of one connection.
fn ledger(host: &str, port: u16) -> anyhow::Result<String> {
    let entry = Entry {
        seq: 1,
        host: host.to_owned(),
        port,
        addresses: vec![host.to_owned()],
        tried: vec![host.to_owned()],
        dialed: Some(host.to_owned()),
        decision: Decision::Allowed,
        rule: "allow_networks".to_owned(),
        bytes_in: 0,
        bytes_out: 0,
        opened_at: 1,
        dns_ms: None,
        connect_ms: Some(0),
        duration_ms: None,
        error: None,
    };
    let closed = LedgerLine::Closed { seq: 1, bytes_in: 2000, bytes_out: 500, duration_ms: 1, error: None };
    let mut lines = String::new();
    for line in [LedgerLine::Connection(entry), closed] {
        lines.push_str(&serde_json::to_string(&line).context("cannot write a ledger")?);
        lines.push('\n');
    }
    Ok(lines)
}

impl Sandbox for Empty {
    type Waiting = EmptyWaiting;

    async fn engine_id(&self) -> Result<String, SandboxError> {
        Ok("empty".to_owned())
    }

    async fn create(&self, request: &Request) -> Result<String, SandboxError> {
        let id = format!("empty-{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.insert(id.clone(), request.door.clone());
        Ok(id)
    }

    async fn start(&self, container: &str) -> Result<EmptyWaiting, SandboxError> {
        let door = self.doors.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
        let waiting = EmptyWaiting {
            id: container.to_owned(),
            door: door.unwrap_or_default(),
            canned: Arc::clone(&self.canned),
        };
        Ok(waiting)
    }

    async fn kill(&self, _: &str) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn see_off(&self, _: &str, _: impl Future<Output = bool> + Send) -> Result<bool, SandboxError> {
        Ok(true)
    }

    async fn remove(&self, _: &str) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn remove_dead(&self, _: &str) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn standing(&self, _: &str) -> Result<Standing, SandboxError> {
        Ok(Standing::Gone)
    }

    async fn follow(
        &self,
        _: &str,
        _: &str,
        _: Duration,
        _: impl Future<Output = ()> + Send,
        _: impl Future<Output = bool> + Send,
    ) -> Ran {
        ran(Outcome::Lost { reason: "there is nothing to follow".to_owned() })
    }

    async fn list(&self) -> Result<Vec<Found>, SandboxError> {
        Ok(Vec::new())
    }

    async fn probe(&self, _: &Request) -> Result<Attestation, SandboxError> {
        Err(SandboxError::Unproven { reason: "there is no container".to_owned() })
    }

    async fn version(&self) -> Result<EngineVersion, SandboxError> {
        Ok(EngineVersion { engine: "empty".to_owned(), api: "0".to_owned() })
    }
}

/// What stands for a container.
pub(super) struct EmptyWaiting {
    id: String,
    door: PathBuf,
    canned: Arc<Canned>,
}

impl Waiting for EmptyWaiting {
    fn id(&self) -> &str {
        &self.id
    }

    fn start_ms(&self) -> u64 {
        0
    }

    async fn died(&mut self) {
        pending::<()>().await;
    }

    async fn run(
        self,
        _: &str,
        attempt: &str,
        _: Duration,
        _: impl Future<Output = ()> + Send,
        _: impl Future<Output = bool> + Send,
    ) -> Ran {
        let Canned { report: (before, behind), ledger } = &*self.canned;
        match seen(&self.door, ledger) {
            Ok(()) => ran(Outcome::Reported(format!("{before}{attempt}{behind}").into_bytes())),
            Err(error) => ran(Outcome::Lost { reason: error.to_string() }),
        }
    }
}

fn ran(outcome: Outcome) -> Ran {
    Ran { outcome, stderr_tail: String::new(), run_ms: 0, exit_code: Some(0) }
}

/// Writes down what the gateway would have seen: without it the report would be one of connections nobody made.
fn seen(door: &Path, lines: &str) -> std::io::Result<()> {
    let files = DoorFiles::of(door).ok_or(std::io::ErrorKind::NotFound)?;
    OpenOptions::new().append(true).open(files.ledger_path)?.write_all(lines.as_bytes())
}
