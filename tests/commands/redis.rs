//! Commands with a queue in Redis, which is there, gone, or back again.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::place::{Ended, Place};

/// A Redis of its own for a test, on a socket with a short path.
struct Redis {
    folder: PathBuf,
    server: Option<Child>,
}

impl Redis {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("safeurl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        Self { folder, server: None }
    }

    fn start(&mut self) {
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--maxmemory-policy", "noeviction", "--unixsocket"])
            .arg(self.folder.join("s"))
            .arg("--dir")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .spawn();
        self.server = Some(server.expect("redis-server is installed"));
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(self.folder.join("s")).is_err() {
            assert!(Instant::now() < deadline, "Redis does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn url(&self) -> String {
        format!("unix://{}", self.folder.join("s").display())
    }

    /// What Redis answers to a command, as it comes over the wire.
    fn ask(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.folder.join("s")).expect("Redis is there");
        write!(stream, "{line}\r\nQUIT\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer.trim_end_matches("+OK\r\n").replace("\r\n", " ").trim().to_owned()
    }

    fn run(&self, place: &Place, arguments: &[&str]) -> Ended {
        let mut command = place.safeurl(arguments);
        command.env("REDIS_URL", self.url());
        Ended::from(command.output().expect("the program starts"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Cancels a job and puts it back into the queue.
fn cancelled_and_again(redis: &Redis, place: &Place, id: &str) -> Ended {
    let cancelled = redis.run(place, &["jobs", "cancel", id]);
    assert_eq!((cancelled.code, cancelled.err.as_str()), (Some(0), ""));
    redis.run(place, &["jobs", "retry", id])
}

#[test]
fn what_is_submitted_stands_in_the_database_and_in_redis_under_one_id() {
    let (place, mut redis) = (Place::new("redis-submit"), Redis::new("submit"));
    redis.start();
    let ended = redis.run(&place, &["submit", "http://a.example/", "http://b.example/"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let ids: Vec<&str> = ended.out.lines().collect();
    let prioritized = redis.run(&place, &["submit", "--priority", "7", "http://c.example/"]);
    let delayed = redis.run(&place, &["submit", "--delay", "1h", "--priority", "7", "http://d.example/"]);
    assert_eq!((prioritized.code, delayed.code), (Some(0), Some(0)));
    let waiting = redis.ask("LRANGE bull:scan-jobs:wait 0 -1");
    assert!(waiting.starts_with("*2") && waiting.find(ids[1]) < waiting.find(ids[0]), "{waiting}");
    let data = redis.ask(&format!("HGET bull:scan-jobs:{} data", ids[0]));
    let data: Value = serde_json::from_str(data.split_once(' ').expect("a length").1).expect("JSON");
    assert_eq!(data, json!({"jobId": ids[0], "url": "http://a.example/", "userId": "local"}));
    assert!(redis.ask("ZRANGE bull:scan-jobs:prioritized 0 -1").contains(prioritized.out.trim()));
    assert!(redis.ask("ZRANGE bull:scan-jobs:delayed 0 -1").contains(delayed.out.trim()));
    let delay = redis.ask(&format!("HGET bull:scan-jobs:{} delay", delayed.out.trim()));
    assert_eq!(delay, "$7 3600000");
    for id in ids {
        assert_eq!(place.run(&["jobs", "show", id]).code, Some(0));
    }
    let stats = redis.run(&place, &["stats", "--json"]);
    let stats: Value = serde_json::from_str(&stats.out).expect("JSON");
    let expected = json!({
        "name": "bull:scan-jobs", "waiting": 2, "active": 0, "delayed": 1, "prioritized": 1, "waiting-children": 0,
        "completed": 0, "failed": 0, "paused": false,
    });
    assert_eq!((&stats["queue"]["bullmq"], &stats["queue"]["depth"]), (&expected, &json!(4)));
}

#[test]
fn a_job_that_is_tried_again_is_offered_once() {
    let (place, mut redis) = (Place::new("redis-retry"), Redis::new("retry"));
    redis.start();
    let id = redis.run(&place, &["submit", "http://a.example/"]).out.trim().to_owned();
    // Its entry still waits.
    let ended = cancelled_and_again(&redis, &place, &id);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(redis.ask("LLEN bull:scan-jobs:wait"), ":1");
    // Its entry has ended, or is gone.
    redis.ask("DEL bull:scan-jobs:wait");
    redis.ask(&format!("ZADD bull:scan-jobs:failed 1 {id}"));
    cancelled_and_again(&redis, &place, &id);
    assert_eq!(redis.ask("ZCARD bull:scan-jobs:failed"), ":0");
    assert_eq!(redis.ask("LLEN bull:scan-jobs:wait"), ":1");
    redis.ask("FLUSHALL");
    let cancelled = redis.run(&place, &["jobs", "cancel", "--state", "queued"]);
    assert_eq!(cancelled.code, Some(0), "{}", cancelled.err);
    let many = redis.run(&place, &["jobs", "retry", "--state", "failed"]);
    assert_eq!((many.code, many.err.as_str()), (Some(0), "1 queued again\n"));
    assert!(redis.ask("LRANGE bull:scan-jobs:wait 0 -1").contains(&id));
}

#[test]
fn while_redis_is_gone_the_rows_stand_and_every_command_says_how_it_is() {
    let (place, mut redis) = (Place::new("redis-gone"), Redis::new("gone"));
    let ended = redis.run(&place, &["submit", "http://a.example/", "http://b.example/"]);
    assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 2), "{}", ended.err);
    assert!(ended.err.starts_with("warning: Redis was not told of 2 jobs: "), "{}", ended.err);
    assert!(
        ended.err.contains("\nhint: the database has them, so do not submit them again"),
        "{}",
        ended.err
    );
    let id = ended.out.lines().next().expect("an id");
    let again = cancelled_and_again(&redis, &place, id);
    assert_eq!((again.code, again.out.as_str()), (Some(0), format!("{id}: queued again\n").as_str()));
    assert!(again.err.starts_with("warning: Redis was not told of 1 job: "), "{}", again.err);
    let stats = redis.run(&place, &["stats", "--json"]);
    assert_eq!((stats.code, stats.err.as_str()), (Some(0), ""));
    let stats: Value = serde_json::from_str(&stats.out).expect("JSON");
    assert_eq!(stats["queue"]["depth"], 2);
    let told = stats["queue"]["bullmq"]["error"].as_str();
    assert!(told.is_some_and(|told| told.contains("Redis")), "{told:?}");
    assert!(redis.run(&place, &["stats"]).out.contains("no answer"));
    redis.start();
    assert_eq!(redis.ask("KEYS *"), "*0");
}

#[test]
fn the_doctor_looks_at_redis_where_there_is_one() {
    let (place, mut redis) = (Place::new("redis-doctor"), Redis::new("doctor"));
    let queue = |redis: &Redis| -> Option<Value> {
        let report: Value =
            serde_json::from_str(&redis.run(&place, &["doctor", "--json"]).out).expect("JSON");
        report["checks"].as_array().expect("checks").iter().find(|check| check["name"] == "queue").cloned()
    };
    assert_eq!(queue(&redis).expect("a check")["ok"], false);
    redis.start();
    let well = queue(&redis).expect("a check");
    assert_eq!(well["ok"], true, "{well}");
    assert!(
        well["saw"].as_str().is_some_and(|saw| saw.starts_with("Redis ") && saw.contains("loses")),
        "{well}"
    );
    redis.ask("CONFIG SET maxmemory-policy allkeys-lru");
    let bad = queue(&redis).expect("a check");
    assert!(
        bad["ok"] == false && bad["hint"].as_str().is_some_and(|hint| hint.contains("noeviction")),
        "{bad}"
    );
    let report: Value = serde_json::from_str(&place.run(&["doctor", "--json"]).out).expect("JSON");
    assert!(!report["checks"].to_string().contains("Redis"));
}
