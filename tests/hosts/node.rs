//! Programs on the official client for Node, each a process that ends with its input or is killed with the test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::shared::of_repository;

/// A script of ours under `node`, told the folder of the client and whatever else.
pub(crate) struct Node {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(script: &str, arguments: &[&str]) -> Self {
        let home = of_repository("target/interop/node6");
        assert!(home.exists(), "there is no client; hint: tests/support/ensure-interop.sh target/interop");
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "node"])
            .arg(of_repository(script))
            .arg(home)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv of util-linux");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        Self { input: process.stdin.take(), output, process }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        assert!(!line.is_empty(), "it ended");
        line
    }

    /// Ends its input and waits for its own end, which must be an orderly one.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.process.wait().expect("it ends").success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The producer that chaos has, too.
pub(crate) fn producer(socket: &Path) -> Node {
    let socket = socket.display().to_string();
    Node::start("tests/chaos/producer.mjs", &[&socket, "scan-jobs"])
}

/// Adds jobs, each an id and a URL, and waits until all are added.
pub(crate) fn add(producer: &mut Node, user: &str, jobs: &[(String, String)], attempts: u32) {
    for (n, (job, url)) in jobs.iter().enumerate() {
        let data = json!({ "jobId": job, "url": url, "userId": user });
        let asked = json!({ "n": n, "data": data, "opts": { "attempts": attempts } });
        writeln!(producer.input.as_mut().expect("open"), "{asked}").expect("it reads");
    }
    for _ in jobs {
        let answer: Value = serde_json::from_str(&producer.line()).expect("JSON");
        assert!(answer["id"].is_string(), "{answer}");
    }
}

/// The worker of an older installation; returns when it takes jobs.
pub(crate) fn older_worker(socket: &Path, database: &str) -> Node {
    let socket = socket.display().to_string();
    let mut worker = Node::start("tests/hosts/older_worker.mjs", &[&socket, "scan-jobs", database]);
    assert_eq!(worker.line().trim(), "taking jobs");
    worker
}
