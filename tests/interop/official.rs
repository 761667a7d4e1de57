//! The official BullMQ clients, each as a process of its own that speaks JSON lines (`node/driver.mjs`,
//! `python/driver.py`): producer, worker and observer in one.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing that a client is asked for takes as long.
const ANSWER: Duration = Duration::from_secs(60);

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Node5,
    Node6,
    Python,
}

pub(crate) const EVERY: &[Kind] = &[Kind::Node5, Kind::Node6, Kind::Python];
pub(crate) const NODE: &[Kind] = &[Kind::Node5, Kind::Node6];
/// Those that leave the entries of a paused queue in `wait`.
pub(crate) const VERSION_6: &[Kind] = &[Kind::Node6, Kind::Python];
pub(crate) const NODE6: &[Kind] = &[Kind::Node6];

impl Kind {
    /// The version that `tests/support/ensure-interop.sh` installs.
    const fn version(self) -> &'static str {
        match self {
            Self::Node5 => "5.81.5",
            Self::Node6 => "6.7.0",
            Self::Python => "3.4.4",
        }
    }

    pub(crate) const fn is_node(self) -> bool {
        matches!(self, Self::Node5 | Self::Node6)
    }

    fn command(self) -> (Command, PathBuf) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let home = root.join("target/interop");
        let tests = root.join("tests/interop");
        match self {
            Self::Node5 => (program("node", &tests.join("node/driver.mjs")), home.join("node5")),
            Self::Node6 => (program("node", &tests.join("node/driver.mjs")), home.join("node6")),
            Self::Python => {
                let python = home.join("python/bin/python");
                let mut command = program(&python.display().to_string(), &tests.join("python/driver.py"));
                command.env("PYTHONDONTWRITEBYTECODE", "1");
                (command, home.join("python"))
            }
        }
    }
}

fn program(name: &str, file: &Path) -> Command {
    let mut command = Command::new(name);
    command.arg(file);
    command
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let language = if self.is_node() { "Node" } else { "Python" };
        write!(f, "{language} {}", self.version())
    }
}

/// A running client.
pub(crate) struct Official {
    pub(crate) kind: Kind,
    process: Mutex<Child>,
    talk: Mutex<(ChildStdin, Receiver<String>)>,
    patience: Duration,
}

impl Official {
    /// Starts one on a queue. It observes from the beginning of the stream of events.
    pub(crate) fn start(kind: Kind, socket: &Path, queue: &str) -> Self {
        let (mut command, home) = kind.command();
        let setting = json!({ "home": home, "socket": socket, "prefix": "bull", "queue": queue });
        let mut process = command
            .arg(setting.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{kind} does not start: {error} (hint: tests/support/ensure-interop.sh target/interop)"
                )
            });
        let input = process.stdin.take().expect("piped");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (tell, told) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let client =
            Self { kind, process: Mutex::new(process), talk: Mutex::new((input, told)), patience: ANSWER };
        assert_eq!(client.ask("version", json!({})), kind.version(), "what is installed");
        client.ask("ready", json!({}));
        client.ask("observe", json!({}));
        client
    }

    /// The same, with less time for what is waited for.
    pub(crate) const fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// An operation of the driver; its refusal is an `Err`.
    pub(crate) fn try_ask(&self, operation: &str, mut arguments: Value) -> Result<Value, String> {
        arguments["op"] = operation.into();
        let mut talk = self.talk.lock().unwrap();
        writeln!(talk.0, "{arguments}").unwrap_or_else(|error| panic!("{} went away: {error}", self.kind));
        let line = talk.1.recv_timeout(ANSWER);
        let line = line.unwrap_or_else(|error| panic!("{} does not answer {operation}: {error}", self.kind));
        let mut answer: Value = serde_json::from_str(&line).expect("the driver answers in JSON");
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    pub(crate) fn ask(&self, operation: &str, arguments: Value) -> Value {
        self.try_ask(operation, arguments)
            .unwrap_or_else(|error| panic!("{}: {operation}: {error}", self.kind))
    }

    /// A method of the client's queue object.
    pub(crate) fn queue(&self, method: &str, args: Value) -> Value {
        self.ask("queue", json!({ "method": method, "args": args }))
    }

    /// A method of a job.
    pub(crate) fn job(&self, id: &str, method: &str, args: Value) -> Value {
        self.ask("job", json!({ "id": id, "method": method, "args": args }))
    }

    /// Adds a job and returns its id.
    pub(crate) fn add(&self, data: &Value, opts: Value) -> String {
        let job = self.ask("add", json!({ "name": "scan", "data": data, "opts": opts }));
        job["id"].as_str().expect("an id").to_owned()
    }

    /// Adds jobs at once and returns their ids.
    pub(crate) fn add_bulk(&self, all: &[Value]) -> Vec<String> {
        let jobs: Vec<_> =
            all.iter().map(|data| json!({ "name": "scan", "data": data, "opts": {} })).collect();
        let added = self.ask("addBulk", json!({ "jobs": jobs }));
        added
            .as_array()
            .expect("jobs")
            .iter()
            .map(|job| job["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// The job as the client's own toJSON shows it; null when there is none.
    pub(crate) fn get(&self, id: &str) -> Value {
        self.ask("getJob", json!({ "id": id }))
    }

    pub(crate) fn state(&self, id: &str) -> String {
        self.queue("getJobState", json!([id])).as_str().expect("a state").to_owned()
    }

    pub(crate) fn counts(&self) -> Value {
        self.queue("getJobCounts", json!([]))
    }

    /// All events so far, in their order: `{event, id, …}`.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.ask("events", json!({}))["events"].as_array().expect("events").clone()
    }

    /// The events of this name so far.
    pub(crate) fn named(&self, event: &str) -> Vec<Value> {
        self.events().into_iter().filter(|seen| seen["event"] == event).collect()
    }

    /// The events of one job so far.
    pub(crate) fn of(&self, job: &str) -> Vec<Value> {
        self.events().into_iter().filter(|seen| seen["jobId"] == job).collect()
    }

    /// Names of a job's events so far, `waiting` and others with where it came from: `waiting delayed`.
    pub(crate) fn story(&self, job: &str) -> Vec<String> {
        let told = |event: &Value| {
            let name = event["event"].as_str().unwrap_or_default();
            match event["prev"].as_str() {
                Some(prev) => format!("{name} {prev}"),
                None => name.to_owned(),
            }
        };
        self.of(job).iter().map(told).collect()
    }

    /// Waits until so many events of this name have come, and returns them.
    pub(crate) fn wait_named(&self, event: &str, count: usize) -> Vec<Value> {
        self.wait(&format!("{count} events {event}"), || {
            let named = self.named(event);
            (named.len() >= count).then_some(named)
        })
    }

    /// Waits until a job has an event of this name, and returns the first.
    pub(crate) fn wait_of(&self, job: &str, event: &str) -> Value {
        self.wait(&format!("the event {event} of {job}"), || {
            self.of(job).into_iter().find(|seen| seen["event"] == event)
        })
    }

    /// Waits until something is so.
    pub(crate) fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(found) = look() {
                return found;
            }
            if Instant::now() >= until {
                let events: Vec<_> = self.events().iter().map(Value::to_string).collect();
                panic!("{}: {what} did not come; events:\n{}", self.kind, events.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Starts a worker of this client; `plan` is what its processor does with every job, `opts` are its options.
    pub(crate) fn work(&self, label: &str, plan: Value, opts: Value) {
        self.ask("startWorker", json!({ "label": label, "plan": plan, "opts": opts }));
    }

    /// What the workers of this client were given so far, attempts in their order: `{worker, id, attemptsMade, at}`.
    pub(crate) fn processed(&self) -> Vec<Value> {
        self.ask("processed", json!({})).as_array().expect("attempts").clone()
    }

    /// The observer still runs and has met nothing that it could not read; nothing else met an error either.
    pub(crate) fn assert_untroubled(&self) {
        assert_eq!(self.ask("errors", json!({})), json!([]), "{}: errors", self.kind);
        assert_eq!(self.ask("events", json!({}))["running"], true, "{}: the observer runs", self.kind);
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.lock().unwrap().id()
    }

    /// Waits for its end.
    pub(crate) fn ended(&self) -> ExitStatus {
        self.process.lock().unwrap().wait().expect("it ends")
    }

    /// Ends it at once, as a crash of its machine does.
    pub(crate) fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }
}

impl Drop for Official {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// The milliseconds at which Redis took an event, from its id.
pub(crate) fn moment(event: &Value) -> i64 {
    let id = event["id"].as_str().expect("an id");
    id.split('-').next().and_then(|millis| millis.parse().ok()).expect("milliseconds")
}

pub(crate) fn millis(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no number"))
}
