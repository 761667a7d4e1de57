//! What one test has for one client: a Redis, the client, a site, and safeurl's worker and producer.
//!
//! The part of safeurl can be played by an official client instead ([`Side::Official`]): then a line says something about
//! the line itself.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::official::{Kind, Official};
use crate::ours::Ours;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::site::{Answer, Site, article};
use crate::stage::{self, Stage};

/// Name of the queue, as it is by default.
pub(crate) const QUEUE: &str = "scan-jobs";

/// What has not come by then will not come when a script does nothing: a line that holds is through in a quarter of it.
const UNTIL_RED: Duration = Duration::from_secs(15);

/// Who plays the part of safeurl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Safeurl,
    /// Safeurl, one of whose scripts does nothing: its name, and what runs instead.
    Without(&'static str, &'static str),
    /// Another official client.
    Official,
}

/// How safeurl's part works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Working {
    pub(crate) concurrency: usize,
    pub(crate) lock_ms: u64,
    pub(crate) stalled_ms: u64,
}

impl Working {
    /// With so many slots, and the times of the defaults.
    pub(crate) const fn slots(concurrency: usize) -> Self {
        Self { concurrency, lock_ms: 30_000, stalled_ms: 30_000 }
    }

    /// One slot, and times of a test.
    pub(crate) const fn hasty(lock_ms: u64, stalled_ms: u64) -> Self {
        Self { concurrency: 1, lock_ms, stalled_ms }
    }
}

pub(crate) struct World {
    // In the order in which they end: who waits for Redis ends before it.
    pub(crate) client: Official,
    pub(crate) ours: Ours,
    proxy: Option<Proxy>,
    pub(crate) redis: Redis,
    pub(crate) site: Site,
    gate: Arc<Gate>,
    side: Side,
    pub(crate) stage: Stage,
}

impl World {
    pub(crate) fn start(kind: Kind, side: Side) -> Self {
        let stage = Stage::new();
        let redis = Redis::start(&stage.dir.join("redis"));
        let proxy = match side {
            Side::Without(script, instead) => Some(Proxy::start(&stage.dir, &redis.socket, script, instead)),
            Side::Safeurl | Side::Official => None,
        };
        let gate = Arc::new(Gate::default());
        let ours = match side {
            // A 5.x that resumes overwrites what newer ones have added meanwhile: among themselves they do not mix.
            Side::Official if kind == Kind::Node5 => Ours::official(kind, &redis.socket),
            Side::Official => Ours::official(Kind::Node6, &redis.socket),
            Side::Safeurl | Side::Without(..) => Ours::safeurl(&address(&redis, proxy.as_ref())),
        };
        let mut client = Official::start(kind, &redis.socket, QUEUE);
        if matches!(side, Side::Without(..)) {
            client = client.within(UNTIL_RED);
        }
        Self { client, ours, proxy, redis, site: site(&gate), gate, side, stage }
    }

    /// A payload that asks for a page of the site: `/ok…`, `/held…` (answered after [`release`](Self::release)),
    /// `/flaky/<n>/…` (hangs up on the first n), `/closes…` (on all).
    pub(crate) fn scan(&self, path: &str) -> Value {
        payload(&self.site.url(path))
    }

    /// Answers all that wait for a held page, and who asks from now on.
    pub(crate) fn release(&self) {
        self.gate.open();
    }

    /// Waits until somebody waits for this held page.
    pub(crate) fn wait_for_visit(&self, path: &str) {
        self.client.wait(&format!("a visit to {path}"), || (self.site.hits(path) > 0).then_some(()));
    }

    /// Another client of this kind on the same queue.
    pub(crate) fn another(&self, kind: Kind) -> Official {
        Official::start(kind, &self.redis.socket, QUEUE)
    }

    /// Starts the worker of safeurl's part.
    pub(crate) fn work(&self, working: Working) -> Worker {
        if self.side == Side::Official {
            let client = self.another(Kind::Node6);
            let Working { concurrency, lock_ms, stalled_ms } = working;
            let opts =
                json!({ "concurrency": concurrency, "lockDuration": lock_ms, "stalledInterval": stalled_ms });
            client.work("stand-in", json!({ "scan": true }), opts);
            return Worker::Official(client);
        }
        let log = OpenOptions::new().create(true).append(true).open(self.stage.dir.join("worker.log"));
        let child = self
            .command(&["worker", "--concurrency", &working.concurrency.to_string()])
            .env("SAFEURL_QUEUE_LOCK_DURATION", format!("{}ms", working.lock_ms))
            .env("SAFEURL_QUEUE_STALLED_INTERVAL", format!("{}ms", working.stalled_ms))
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn();
        Worker::Safeurl(stage::Worker(child.expect("the worker starts")))
    }

    /// Whether safeurl has a part in it at all.
    pub(crate) fn is_control(&self) -> bool {
        self.side == Side::Official
    }

    /// The program, on this queue.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.stage.command(args);
        command.env("REDIS_URL", address(&self.redis, self.proxy.as_ref()));
        command
    }

    /// Waits until a worker waits for the marker, so that it has nothing to do and knows of nothing.
    pub(crate) fn wait_until_idle(&self) {
        self.client.wait("an idle worker", || (!self.redis.waits().is_empty()).then_some(()));
    }

    /// Waits until the only worker has waited in vain and has just begun to wait again: the next time that it looks by
    /// itself is as far away as it can be.
    pub(crate) fn wait_for_a_fresh_wait(&self) {
        self.wait_until_idle();
        let mut longest = 0;
        self.client.wait("a wait after a wait", || {
            let waited = self.redis.waits().first().copied()?;
            longest = longest.max(waited);
            (longest >= 4 && waited == 0).then_some(())
        });
    }

    /// What the settlement of a test needs: all that was observed could be read.
    pub(crate) fn end(self) {
        self.client.assert_untroubled();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.gate.open();
        if std::thread::panicking() {
            eprintln!("--- the worker's log:\n{}", self.stage.log());
        }
    }
}

/// A running worker of safeurl's part.
pub(crate) enum Worker {
    Safeurl(stage::Worker),
    Official(Official),
}

impl Worker {
    /// Ends it at once, as a crash does.
    pub(crate) fn kill(self) {
        match self {
            Self::Safeurl(worker) => drop(worker),
            Self::Official(client) => client.kill(),
        }
    }

    /// Asks it to end, and waits until it knows.
    pub(crate) fn terminate(&self, world: &World) {
        let id = match self {
            Self::Safeurl(worker) => worker.0.id(),
            Self::Official(client) => client.id(),
        };
        let sent = Command::new("kill").arg("-TERM").arg(id.to_string()).status().expect("kill runs");
        assert!(sent.success());
        world.client.wait("the worker to take nothing more", || {
            let knows = match self {
                Self::Safeurl(_) => world.stage.log().contains("draining: no new job is taken"),
                Self::Official(client) => client.ask("closing", json!({})) == json!(true),
            };
            knows.then_some(())
        });
    }

    /// Waits for its end.
    pub(crate) fn ended(self) -> ExitStatus {
        match self {
            Self::Safeurl(mut worker) => worker.0.wait().expect("it ends"),
            Self::Official(client) => client.ended(),
        }
    }
}

/// What a producer asks for.
pub(crate) fn payload(url: &str) -> Value {
    json!({ "jobId": uuid::Uuid::new_v4().to_string(), "url": url, "userId": "u1" })
}

fn address(redis: &Redis, proxy: Option<&Proxy>) -> String {
    proxy.map_or_else(|| redis.url(), Proxy::url)
}

/// Whether held pages are answered.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }
}

fn site(gate: &Arc<Gate>) -> Site {
    let gate = Arc::clone(gate);
    let visits = Mutex::new(BTreeMap::<String, u32>::new());
    Site::start(move |path| {
        let mut parts = path.split('/').skip(1);
        match parts.next().unwrap_or_default() {
            "held" => gate.wait(),
            "closes" => return Answer::Raw(Vec::new()),
            "flaky" => {
                let fails = parts.next().and_then(|count| count.parse().ok()).unwrap_or(1);
                let mut visits = visits.lock().unwrap();
                let visit = visits.entry(path.to_owned()).or_default();
                *visit += 1;
                if *visit <= fails {
                    return Answer::Raw(Vec::new());
                }
            }
            "ok" => {}
            _ => return Answer::Head(404, Vec::new()),
        }
        article("A page")
    })
}
