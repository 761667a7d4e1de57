//! A Redis of a test's own as the queue in front of the database, and what stands in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use redis::FromRedisValue;
use serde_json::{Value, json};

use super::times::wait_until;
use crate::stage::Stage;

/// Keeps what it was told over its own death.
pub(super) struct Redis {
    folder: PathBuf,
    server: Child,
}

impl Redis {
    /// One for a stage, and the stage with its address.
    pub(super) fn in_front_of(stage: Stage) -> (Stage, Self) {
        let folder = stage.dir.join("redis");
        std::fs::create_dir(&folder).expect("a folder");
        let redis = Self { server: server(&folder), folder };
        let stage = stage.with("REDIS_URL", redis.url());
        wait_until("Redis answers", &stage, || redis.client().get_connection().is_ok());
        (stage, redis)
    }

    fn url(&self) -> String {
        format!("unix://{}", self.folder.join("redis.sock").display())
    }

    fn client(&self) -> redis::Client {
        redis::Client::open(self.url()).expect("an address")
    }

    /// As a crash ends it.
    pub(super) fn kill(&mut self) {
        self.server.kill().expect("it ran");
        self.server.wait().expect("it is dead");
    }

    /// Starts it where it was, with what it had.
    pub(super) fn go_on(&mut self) {
        self.server = server(&self.folder);
    }

    /// Its connections stay, and nobody answers.
    pub(super) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(signal).arg(self.server.id().to_string()).status();
        assert!(status.expect("kill runs").success());
    }

    /// One command; `P:` stands for what all keys of the queue begin with.
    pub(super) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.client().get_connection().expect("Redis answers");
        let mut asked = redis::cmd(words[0]);
        for word in &words[1..] {
            asked.arg(word.replace("P:", "bull:scan-jobs:"));
        }
        asked.query(&mut connection).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// An entry as an official producer writes it, of a job that has no row yet.
    pub(super) fn add(&self, job: &str, url: &str) {
        let id = self.ask::<u64>(&["INCR", "P:id"]).to_string();
        let data = json!({ "jobId": job, "url": url, "userId": "anna" }).to_string();
        let opts = r#"{"attempts":3,"backoff":{"type":"exponential","delay":2000}}"#;
        let key = format!("P:{id}");
        let fields = ["timestamp", "1", "delay", "0", "priority", "0"];
        let hash = ["HSET", &key, "name", "scan", "data", &data, "opts", opts];
        let _: u64 = self.ask(&[&hash[..], &fields[..]].concat());
        let _: u64 = self.ask(&["LPUSH", "P:wait", &id]);
        let _: u64 = self.ask(&["ZADD", "P:marker", "0", "0"]);
    }

    /// Tokens of all locks.
    pub(super) fn locks(&self) -> Vec<String> {
        let keys: Vec<String> = self.ask(&["KEYS", "P:*:lock"]);
        // One that went between the two has none.
        keys.iter().filter_map(|key| self.ask::<Option<String>>(&["GET", key])).collect()
    }

    /// Waits until so many entries are completed and no other is left; asserts that each took one attempt, was never
    /// taken for stalled, and that its job's row says the same.
    pub(super) fn rests(&self, completed: usize, stage: &Stage) {
        let done = || self.ask::<usize>(&["ZCARD", "P:completed"]);
        wait_until("all entries are completed", stage, || done() == completed);
        for place in ["wait", "active"] {
            assert_eq!(self.ask::<usize>(&["LLEN", &format!("P:{place}")]), 0, "{place}");
        }
        for place in ["delayed", "failed", "prioritized"] {
            assert_eq!(self.ask::<usize>(&["ZCARD", &format!("P:{place}")]), 0, "{place}");
        }
        assert_eq!(self.locks(), Vec::<String>::new());
        for id in self.ask::<Vec<String>>(&["ZRANGE", "P:completed", "0", "-1"]) {
            let field = |name| self.ask::<Option<String>>(&["HGET", &format!("P:{id}"), name]);
            assert_eq!((field("atm").as_deref(), field("stc")), (Some("1"), None), "entry {id}");
            let data: Value = serde_json::from_str(&field("data").expect("a payload")).expect("JSON");
            let job = data["jobId"].as_str().expect("a job");
            let row = format!(
                "SELECT state, delivery_id, delivery_atm, (SELECT count(*) FROM scan_results WHERE job_id = id)
                 FROM scan_jobs WHERE id = '{job}'"
            );
            assert_eq!(stage.query(&row), [["COMPLETED", id.as_str(), "1", "1"]], "entry {id}");
            let result: Value = serde_json::from_str(&field("returnvalue").expect("a result")).expect("JSON");
            assert!(result.is_object(), "{result}");
        }
    }
}

fn server(folder: &Path) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "redis-server", "--port", "0", "--save", "", "--appendonly", "yes"])
        .args(["--maxmemory-policy", "noeviction", "--unixsocket"])
        .arg(folder.join("redis.sock"))
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("setpriv of util-linux")
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
