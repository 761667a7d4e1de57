//! The names of the settings: in files, in the environment, and what existing installations call them.
//!
//! Owns the one list of keys. It knows nothing of types and values; those are read in `settings.rs`.

/// One setting.
#[derive(Debug)]
pub(super) struct Key {
    /// `section.key`.
    pub(super) path: &'static str,
    /// Older variables for it; the first one that is set counts.
    pub(super) older: &'static [Older],
    /// A flag adds to the list of the layers below instead of replacing it.
    pub(super) adds: bool,
}

/// A variable of existing installations.
#[derive(Debug)]
pub(super) struct Older {
    pub(super) name: &'static str,
    /// Put before and after the value to make it one of ours: these variables leave out their unit.
    pub(super) around: (&'static str, &'static str),
}

const fn key(path: &'static str) -> Key {
    Key { path, older: &[], adds: false }
}

const fn list(path: &'static str) -> Key {
    Key { path, older: &[], adds: true }
}

const fn known_as(path: &'static str, older: &'static [Older]) -> Key {
    Key { path, older, adds: false }
}

const fn older(name: &'static str) -> Older {
    Older { name, around: ("", "") }
}

/// In the order of the reference file.
pub(super) static KEYS: &[Key] = &[
    known_as("database.url", &[older("TURSO_CONNECTION_URL")]),
    known_as("database.auth_token", &[older("TURSO_AUTH_TOKEN")]),
    key("queue.kind"),
    key("queue.name"),
    key("queue.prefix"),
    key("queue.lock_duration"),
    key("queue.stalled_interval"),
    key("queue.max_stalled"),
    known_as("queue.redis_url", &[older("REDIS_URL")]),
    known_as("queue.redis_host", &[older("REDIS_HOST")]),
    known_as("queue.redis_port", &[older("REDIS_PORT")]),
    key("queue.redis_user"),
    known_as("queue.redis_password", &[older("REDIS_PASSWORD")]),
    key("queue.redis_db"),
    known_as("worker.concurrency", &[older("WORKER_CONCURRENCY")]),
    key("worker.drain_grace"),
    key("worker.unleased_after"),
    key("worker.health"),
    known_as("sandbox.image", &[older("FETCHER_IMAGE")]),
    known_as("sandbox.timeout", &[Older { name: "CONTAINER_TIMEOUT_MS", around: ("", "ms") }]),
    known_as("sandbox.memory", &[Older { name: "CONTAINER_MEMORY_LIMIT_MB", around: ("", "MiB") }]),
    known_as("sandbox.cpus", &[older("CONTAINER_CPU_LIMIT")]),
    key("sandbox.pids"),
    key("sandbox.network"),
    key("sandbox.runtime"),
    key("sandbox.accept"),
    key("sandbox.output_cap"),
    known_as(
        "sandbox.docker_host",
        &[older("DOCKER_HOST"), Older { name: "DOCKER_SOCKET_PATH", around: ("unix://", "") }],
    ),
    key("sandbox.run_dir"),
    key("pool.min"),
    key("pool.max"),
    key("pool.max_age"),
    key("gateway.user"),
    list("gateway.allow_networks"),
    key("gateway.resolvers"),
    key("gateway.hosts"),
    key("gateway.nat64"),
    key("gateway.dns_timeout"),
    key("gateway.connect_timeout"),
    key("gateway.max_connections"),
    key("gateway.bytes_in"),
    key("gateway.rate_in"),
    key("gateway.bytes_out"),
    key("fetch.user_agent"),
    key("fetch.max_redirects"),
    key("fetch.body_cap"),
    list("fetch.headers"),
    key("fetch.respect_robots"),
    key("politeness.per_host"),
    key("politeness.gap"),
    key("politeness.retry_after"),
    key("retry.max_attempts"),
    key("analysis.timeout"),
    key("log.format"),
    key("log.level"),
];

/// What every variable of ours begins with.
pub(super) const VARIABLE_PREFIX: &str = "SAFEURL_";

/// Variables with our prefix that are no settings: where the corpora for `make test-corpora` are.
pub(super) const OTHER_VARIABLES: &[&str] = &["SAFEURL_CORPORA"];

/// How much two names must have in common for one to be offered in place of the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;

impl Key {
    /// `SAFEURL_<SECTION>_<KEY>`.
    pub(super) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.path.replace('.', "_").to_uppercase())
    }

    /// The key without its section.
    pub(super) fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The section.
    pub(super) fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }
}

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether a section has this name.
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.section() == name)
}

/// The key that was most likely meant by a path that is none.
pub(super) fn meant_path(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    // The right name in the wrong section is nearer than any spelling.
    let mut exact = KEYS.iter().filter(|key| key.name() == name);
    if let (Some(only), None) = (exact.next(), exact.next()) {
        return Some(only);
    }
    let named = |key: &'static Key| (key.name(), key);
    nearest(name, KEYS.iter().filter(|key| key.section() == section).map(named))
        .or_else(|| nearest(name, KEYS.iter().map(named)))
}

/// The section that was most likely meant.
pub(super) fn meant_section(name: &str) -> Option<&'static str> {
    nearest(name, KEYS.iter().map(|key| (key.section(), key.section())))
}

/// The variable that was most likely meant.
pub(super) fn meant_variable(name: &str) -> Option<String> {
    // What all have in common would make everything alike.
    let rest = name.strip_prefix(VARIABLE_PREFIX)?;
    let candidates = KEYS.iter().map(|key| (key.path.replace('.', "_").to_uppercase(), key));
    nearest(rest, candidates).map(Key::variable)
}

fn nearest<N: AsRef<str>, T>(name: &str, candidates: impl Iterator<Item = (N, T)>) -> Option<T> {
    candidates
        .map(|(candidate, value)| (strsim::jaro_winkler(name, candidate.as_ref()), value))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, value)| value)
}

/// Whether a variable is about a setting: one of ours, or an older name.
pub(super) fn is_ours(variable: &str) -> bool {
    variable.starts_with(VARIABLE_PREFIX)
        || KEYS.iter().any(|key| key.older.iter().any(|older| older.name == variable))
}
