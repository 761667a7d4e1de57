//! A Redis of its own for each test: on a unix socket in a folder that goes with it, keeping nothing.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        let folder = std::env::temp_dir().join(format!("safeurl-redis-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("a folder for the test");
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
            .arg("--unixsocket")
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let redis = Self { folder, server };
        let deadline = Instant::now() + Duration::from_secs(30);
        while redis.ask("PING").await.is_none() {
            assert!(Instant::now() < deadline, "Redis does not come up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        redis
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
