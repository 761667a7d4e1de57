//! A Redis of a test's own: on a unix socket in the test's folder, keeping nothing, ended with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue};

/// A running Redis.
pub(crate) struct Redis {
    pub(crate) socket: PathBuf,
    server: Child,
}

impl Redis {
    pub(crate) fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder for the test");
        let socket = folder.join("redis.sock");
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is there (hint: tests/support/ensure-interop.sh target/interop)");
        let redis = Self { socket, server };
        let until = Instant::now() + Duration::from_secs(30);
        while redis.connect().is_none() {
            assert!(Instant::now() < until, "Redis does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
        redis
    }

    fn connect(&self) -> Option<Connection> {
        redis::Client::open(self.url()).ok()?.get_connection().ok()
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// One command, beside everybody else: to look at what is there, and for what no client does.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = self.connect().expect("Redis answers");
        let mut asked = redis::cmd(command[0]);
        for argument in &command[1..] {
            asked.arg(*argument);
        }
        asked.query(&mut connection).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// The server's clock, in milliseconds.
    pub(crate) fn now(&self) -> i64 {
        let (seconds, micros): (i64, i64) = self.ask(&["TIME"]);
        seconds * 1000 + micros / 1000
    }

    /// How long the connections that wait for the marker of a queue have waited, in seconds.
    pub(crate) fn waits(&self) -> Vec<u64> {
        let clients: String = self.ask(&["CLIENT", "LIST"]);
        let field = |line: &str, name: &str| {
            line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
        };
        clients
            .lines()
            .filter(|line| field(line, "cmd").as_deref() == Some("bzpopmin"))
            // The last command stays there when the wait is over, until the next: only who is blocked waits.
            .filter(|line| field(line, "flags").is_some_and(|flags| flags.contains('b')))
            .filter_map(|line| field(line, "idle")?.parse().ok())
            .collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
