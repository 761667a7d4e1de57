//! A Redis of its own for each test: on a unix socket in a folder that goes with it, keeping nothing.

mod proxy;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use proxy::Proxy;

use super::keys::Keys;
use super::link::{Link, RedisConfig};

/// A running Redis.
pub(crate) struct Redis {
    folder: PathBuf,
    server: Child,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with further settings, which come last and win.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("safeurl-redis-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("a folder for the test");
        let server = serve(&folder, settings);
        let redis = Self { folder, server };
        until("Redis comes up", async || redis.ask("PING").await.is_some()).await;
        redis
    }

    /// As `kill -9` does it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.server.kill().expect("it runs");
        self.server.wait().expect("it ends");
    }

    /// A new one on the same socket, in the same folder; does not wait for it.
    pub(crate) fn start_again(&mut self, settings: &[&str]) {
        self.server = serve(&self.folder, settings);
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    async fn ask(&self, command: &str) -> Option<String> {
        let client = redis::Client::open(self.url()).ok()?;
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd(command).query_async(&mut connection).await.ok()
    }

    /// A connection beside ours, to look at what is there.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("an address");
        client.get_multiplexed_async_connection().await.expect("a connection")
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.join("redis.sock").display())
    }

    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig { url: self.url(), name: "test".to_owned() }
    }

    /// A link to the queue `bull:scan-jobs`.
    pub(crate) fn link(&self) -> Arc<Link> {
        Arc::new(Link::new(&self.config(), Keys::new("bull", "scan-jobs")).expect("an address"))
    }
}

fn serve(folder: &std::path::Path, settings: &[&str]) -> Child {
    Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
        .arg("--unixsocket")
        .arg(folder.join("redis.sock"))
        .arg("--dir")
        .arg(folder)
        .args(settings)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

/// Asks again and again until it is so, within a generous deadline.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn a_test_has_a_redis_of_its_own() {
    let redis = Redis::start().await;
    let mut connection = redis.connection().await;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("an answer");
    assert!(keys.is_empty());
    assert_eq!(redis.link().keys().base(), "bull:scan-jobs:");
}
