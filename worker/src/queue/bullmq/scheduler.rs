//! Job schedulers: whoever takes an iteration makes the next, by the scheduler's interval or its cron pattern.

mod cron;
pub(crate) mod plan;

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::entry::Entry;
use super::link::RedisError;
use super::producer::{Answer, Producer, Stored};
use super::script::{Operation, operation};
use plan::{Next, Plan};

static SCHEDULER: LazyLock<Operation> = LazyLock::new(|| operation!("scheduler"));
static ITERATE: LazyLock<Operation> = LazyLock::new(|| operation!("iterate", "marker", "place", "store"));

/// A scheduler as its hash says it, and the iteration that it is at.
struct Scheduler {
    /// The time of the iteration that was made last, in milliseconds.
    at: u64,
    fields: Vec<(String, String)>,
}

impl Scheduler {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl Producer {
    /// Makes the next iteration of the scheduler that this entry belongs to, if it has one (`rjk`) and nobody has done so.
    /// A scheduler that cannot be followed ends here, which is logged. `now` is the time since the epoch.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn next_iteration(&self, entry: &Entry, now: Duration) -> Result<(), RedisError> {
        let Some(id) = entry.scheduler.as_deref() else { return Ok(()) };
        let Some(scheduler) = self.scheduler(id).await? else { return Ok(()) };
        // A retry of this iteration, or one of a scheduler that was set up anew meanwhile: the next one is there.
        if entry.id != format!("repeat:{id}:{}", scheduler.at) {
            return Ok(());
        }
        let opts: Map<String, Value> = serde_json::from_str(&entry.opts).unwrap_or_default();
        let count =
            opts.get("repeat").and_then(|repeat| repeat.get("count")).and_then(Value::as_u64).unwrap_or(1);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let next =
            Plan::read(|name| scheduler.field(name)).and_then(|plan| plan.next(scheduler.at, now, count));
        match next {
            Ok(Next::At(at)) => {
                let stored = iteration(entry, id, &scheduler, opts, at, now);
                self.iterate(id, scheduler.at, at, &stored).await
            }
            Ok(Next::Over) => Ok(()),
            Err(error) => {
                tracing::error!(
                    scheduler = id,
                    error = %error,
                    "a job scheduler makes no further jobs; set it up again with a pattern that can be followed"
                );
                Ok(())
            }
        }
    }

    async fn scheduler(&self, id: &str) -> Result<Option<Scheduler>, RedisError> {
        let mut answer = Answer::to(self.link(), &SCHEDULER, &[id]).await?;
        match answer.text()?.as_str() {
            "none" => return Ok(None),
            "found" => {}
            other => return Err(answer.wrong(other)),
        }
        let at = answer.number()?;
        let texts = answer.rest()?;
        let pairs = texts.as_chunks::<2>().0.iter();
        let fields = pairs.map(|[name, value]| (name.clone(), value.clone())).collect();
        Ok(Some(Scheduler { at, fields }))
    }

    async fn iterate(&self, id: &str, before: u64, at: u64, stored: &Stored) -> Result<(), RedisError> {
        let (before, at, fields) = (before.to_string(), at.to_string(), stored.fields());
        let mut arguments = vec![id, &before, &at];
        arguments.extend(fields.iter().map(String::as_str));
        let mut answer = Answer::to(self.link(), &ITERATE, &arguments).await?;
        match answer.text()?.as_str() {
            "made" | "there" | "moved" => Ok(()),
            other => Err(answer.wrong(other)),
        }
    }
}

/// The next iteration: what the scheduler makes, with the options of the one before.
fn iteration(
    entry: &Entry,
    id: &str,
    scheduler: &Scheduler,
    mut opts: Map<String, Value>,
    at: u64,
    now: u64,
) -> Stored {
    let next = format!("repeat:{id}:{at}");
    let delay = at.saturating_sub(now);
    if let Some(Value::Object(repeat)) = opts.get_mut("repeat") {
        let count = repeat.get("count").and_then(Value::as_u64).unwrap_or(1);
        repeat.insert("count".to_owned(), json!(count.saturating_add(1)));
    }
    if scheduler.field("pattern").is_some() {
        opts.insert("prevMillis".to_owned(), json!(at));
    }
    opts.insert("delay".to_owned(), json!(delay));
    opts.insert("jobId".to_owned(), json!(next));
    opts.insert("repeatJobKey".to_owned(), json!(id));
    opts.insert("timestamp".to_owned(), json!(now));
    let priority = opts.get("priority").and_then(Value::as_u64).unwrap_or(0);
    let lifo = opts.get("lifo").and_then(Value::as_bool).unwrap_or(false);
    Stored {
        id: next,
        name: scheduler.field("name").unwrap_or(&entry.name).to_owned(),
        data: scheduler.field("data").unwrap_or(&entry.data).to_owned(),
        opts: Value::Object(opts).to_string(),
        timestamp: now,
        delay,
        priority,
        lifo,
        scheduler: id.to_owned(),
        ..Stored::default()
    }
}

#[cfg(test)]
mod tests;
