//! From the layers to the settings: every key, its rule and its bounds, in one list.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::error::{ConfigError, Problem};
use super::key;
use super::layers::{self, Layer};
use super::origin::{Origin, Origins, Shown};
use super::raw::Raw;
use super::rule::{
    self, Folder, HostMap, List, Name, QueueName, QueuePrefix, RequestHeader, Restriction, Rule, SecretText,
    Subnet, Text, Truth, Word, within,
};
use super::settings::{
    Analysis, Database, Fetch, Gateway, Level, Log, LogFormat, Nat64, NetworkMode, Politeness, Pool, Queue,
    QueueKind, Retry, Sandbox, Settings, Worker,
};
use super::size::ByteSize;
use super::sources::{MAX_RUN_DIR_BYTES, Sources};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const TENTH: Duration = Duration::from_millis(100);

/// Each container has a user id of its own out of a few hundred.
const MAX_CONCURRENCY: u32 = 256;

/// More than all workers of a database have slots.
const MAX_PER_HOST: u32 = 10_000;

/// The fetcher stops a second before the timeout: with less than this it would have no time to fetch anything.
const MIN_TIMEOUT: Duration = Duration::from_secs(2);

/// More would not fit into one invocation beside the URL.
const MAX_HEADERS: usize = 32;

const MAX_LIST: usize = 1024;

/// Far more than anybody gives a Redis (`databases`, 16 by default).
const MAX_REDIS_DB: u32 = 100_000;

impl Settings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] with every name and value that is not accepted.
    pub fn load(sources: &Sources) -> Result<(Self, Origins), ConfigError> {
        let defaults = layers::defaults()?;
        let (layer, problems) = layers::settled(defaults.clone(), sources)?;
        let mut reader = Reader { defaults, layer, problems, origins: Origins::default() };
        let settings = read(&mut reader, sources.default_run_dir());
        agree(&settings, &mut reader);
        if reader.problems.is_empty() {
            Ok((settings, reader.origins))
        } else {
            Err(ConfigError::Invalid(reader.problems))
        }
    }
}

/// In the order of the reference file.
fn read(r: &mut Reader, run_dir: PathBuf) -> Settings {
    Settings {
        database: Database {
            url: r.get("database.url", &rule::Database),
            auth_token: r.get("database.auth_token", &SecretText),
        },
        queue: queue(r),
        worker: Worker {
            concurrency: r.get("worker.concurrency", &within(1..=MAX_CONCURRENCY)),
            drain_grace: r.get("worker.drain_grace", &within(Duration::ZERO..=DAY)),
            unleased_after: r.get("worker.unleased_after", &within(MINUTE..=7 * DAY)),
            health: r.get("worker.health", &rule::Listen),
        },
        sandbox: Sandbox {
            image: r.get("sandbox.image", &Name { also: "/:@", what: "an image reference" }),
            timeout: r.get("sandbox.timeout", &within(MIN_TIMEOUT..=HOUR)),
            memory: r.get("sandbox.memory", &within(ByteSize::mib(32)..=ByteSize::gib(64))),
            cpus: r.get("sandbox.cpus", &within(0.05..=64.0)),
            pids: r.get("sandbox.pids", &within(8..=4096)),
            network: r.get(
                "sandbox.network",
                &Word(&[("none", NetworkMode::None), ("bridge", NetworkMode::Bridge)]),
            ),
            runtime: r.get("sandbox.runtime", &Name { also: "", what: "a runtime's name" }),
            accept: r.get("sandbox.accept", &List { of: Restriction, most: MAX_LIST }),
            output_cap: r.get("sandbox.output_cap", &within(ByteSize::kib(64)..=ByteSize::mib(64))),
            docker_host: r.get("sandbox.docker_host", &rule::Engine),
            run_dir: r.get("sandbox.run_dir", &Folder { otherwise: run_dir, most: MAX_RUN_DIR_BYTES }),
        },
        pool: Pool {
            min: r.get("pool.min", &within(0..=MAX_CONCURRENCY)),
            max: r.get("pool.max", &within(0..=MAX_CONCURRENCY)),
            max_age: r.get("pool.max_age", &within(10 * SECOND..=DAY)),
        },
        gateway: Gateway {
            user: r.get("gateway.user", &rule::ProcessUser),
            allow_networks: r.get("gateway.allow_networks", &List { of: Subnet, most: MAX_LIST }),
            resolvers: r.get("gateway.resolvers", &List { of: rule::Resolver, most: 16 }),
            hosts: r.get("gateway.hosts", &HostMap { most: MAX_LIST }),
            nat64: r.get("gateway.nat64", &Word(&[("deny", Nat64::Deny), ("recheck", Nat64::Recheck)])),
            dns_timeout: r.get("gateway.dns_timeout", &within(TENTH..=MINUTE)),
            connect_timeout: r.get("gateway.connect_timeout", &within(TENTH..=MINUTE)),
            max_connections: r.get("gateway.max_connections", &within(1..=1024)),
            bytes_in: r.get("gateway.bytes_in", &within(ByteSize::kib(16)..=ByteSize::gib(16))),
            rate_in: r.get("gateway.rate_in", &within(ByteSize::kib(64)..=ByteSize::gib(1))),
            bytes_out: r.get("gateway.bytes_out", &within(ByteSize::kib(16)..=ByteSize::mib(16))),
        },
        fetch: Fetch {
            user_agent: r.get("fetch.user_agent", &Text { most: 1024 }),
            max_redirects: r.get("fetch.max_redirects", &within(0..=50)),
            body_cap: r.get("fetch.body_cap", &within(ByteSize::kib(1)..=ByteSize::mib(64))),
            headers: r.get("fetch.headers", &List { of: RequestHeader, most: MAX_HEADERS }),
            respect_robots: r.get("fetch.respect_robots", &Truth),
        },
        politeness: Politeness {
            per_host: r.get("politeness.per_host", &within(0..=MAX_PER_HOST)),
            gap: r.get("politeness.gap", &within(Duration::ZERO..=HOUR)),
            retry_after: r.get("politeness.retry_after", &within(Duration::ZERO..=DAY)),
        },
        retry: Retry { max_attempts: r.get("retry.max_attempts", &within(1..=100)) },
        analysis: Analysis { timeout: r.get("analysis.timeout", &within(TENTH..=MINUTE)) },
        log: Log {
            format: r.get("log.format", &Word(&[("text", LogFormat::Text), ("json", LogFormat::Json)])),
            level: r.get(
                "log.level",
                &Word(&[
                    ("error", Level::Error),
                    ("warn", Level::Warn),
                    ("info", Level::Info),
                    ("debug", Level::Debug),
                    ("trace", Level::Trace),
                ]),
            ),
        },
    }
}

/// Which kind it is may follow from whether there is a Redis.
fn queue(r: &mut Reader) -> Queue {
    let said = r.get("queue.kind", &rule::Queue);
    let mut queue = Queue {
        kind: QueueKind::Embedded,
        name: r.get("queue.name", &QueueName),
        prefix: r.get("queue.prefix", &QueuePrefix),
        lock_duration: r.get("queue.lock_duration", &within(SECOND..=HOUR)),
        stalled_interval: r.get("queue.stalled_interval", &within(SECOND..=HOUR)),
        max_stalled: r.get("queue.max_stalled", &within(0..=1000)),
        redis_url: r.get("queue.redis_url", &rule::Redis),
        redis_host: r.get("queue.redis_host", &Name { also: ":", what: "a host name or address" }),
        redis_port: r.get("queue.redis_port", &rule::Port),
        redis_user: r.get("queue.redis_user", &Name { also: "@+", what: "a user's name" }),
        redis_password: r.get("queue.redis_password", &SecretText),
        redis_db: r.get("queue.redis_db", &within(0..=MAX_REDIS_DB)),
    };
    queue.kind = said.unwrap_or(if queue.has_redis() { QueueKind::BullMq } else { QueueKind::Embedded });
    if said.is_none() {
        r.follows(
            "queue.kind",
            queue.kind.as_str(),
            if queue.redis_url.is_some() { "queue.redis_url" } else { "queue.redis_host" },
        );
    }
    queue
}

/// What is right by itself and wrong together.
fn agree(settings: &Settings, reader: &mut Reader) {
    if settings.gateway.bytes_in < settings.fetch.body_cap {
        reader.refuse(
            "gateway.bytes_in",
            format!(
                "{} is less than fetch.body_cap, {}: no page of that size would come through",
                settings.gateway.bytes_in, settings.fetch.body_cap
            ),
        );
    }
    let Pool { min, max, .. } = settings.pool;
    if max < min {
        reader.refuse("pool.max", format!("{max} is less than pool.min, {min}"));
    }
    if settings.queue.kind == QueueKind::BullMq && !settings.queue.has_redis() {
        reader.refuse("queue.kind", "\"bullmq\" needs queue.redis_url or queue.redis_host".to_owned());
    }
    let headers = &settings.fetch.headers;
    let twice = headers.iter().enumerate().find(|(n, header)| {
        headers[..*n].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(&header.name))
    });
    if let Some((_, header)) = twice {
        reader.refuse("fetch.headers", format!("has {} twice", header.name));
    }
}

/// Takes the winner of each key through its rule, and keeps the record of it.
struct Reader {
    defaults: Layer,
    layer: Layer,
    problems: Vec<Problem>,
    origins: Origins,
}

impl Reader {
    /// A wrong value is written down, and the default stands in for it so that the others are read as well.
    fn get<R: Rule>(&mut self, path: &'static str, rule: &R) -> R::Out {
        let key = key::find(path).expect("a test loads every key, so each path here is one");
        let written = layers::of(&self.layer, key);
        let value = match rule.read(&written.raw) {
            Ok(value) => value,
            Err(wrong) => {
                let quoted = match &written.raw {
                    Raw::Loose(text) | Raw::Text(text) => rule.quote(text),
                    Raw::Whole(number) | Raw::Decimal(number) => rule.quote(number).map(|_| number.clone()),
                    Raw::Truth(_) | Raw::List(_) | Raw::Table(_) | Raw::Other(_) => None,
                };
                let quoted = quoted.map(|quoted| quoted + " ").unwrap_or_default();
                let message = format!("{path}: {quoted}{wrong}; accepted: {}", rule.accepts());
                self.problems.push(Problem { origin: written.origin.clone(), message, hint: None });
                let default = layers::of(&self.defaults, key);
                rule.read(&default.raw).unwrap_or_else(|wrong| panic!("the default of {path} {wrong}"))
            }
        };
        let origin = written.origin.clone();
        self.origins.push(Shown { key: key.path, value: rule.show(&value), origin });
        value
    }

    /// A value that was left open follows from another setting, where that one is set.
    fn follows(&mut self, path: &'static str, value: &str, from: &'static str) {
        let base = self.origins.get(from).map(|shown| shown.origin.clone());
        if let Some(base) = base.filter(|_| self.origins.is_set(from)) {
            self.origins.settle(path, Value::from(value), Origin::Follows { from, base: Box::new(base) });
        } else {
            self.origins.settle(path, Value::from(value), Origin::Default);
        }
    }

    fn refuse(&mut self, path: &'static str, message: String) {
        if let Some(shown) = self.origins.get(path) {
            let origin = shown.origin.clone();
            self.problems.push(Problem { origin, message: format!("{path}: {message}"), hint: None });
        }
    }
}
