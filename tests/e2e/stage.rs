//! A folder, a database and an environment of a test's own, and the program started in them.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sqld::Sqld;

/// Where a test's files are; removed with it.
pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    database: PathBuf,
    settings: Vec<(&'static str, String)>,
}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl Stage {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("safeurl-e2e-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        Self { database: dir.join("scans.db"), dir, settings: Vec::new() }
    }

    /// The same with a variable more for every command.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// One whose database is on a server, and that server. What is looked at is looked at in the server's own file.
    pub(crate) fn on_server() -> (Self, Sqld) {
        let mut stage = Self::new();
        let server = Sqld::start(&stage.dir.join("sqld"));
        stage.database = server.file();
        let stage = stage.with("SAFEURL_DATABASE_URL", server.url());
        let migrated = stage.run(["db", "migrate"]);
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        (stage, server)
    }

    /// The same with its database in another folder.
    pub(crate) fn with_database_in(mut self, folder: &Path) -> Self {
        self.database = folder.join("scans.db");
        self
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.database.clone()
    }

    /// The program with the test's settings and nothing of the caller's environment. It scans with the fetcher that
    /// it carries.
    pub(crate) fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_safeurl"));
        command
            .args(args)
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SAFEURL_DATABASE_URL", format!("file:{}", self.database().display()))
            .env("SAFEURL_SANDBOX_RUN_DIR", self.dir.join("run"))
            .env("SAFEURL_GATEWAY_ALLOW_NETWORKS", "127.0.0.1/32")
            .stdin(Stdio::null());
        if let Some(host) = std::env::var_os("DOCKER_HOST") {
            command.env("DOCKER_HOST", host);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Ran {
        Ran::of(self.command(args).output().expect("the program starts"))
    }

    /// Runs with text on standard input.
    pub(crate) fn feed<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>, input: &str) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        Ran::of(child.wait_with_output().expect("it ends"))
    }

    /// A worker in the background.
    pub(crate) fn worker(&self, extra: &[&str]) -> Worker {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("worker.log"))
            .expect("a log file");
        let mut args = vec!["worker"];
        args.extend_from_slice(extra);
        let child = self.command(&args).stdout(Stdio::null()).stderr(log).spawn().expect("the worker starts");
        Worker(child)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("worker.log")).unwrap_or_default()
    }

    /// Rows of a query, each value as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<String>> {
        query(&self.database(), sql)
    }

    /// Runs statements as another program would.
    pub(crate) fn execute(&self, sql: &str) {
        on_database(&self.database(), async |connection| {
            connection.execute_batch(sql).await.expect("valid statements");
        });
    }

    /// Does something while another program is in the middle of a change, so that nobody can write.
    pub(crate) fn while_locked<T>(&self, work: impl FnOnce() -> T) -> T {
        on_database(&self.database(), async |connection| {
            let change = connection.transaction_with_behavior(libsql::TransactionBehavior::Immediate).await;
            let change = change.expect("nobody else holds it for long");
            let done = work();
            change.rollback().await.expect("nothing was changed");
            done
        })
    }

    /// Does something while another program keeps everybody out, readers too.
    pub(crate) fn while_exclusive<T>(&self, work: impl FnOnce() -> T) -> T {
        on_database(&self.database(), async |connection| {
            connection.execute_batch("BEGIN EXCLUSIVE").await.expect("nobody else is there");
            let done = work();
            connection.execute_batch("ROLLBACK").await.expect("nothing was changed");
            done
        })
    }

    /// Waits until a query's first value is what is expected.
    pub(crate) fn wait_for(&self, sql: &str, expected: &str, limit: Duration) {
        let until = Instant::now() + limit;
        loop {
            let rows = self.query(sql);
            let found = rows.first().and_then(|row| row.first()).cloned().unwrap_or_default();
            if found == expected {
                return;
            }
            assert!(Instant::now() < until, "{sql}: {found}, not {expected}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until another process has made its tables.
    pub(crate) fn wait_for_tables(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'scan_jobs'";
        while !(self.database().exists() && self.query(made)[0][0] == "1") {
            assert!(Instant::now() < until, "no tables were made");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The installation's id, which all its containers carry.
    pub(crate) fn instance(&self) -> String {
        self.query("SELECT value FROM meta WHERE key = 'instance'")[0][0].clone()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A background worker; killed when dropped.
pub(crate) struct Worker(pub(crate) Child);

impl Worker {
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.0.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// The exit code; `None` when a signal ended it.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// One JSON document a line.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

pub(crate) fn query(database: &Path, sql: &str) -> Vec<Vec<String>> {
    on_database(database, async |connection| {
        let mut rows = connection.query(sql, ()).await.expect("a valid query");
        let mut found = Vec::new();
        while let Some(row) = rows.next().await.expect("a row") {
            let columns = row.column_count();
            found.push((0..columns).map(|column| text(&row.get_value(column).expect("a column"))).collect());
        }
        found
    })
}

pub(crate) fn on_database<T>(database: &Path, work: impl AsyncFnOnce(libsql::Connection) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let database = libsql::Builder::new_local(database).build().await.expect("a database");
        let connection = database.connect().expect("a connection");
        connection.busy_timeout(Duration::from_secs(10)).expect("set");
        work(connection).await
    })
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
