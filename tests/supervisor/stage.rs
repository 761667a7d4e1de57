//! A database and a folder of a test's own, and supervisors on them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safeurl::analysis::Rules;
use safeurl::domain::document::Limits;
use safeurl::domain::failure::FailureClass;
use safeurl::domain::scan::{Job, Method, Options, ScanId, WorkerId};
use safeurl::domain::state::State;
use safeurl::gateway::{Budgets, GatewayConfig};
use safeurl::metrics::Metrics;
use safeurl::queue::BullMqConfig;
use safeurl::sandbox::Network;
use safeurl::shutdown::{Signal, Trigger};
use safeurl::store::{DbConfig, NewJob, Obligation, OpenMode, Politeness, Ready, Store, WorkerRow};
use safeurl::supervisor::{
    Config, EngineFacts, Finished, Parts, PoolBounds, Progress, StartError, Supervisor,
};
use safeurl_protocol::Bridge;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::fake::Fake;

/// Longer than anything here takes: where it passes the test fails.
pub(crate) const LONG: Duration = Duration::from_secs(40);

/// Between two looks at a database.
pub(crate) const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Stage {
    dir: PathBuf,
    connection: libsql::Connection,
    pub(crate) store: Store,
    pub(crate) fake: Fake,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    pub(crate) gateway: GatewayConfig,
    /// The queue in front of the database, where there is one.
    pub(crate) bullmq: Option<BullMqConfig>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        // Short: a socket's path has at most 107 bytes.
        let name = &uuid::Uuid::new_v4().simple().to_string()[..12];
        let dir = std::env::temp_dir().join(format!("safeurl-sv-{name}"));
        std::fs::create_dir(&dir).expect("a folder for the test");
        let database = dir.join("scans.db");
        let config = DbConfig { url: database.display().to_string(), auth_token: None };
        let store = Store::open(&config, OpenMode::Create).await.expect("a database");
        store.prepare().await.expect("a migrated database");
        let connection = libsql::Builder::new_local(&database).build().await.expect("a database");
        let connection = connection.connect().expect("a connection");
        connection.busy_timeout(LONG).expect("set");
        Self {
            dir,
            connection,
            fake: Fake::new(store.clone()),
            store,
            config: config_of_tests(),
            metrics: Metrics::new(),
            gateway: gateway_config(),
            bullmq: None,
        }
    }

    /// One with a queue in front of its database.
    pub(crate) async fn behind(bullmq: BullMqConfig) -> Self {
        let mut stage = Self::new().await;
        stage.bullmq = Some(bullmq);
        stage
    }

    pub(crate) fn run_base(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Starts a supervisor of its own.
    pub(crate) async fn supervise(&self) -> Running {
        self.supervise_rows(false).await
    }

    /// Starts one as `scan` does, for the rows that are reserved for it alone.
    pub(crate) async fn supervise_reserved(&self) -> Running {
        self.supervise_rows(true).await
    }

    async fn supervise_rows(&self, reserved_only: bool) -> Running {
        self.try_supervise(reserved_only).await.expect("a supervisor")
    }

    /// Starts one that may not come up.
    pub(crate) async fn try_supervise(&self, reserved_only: bool) -> Result<Running, StartError> {
        let worker = WorkerId::fresh();
        let parts = Parts {
            store: self.store.clone(),
            sandbox: self.fake.clone(),
            gateway: self.gateway.clone(),
            rules: Rules::embedded(),
            config: self.config.clone(),
            worker: worker.clone(),
            run_base: self.run_base(),
            reserved_only,
            bullmq: self.bullmq.clone().filter(|_| !reserved_only),
            metrics: self.metrics.clone(),
        };
        let (supervisor, progress) = Supervisor::start(parts).await?;
        let (trigger, shutdown) = Trigger::pair();
        Ok(Running { worker, trigger, progress, task: tokio::spawn(supervisor.run(shutdown)) })
    }

    pub(crate) async fn submit(&self) -> ScanId {
        self.submit_url("http://example.test/").await
    }

    pub(crate) async fn submit_url(&self, url: &str) -> ScanId {
        self.submit_with(url, Options::default()).await
    }

    pub(crate) async fn submit_with(&self, url: &str, options: Options) -> ScanId {
        self.submit_job(url, options, None).await
    }

    pub(crate) async fn submit_reserved(&self, worker: &WorkerId) -> ScanId {
        self.submit_job("http://example.test/", Options::default(), Some(worker.clone())).await
    }

    async fn submit_job(&self, url: &str, options: Options, reserved_for: Option<WorkerId>) -> ScanId {
        let job = NewJob {
            id: ScanId::fresh(),
            user: "local".to_owned(),
            url: url.to_owned(),
            options,
            priority: 0,
            method: Method::Cli,
            max_attempts: 3,
            reserved_for,
            delay: None,
        };
        self.store.submit(vec![job]).await.expect("a job").remove(0)
    }

    /// A worker that is nowhere but in the database, and never falls silent there.
    pub(crate) async fn other_worker(&self) -> WorkerId {
        self.worker_on("engine").await
    }

    /// The same with another engine.
    pub(crate) async fn worker_on(&self, engine: &str) -> WorkerId {
        let id = WorkerId::fresh();
        let row = WorkerRow {
            id: id.clone(),
            host: "elsewhere".to_owned(),
            pid: 1,
            version: "0".to_owned(),
            engine_id: engine.to_owned(),
            slots: 1,
        };
        self.store.register(&row).await.expect("a worker");
        self.sql(&format!("UPDATE workers SET heartbeat_ms = heartbeat_ms + 3600000 WHERE id = '{id}'"))
            .await;
        id
    }

    /// A container of a worker, written down.
    pub(crate) async fn ready(&self, worker: &WorkerId) -> Ready {
        let ready = Ready { name: "far away".to_owned(), id: "its id far away".to_owned() };
        let obligation = Obligation {
            name: ready.name.clone(),
            engine_id: "another engine".to_owned(),
            worker: worker.clone(),
            door: String::new(),
            attestation: None,
        };
        self.store.oblige(obligation).await.expect("a user id");
        ready
    }

    /// Lets a worker have been silent for an hour, and its leases have run out.
    pub(crate) async fn bury(&self, worker: &WorkerId) {
        // What it had handed to the thread that writes is still written, which a killed process' is not: that thread
        // takes one after the other, and this one changes nothing.
        self.store.request_cancel(&ScanId::fresh()).await.expect("an answer");
        self.sql(&format!(
            "UPDATE workers SET heartbeat_ms = heartbeat_ms - 3600000 WHERE id = '{worker}';
             UPDATE scan_jobs SET lease_until = lease_until - 3600000 WHERE lease_owner = '{worker}'"
        ))
        .await;
    }

    /// Every byte of the database, its log included.
    pub(crate) fn stored_bytes(&self) -> Vec<u8> {
        let files = ["scans.db", "scans.db-wal"].map(|name| std::fs::read(self.dir.join(name)));
        files.into_iter().flatten().flatten().collect()
    }

    /// Runs statements as another program would.
    pub(crate) async fn sql(&self, statements: &str) {
        self.connection.execute_batch(statements).await.expect("valid statements");
    }

    /// All rows of a query, the columns of each joined by `|`.
    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        let mut rows = self.connection.query(query, ()).await.expect("a valid query");
        let mut found = Vec::new();
        while let Some(row) = rows.next().await.expect("a row") {
            let columns =
                (0..row.column_count()).map(|column| text(&row.get_value(column).expect("a column")));
            found.push(columns.collect::<Vec<_>>().join("|"));
        }
        found
    }

    /// Waits until a query has these rows.
    pub(crate) async fn until_rows(&self, query: &str, expected: &[&str]) {
        let until = Instant::now() + LONG;
        loop {
            let rows = self.rows(query).await;
            if rows == expected {
                return;
            }
            assert!(Instant::now() < until, "{query}: {rows:?}; {:?}", self.fake.calls());
            sleep(LOOK).await;
        }
    }

    pub(crate) async fn job(&self, id: &ScanId) -> Job {
        self.store.job(id).await.expect("an answer").expect("the job")
    }

    /// Waits until the job is in this state.
    pub(crate) async fn until_state(&self, id: &ScanId, state: State) -> Job {
        let until = Instant::now() + LONG;
        loop {
            let job = self.job(id).await;
            if job.state == state {
                return job;
            }
            assert!(Instant::now() < until, "{job:?}; {:?}", self.fake.calls());
            sleep(LOOK).await;
        }
    }

    /// The recorded reasons of a job's edges.
    pub(crate) async fn reasons(&self, id: &ScanId) -> Vec<String> {
        let edges = self.store.transitions(id).await.expect("the edges");
        edges.into_iter().map(|edge| edge.reason).collect()
    }

    /// Class of a job that ended without a result, which has a document all the same.
    pub(crate) async fn failure(&self, job: &Job) -> FailureClass {
        let document = self.store.document(&job.id).await.expect("an answer").expect("a document");
        assert_eq!(document.job.state, job.state);
        assert_eq!(self.rows("SELECT count(*) FROM scan_results").await, ["0"]);
        job.failure.as_ref().expect("a failure").class
    }

    /// Drains the supervisor and makes sure that nothing is left of it.
    pub(crate) async fn drain(&self, running: Running) -> Finished {
        running.trigger.step(Signal::Terminate);
        self.ended(running).await
    }

    /// Waits for the end of a supervisor that was told to, and makes sure that nothing is left of it.
    pub(crate) async fn ended(&self, running: Running) -> Finished {
        let worker = running.worker.clone();
        let finished = running.finished().await;
        assert_eq!(self.fake.violations(), Vec::<String>::new(), "{:?}", self.fake.calls());
        assert_eq!(self.obligations(&worker).await, Vec::<String>::new());
        assert_eq!(self.rows(&format!("SELECT id FROM workers WHERE id = '{worker}'")).await, [""; 0]);
        assert!(!self.run_dir(&worker).exists(), "the folder of the sockets is left");
        finished
    }

    /// The containers that a worker still has written down.
    pub(crate) async fn obligations(&self, worker: &WorkerId) -> Vec<String> {
        self.rows(&format!("SELECT name FROM containers WHERE worker = '{worker}'")).await
    }

    /// Waits until nothing is left of a worker's sockets and ledgers.
    pub(crate) async fn until_gone(&self, worker: &WorkerId) {
        let dir = self.run_dir(worker);
        self.until(|| !dir.exists()).await;
    }

    /// Waits until something holds outside of the database.
    pub(crate) async fn until(&self, holds: impl Fn() -> bool) {
        let until = Instant::now() + LONG;
        while !holds() {
            assert!(Instant::now() < until, "it did not come to that: {:?}", self.fake.calls());
            sleep(LOOK).await;
        }
    }

    /// Where a worker's sockets and ledgers are.
    pub(crate) fn run_dir(&self, worker: &WorkerId) -> PathBuf {
        let name = worker.as_str();
        self.run_base().join(&name[name.len() - 12..])
    }

    /// The gateway processes that serve a door of this stage.
    pub(crate) fn gateways(&self) -> Vec<u32> {
        gateways(&self.run_base())
    }

    /// What kills the gateway that serves a door of this stage, and comes back when it is dead.
    pub(crate) fn gateway_killer(&self) -> Box<dyn FnOnce() + Send> {
        let run_base = self.run_base();
        Box::new(move || {
            let found = gateways(&run_base);
            let [pid] = found.as_slice() else { panic!("one gateway: {found:?}") };
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a signal");
            // Its successor may serve a door of the stage at once.
            while gateways(&run_base).contains(&pid.as_raw_nonzero().get().cast_unsigned()) {
                std::thread::yield_now();
            }
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A supervisor at work.
pub(crate) struct Running {
    pub(crate) worker: WorkerId,
    pub(crate) trigger: Trigger,
    pub(crate) progress: mpsc::UnboundedReceiver<Progress>,
    task: JoinHandle<Finished>,
}

impl Running {
    pub(crate) async fn finished(self) -> Finished {
        timeout(LONG, self.task).await.expect("the supervisor ends").expect("without a panic")
    }

    /// Stops it in the middle of everything, as kill -9 would, but for its gateway.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Processes that run our gateway and have a file below the folder open.
fn gateways(run_base: &Path) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("the processes").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        command.ends_with(b"\0gateway\0")
            && files
                .filter_map(|file| std::fs::read_link(file.path()).ok())
                .any(|path| path.starts_with(run_base))
    })
    .collect()
}

fn text(value: &libsql::Value) -> String {
    match value {
        libsql::Value::Null => String::new(),
        libsql::Value::Integer(number) => number.to_string(),
        libsql::Value::Real(number) => number.to_string(),
        libsql::Value::Text(text) => text.clone(),
        libsql::Value::Blob(bytes) => format!("{bytes:?}"),
    }
}

fn gateway_config() -> GatewayConfig {
    GatewayConfig {
        program: env!("CARGO_BIN_EXE_safeurl").into(),
        run_dir: PathBuf::new(),
        user: None,
        allow_networks: Vec::new(),
        nat64_recheck: false,
        // Nobody is asked.
        resolvers: vec![(Ipv4Addr::LOCALHOST, 1).into()],
        hosts: BTreeMap::new(),
        dns_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
    }
}

fn config_of_tests() -> Config {
    Config {
        slots: 2,
        timeout: LONG,
        max_redirects: 10,
        user_agent: "test".to_owned(),
        headers: Vec::new(),
        respect_robots: false,
        evidence: false,
        body_cap: 1 << 20,
        output_cap: 1 << 20,
        network: Network::None,
        bridge: Bridge {
            allow_networks: Vec::new(),
            hosts: BTreeMap::new(),
            resolvers: Vec::new(),
            nat64_recheck: false,
        },
        budgets: Budgets {
            deadline_ms: 0,
            max_connections: 10,
            max_concurrent: 2,
            max_hosts: 0,
            bytes_in: 1 << 20,
            bytes_in_at_once: u64::MAX,
            bytes_in_rate: 1,
            bytes_out: 1 << 20,
        },
        analysis_timeout: LONG,
        at_once: LONG,
        ahead: 0,
        drain_grace: LONG,
        unleased_after: Duration::from_secs(600),
        limits: Limits { memory_bytes: 1, cpus: 1.0, pids: 1, timeout_ms: 0, output_bytes: 1 },
        engine: EngineFacts { id: "engine".to_owned(), ..EngineFacts::default() },
        walls: None,
        pool: PoolBounds::default(),
        politeness: Politeness::default(),
    }
}
