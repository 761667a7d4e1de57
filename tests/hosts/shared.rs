//! What all hosts share: a Redis and a libSQL server, and how one looks into them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use serde_json::{Value, json};

use crate::sqld::Sqld;

/// Both with their files in a folder that goes with them.
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    redis: Child,
    pub(crate) sqld: Sqld,
}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl Shared {
    pub(crate) fn start() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("safeurl-hosts-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).expect("a temporary folder");
        let redis = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server", "--port", "0", "--save", "", "--appendonly", "yes"])
            .args(["--maxmemory-policy", "noeviction", "--unixsocket"])
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv of util-linux");
        let shared = Self { sqld: Sqld::start(&folder.join("sqld")), redis, folder };
        shared
            .wait_for("Redis answers", Duration::from_secs(30), || shared.client().get_connection().is_ok());
        shared
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("redis.sock")
    }

    pub(crate) fn redis_url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(self.redis_url()).expect("an address")
    }

    /// One command, beside everybody else.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = self.client().get_connection().expect("Redis answers");
        let mut asked = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            asked.arg(*argument);
        });
        asked.query(&mut connection).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Rows of a query, each value as text.
    pub(crate) fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let answer = pipeline(&self.sqld, &json!({ "type": "execute", "stmt": { "sql": sql } }));
        let rows = answer["result"]["rows"].as_array().expect("rows").iter();
        let text = |cell: &Value| cell.get("value").map(shown).unwrap_or_default();
        rows.map(|row| row.as_array().expect("cells").iter().map(text).collect()).collect()
    }

    /// The first value of the first row.
    pub(crate) fn value(&self, sql: &str) -> String {
        self.query(sql).into_iter().flatten().next().unwrap_or_default()
    }

    /// Runs statements as another program would.
    pub(crate) fn execute(&self, sql: &str) {
        pipeline(&self.sqld, &json!({ "type": "sequence", "sql": sql }));
    }

    pub(crate) fn wait_for(&self, what: &str, within: Duration, holds: impl Fn() -> bool) {
        let until = Instant::now() + within;
        while !holds() {
            assert!(Instant::now() < until, "not so within {within:?}: {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Shared {
    /// The end of what the workers say.
    fn logs(&self) -> String {
        let folders = std::fs::read_dir(&self.folder).expect("our folder").flatten();
        let logs =
            folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("worker.log")).ok());
        let ends = logs.map(|log| {
            let mut last: Vec<_> = log.lines().rev().take(30).collect();
            last.reverse();
            last.join("\n")
        });
        ends.collect::<Vec<_>>().join("\n\n")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = self.redis.kill();
        let _ = self.redis.wait();
        self.sqld.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answer to one request of libSQL's protocol over HTTP.
fn pipeline(sqld: &Sqld, request: &Value) -> Value {
    let body = json!({ "requests": [request, { "type": "close" }] }).to_string();
    let mut stream = TcpStream::connect(sqld.address()).expect("sqld listens");
    let length = body.len();
    write!(stream, "POST /v2/pipeline HTTP/1.0\r\nHost: sqld\r\nContent-Length: {length}\r\n\r\n{body}")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    let mut answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    let result = answer["results"][0].take();
    assert_eq!(result["type"], "ok", "{request}: {result}");
    result["response"].clone()
}

/// A file of the repository.
pub(crate) fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
