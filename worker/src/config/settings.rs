//! The settings as the rest of the program gets them: plain values, checked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use safeurl_egress::Network;
use safeurl_protocol::Header;

use super::secret::{MaskedUrl, Secret};
use super::size::ByteSize;

/// All settings. `config/safeurl.toml` says what each means.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `[database]`
    pub database: Database,
    /// `[queue]`
    pub queue: Queue,
    /// `[worker]`
    pub worker: Worker,
    /// `[sandbox]`
    pub sandbox: Sandbox,
    /// `[pool]`
    pub pool: Pool,
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[fetch]`
    pub fetch: Fetch,
    /// `[politeness]`
    pub politeness: Politeness,
    /// `[retry]`
    pub retry: Retry,
    /// `[analysis]`
    pub analysis: Analysis,
    /// `[log]`
    pub log: Log,
}

/// Where jobs and results are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// `file:PATH`, a path, or the URL of a remote one.
    pub url: MaskedUrl,
    /// Token of a remote one.
    pub auth_token: Option<Secret>,
}

/// What hands out the jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Which kind: what the setting says, or what follows from the others where it says nothing.
    pub kind: QueueKind,
    /// Name in Redis.
    pub name: String,
    /// Prefix of the keys in Redis.
    pub prefix: String,
    /// How long the lock of an entry holds without renewal.
    pub lock_duration: Duration,
    /// Time between two looks for entries whose lock has run out.
    pub stalled_interval: Duration,
    /// How often an entry may be left by its worker before it is failed.
    pub max_stalled: u32,
    /// Redis as a URL; beats the next five.
    pub redis_url: Option<MaskedUrl>,
    /// Redis' host.
    pub redis_host: Option<String>,
    /// Redis' port.
    pub redis_port: u16,
    /// Redis' user.
    pub redis_user: Option<String>,
    /// Redis' password.
    pub redis_password: Option<Secret>,
    /// Number of the database in Redis.
    pub redis_db: u32,
}

/// A kind of queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// The database itself.
    Embedded,
    /// BullMQ's layout in Redis, in front of the database.
    BullMq,
}

impl QueueKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::BullMq => "bullmq",
        }
    }
}

/// The supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Scans at once.
    pub concurrency: u32,
    /// How long running scans get after the first signal.
    pub drain_grace: Duration,
    /// How long an unfinished job without a lease is left to the program it belongs to.
    pub unleased_after: Duration,
    /// Where it answers over HTTP; `None` is nowhere.
    pub health: Option<SocketAddr>,
}

/// The containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sandbox {
    /// A reference; `None` is the embedded image.
    pub image: Option<String>,
    /// From the hand-over to the kill.
    pub timeout: Duration,
    /// Without swap.
    pub memory: ByteSize,
    /// In cores.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
    /// The container's network.
    pub network: NetworkMode,
    /// An OCI runtime; `None` is the engine's default.
    pub runtime: Option<String>,
    /// Names of restrictions that need not hold.
    pub accept: Vec<&'static str>,
    /// The largest report.
    pub output_cap: ByteSize,
    /// `unix:///path` or `tcp://host:port`.
    pub docker_host: String,
    /// Absolute; short enough for a socket's path.
    pub run_dir: PathBuf,
}

/// Containers that wait for jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// Always.
    pub min: u32,
    /// At most; no less than `min`.
    pub max: u32,
    /// Give or take a fifth.
    pub max_age: Duration,
}

/// What network a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// None: the gateway's socket is the only way out.
    None,
    /// One of the engine's; the fetcher alone keeps to the address rules.
    Bridge,
}

/// The way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Whom it runs as: a name, a uid or uid:gid; `None` is a user of the program's own, or who starts it.
    pub user: Option<String>,
    /// Reachable although the rules deny them.
    pub allow_networks: Vec<Network>,
    /// Name servers; empty means those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
    /// Names with fixed addresses, in small letters.
    pub hosts: BTreeMap<String, IpAddr>,
    /// What becomes of addresses that carry an IPv4 one for a translator.
    pub nat64: Nat64,
    /// For one name.
    pub dns_timeout: Duration,
    /// For one connection.
    pub connect_timeout: Duration,
    /// Connections of one attempt.
    pub max_connections: u32,
    /// Bytes towards the container in one attempt.
    pub bytes_in: ByteSize,
    /// Bytes a second towards the container, once more than twice a page's have passed.
    pub rate_in: ByteSize,
    /// Bytes towards the web in one attempt.
    pub bytes_out: ByteSize,
}

/// What becomes of `64:ff9b::/96`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat64 {
    /// Refused.
    Deny,
    /// Judged by the IPv4 address inside.
    Recheck,
}

/// The requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetch {
    /// Value of the User-Agent header.
    pub user_agent: String,
    /// How many are followed.
    pub max_redirects: u32,
    /// Bytes of a page that are kept.
    pub body_cap: ByteSize,
    /// Extra headers, to the submitted origin only. No name stands there twice.
    pub headers: Vec<Header>,
    /// Every job keeps to robots.txt, also one that does not ask for it.
    pub respect_robots: bool,
}

/// What the hosts of queued jobs are spared, where no queue stands in front of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Politeness {
    /// Scans of one host at a time, over all workers of the database; 0 for any number.
    pub per_host: u32,
    /// From the start of one scan of a host to the start of its next one.
    pub gap: Duration,
    /// How long a host is left alone at most because it asked to be; zero for never.
    pub retry_after: Duration,
}

/// Trying again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts at one job.
    pub max_attempts: u32,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// For one report.
    pub timeout: Duration,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Their form.
    pub format: LogFormat,
    /// The least urgent that is written.
    pub level: Level,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// How urgent a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A person must act.
    Error,
    /// Something is off, work goes on.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Queue {
    /// Whether it is said where Redis is.
    #[must_use]
    pub const fn has_redis(&self) -> bool {
        self.redis_url.is_some() || self.redis_host.is_some()
    }

    /// Whether a password would be sent to another machine without encryption.
    fn is_in_the_clear(&self) -> bool {
        let loopback = |host: &str| {
            let bare = host.trim_matches(['[', ']']);
            host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        let Some(url) = &self.redis_url else {
            return self.redis_password.is_some() && !self.redis_host.as_deref().is_some_and(loopback);
        };
        let Some((_, rest)) = url.expose().split_once("redis://") else { return false };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let Some((user, place)) = authority.rsplit_once('@') else { return false };
        let host = match place.split_once(']') {
            Some((host, _)) => host,
            None => place.split(':').next().unwrap_or_default(),
        };
        user.contains(':') && !loopback(host)
    }
}

impl Settings {
    /// What is odd and yet no error; a worker says it once.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.queue.kind == QueueKind::Embedded && self.queue.has_redis() {
            notices.push(
                "Redis is configured, but queue.kind is \"embedded\": jobs are taken from the database, what stands in \
                 Redis is left alone"
                    .to_owned(),
            );
        }
        if self.queue.kind == QueueKind::BullMq && self.queue.is_in_the_clear() {
            notices.push(
                "the password of Redis goes over the network unencrypted: queue.redis_url may begin with rediss://"
                    .to_owned(),
            );
        }
        if self.database.auth_token.is_some() && is_plain(self.database.url.expose()) {
            notices.push(
                "database.auth_token goes to another host unencrypted, because database.url asks for http: whoever is \
                 on the way reads it, and everything else"
                    .to_owned(),
            );
        }
        if self.sandbox.network == NetworkMode::Bridge {
            notices.push(
                "sandbox.network is \"bridge\": a fetcher that was taken over reaches everything the container \
                 network reaches"
                    .to_owned(),
            );
        }
        if !self.sandbox.accept.is_empty() {
            notices.push(format!(
                "sandbox.accept lets containers go without: {}",
                self.sandbox.accept.join(", ")
            ));
        }
        if self.worker.health.is_some_and(|address| !address.ip().is_loopback()) {
            notices.push(
                "worker.health is not on loopback: whoever reaches the address reads the metrics, nobody is asked who \
                 they are"
                    .to_owned(),
            );
        }
        if self.worker.drain_grace < self.sandbox.timeout {
            notices.push(
                "worker.drain_grace is shorter than sandbox.timeout: a drain may cut healthy scans off"
                    .to_owned(),
            );
        }
        notices
    }
}

/// Whether a database is spoken to without TLS on another host than this one.
fn is_plain(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let plain = scheme.eq_ignore_ascii_case("http")
        || scheme.eq_ignore_ascii_case("libsql")
            && rest
                .split_once('?')
                .is_some_and(|(_, options)| options.split('&').any(|option| option == "tls=0"));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.strip_prefix('[').and_then(|name| name.split_once(']')).map(|(name, _)| name);
    let name = name.unwrap_or_else(|| host.split(':').next().unwrap_or_default());
    let here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    plain && !here
}
