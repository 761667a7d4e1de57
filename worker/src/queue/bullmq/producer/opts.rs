//! An entry as its hash will say it: the options with their short names, and what the scripts need of them.

use serde_json::{Map, Value, json};

use super::{EntryError, NewEntry};
use crate::domain::scan::ScanId;

/// Options that are stored under a shorter name.
const SHORT: [(&str, &str); 6] = [
    ("deduplication", "de"),
    ("failParentOnFailure", "fpof"),
    ("continueParentOnFailure", "cpof"),
    ("ignoreDependencyOnFailure", "idof"),
    ("removeDependencyOnFailure", "rdof"),
    ("keepLogs", "kl"),
];

/// The flags that a child's hash repeats beside its parent.
const PARENT_FLAGS: [&str; 4] = ["fpof", "cpof", "idof", "rdof"];

/// The last priority that BullMQ's producers take.
pub(super) const LAST_PRIORITY: u64 = 1 << 21;

/// Scores are due times in 4096ths of a millisecond and have to be whole numbers below 2^53, which ends in 2039.
const LAST_DUE_MS: u64 = (1 << 41) - 1;

/// The arguments of one entry, in the order of `parts/store.lua`.
pub(in crate::queue::bullmq) type Fields = [String; 16];

/// An entry, ready to be sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::queue::bullmq) struct Stored {
    pub(in crate::queue::bullmq) id: String,
    pub(in crate::queue::bullmq) name: String,
    pub(in crate::queue::bullmq) data: String,
    pub(in crate::queue::bullmq) opts: String,
    pub(in crate::queue::bullmq) timestamp: u64,
    pub(in crate::queue::bullmq) delay: u64,
    pub(in crate::queue::bullmq) priority: u64,
    pub(in crate::queue::bullmq) lifo: bool,
    pub(in crate::queue::bullmq) deduplication: Deduplication,
    pub(in crate::queue::bullmq) parent_key: String,
    pub(in crate::queue::bullmq) parent: String,
    pub(in crate::queue::bullmq) scheduler: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::queue::bullmq) struct Deduplication {
    id: String,
    ttl: u64,
    extend: bool,
    replace: bool,
    keep_last: bool,
}

impl Stored {
    /// Reads what an entry asks for. `now` is in milliseconds.
    pub(super) fn of(entry: &NewEntry, now: u64) -> Result<Self, EntryError> {
        if let Some(id) = &entry.id {
            check_id(id)?;
        }
        let given = &entry.opts;
        let timestamp = whole(given, "timestamp")?.unwrap_or(now);
        let delay = whole(given, "delay")?.unwrap_or(0);
        if timestamp.saturating_add(delay) > LAST_DUE_MS {
            return Err(refused(given, "delay", "due before the year 2039"));
        }
        let priority = whole(given, "priority")?.unwrap_or(0);
        if priority > LAST_PRIORITY {
            return Err(refused(given, "priority", "at most 2097152"));
        }
        let opts = encoded(entry)?;
        let (parent_key, parent) = parent(given, &opts)?;
        Ok(Self {
            id: entry.id.clone().unwrap_or_default(),
            name: entry.name.clone(),
            data: entry.data.to_string(),
            opts: Value::Object(opts).to_string(),
            timestamp,
            delay,
            priority,
            lifo: truthy(given.get("lifo")),
            deduplication: deduplication(given)?,
            parent_key,
            parent,
            scheduler: String::new(),
        })
    }

    /// Without what ties it to other entries.
    pub(super) fn alone(self) -> Self {
        Self {
            deduplication: Deduplication::default(),
            parent_key: String::new(),
            parent: String::new(),
            ..self
        }
    }

    /// How much of a call it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() + self.opts.len() + self.name.len() + self.parent.len()
    }

    /// As arguments.
    pub(in crate::queue::bullmq) fn fields(&self) -> Fields {
        let flag = |set: bool| if set { "1".to_owned() } else { "0".to_owned() };
        let Deduplication { id, ttl, extend, replace, keep_last } = &self.deduplication;
        [
            self.id.clone(),
            self.name.clone(),
            self.data.clone(),
            self.opts.clone(),
            self.timestamp.to_string(),
            self.delay.to_string(),
            self.priority.to_string(),
            flag(self.lifo),
            id.clone(),
            ttl.to_string(),
            flag(*extend),
            flag(*replace),
            flag(*keep_last),
            self.parent_key.clone(),
            self.parent.clone(),
            self.scheduler.clone(),
        ]
    }
}

/// What BullMQ's own producer refuses: numbers are the queue's, `0:` was a mark of older workers, and colons part keys,
/// save in the three parts of a scheduler's iteration.
fn check_id(id: &str) -> Result<(), EntryError> {
    let why = if id.is_empty() {
        "is empty"
    } else if id == "0" || id.starts_with("0:") {
        "begins as a mark of older workers does, who would drop it"
    } else if is_integer(id) {
        "is a whole number, which the queue gives out itself"
    } else if id.contains(':') && id.split(':').count() != 3 {
        "contains a colon; only ids of three parts may"
    } else {
        return Ok(());
    };
    Err(EntryError::Id { id: id.to_owned(), why })
}

/// The id of a scan's entry: the scan's own, which is fit where this program gave it. Other programs' ids are any text;
/// what the queue would refuse is put behind a word, without colons.
pub(super) fn id_of(scan: &ScanId) -> String {
    let id = scan.as_str();
    match check_id(id) {
        Ok(()) => id.to_owned(),
        Err(_) => format!("scan-{}", id.replace('%', "%25").replace(':', "%3A")),
    }
}

/// Whether a whole number is written like this: no leading zero, no plus.
fn is_integer(id: &str) -> bool {
    let digits = id.strip_prefix('-').unwrap_or(id);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
}

/// The options as they are stored.
fn encoded(entry: &NewEntry) -> Result<Map<String, Value>, EntryError> {
    let mut opts = Map::new();
    for (name, value) in &entry.opts {
        let short = SHORT.iter().find(|(long, _)| long == name).map_or(name.as_str(), |(_, short)| short);
        match name.as_str() {
            "backoff" => drop(opts.insert(name.clone(), backoff(value)?)),
            "telemetry" => {
                for (long, short) in [("metadata", "tm"), ("omitContext", "omc")] {
                    if let Some(part) = value.get(long) {
                        opts.insert(short.to_owned(), part.clone());
                    }
                }
            }
            _ => drop(opts.insert(short.to_owned(), value.clone())),
        }
    }
    whole(&entry.opts, "attempts")?;
    opts.entry("attempts").or_insert_with(|| json!(0));
    if let Some(id) = &entry.id {
        opts.insert("jobId".to_owned(), json!(id));
    }
    Ok(opts)
}

/// A number means a fixed wait.
fn backoff(value: &Value) -> Result<Value, EntryError> {
    match value {
        Value::Number(delay) => Ok(json!({"type": "fixed", "delay": delay})),
        Value::Object(fields) if fields.get("type").is_some_and(Value::is_string) => Ok(value.clone()),
        other => Err(EntryError::Option {
            name: "backoff",
            found: other.to_string(),
            wanted: "milliseconds, or an object with a type",
        }),
    }
}

/// Key and JSON of the flow's parent; both empty without one.
fn parent(given: &Map<String, Value>, opts: &Map<String, Value>) -> Result<(String, String), EntryError> {
    let Some(parent) = given.get("parent") else { return Ok(Default::default()) };
    let part = |name: &str| parent.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (Some(id), Some(queue)) = (part("id"), part("queue")) else {
        return Err(refused(given, "parent", "an object with id and queue, such as bull:scan-jobs"));
    };
    let mut told = json!({"id": id, "queueKey": queue});
    for flag in PARENT_FLAGS {
        if truthy(opts.get(flag)) {
            told[flag] = json!(true);
        }
    }
    Ok((format!("{queue}:{id}"), told.to_string()))
}

fn deduplication(given: &Map<String, Value>) -> Result<Deduplication, EntryError> {
    let Some(asked) = given.get("deduplication") else { return Ok(Deduplication::default()) };
    let id = asked.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let ttl = asked.get("ttl").map_or(Some(0), Value::as_u64);
    let (Some(id), Some(ttl)) = (id, ttl) else {
        return Err(refused(given, "deduplication", "an object with an id, and a ttl in whole milliseconds"));
    };
    let flag = |name: &str| truthy(asked.get(name));
    Ok(Deduplication {
        id: id.to_owned(),
        ttl,
        extend: flag("extend"),
        replace: flag("replace"),
        keep_last: flag("keepLastIfActive"),
    })
}

fn truthy(value: Option<&Value>) -> bool {
    value.and_then(Value::as_bool).unwrap_or(false)
}

/// A whole number that is not negative. Python's readers fail at anything else.
fn whole(given: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, EntryError> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).ok_or_else(|| refused(given, name, "a whole number from 0 up"))
        }
    }
}

fn refused(given: &Map<String, Value>, name: &'static str, wanted: &'static str) -> EntryError {
    let found = given.get(name).map_or_else(|| "missing".to_owned(), ToString::to_string);
    EntryError::Option { name, found, wanted }
}
