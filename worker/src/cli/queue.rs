//! The queue in Redis, for the commands that put jobs into it or look at it.
//!
//! The database has a job before Redis hears of it, so Redis' silence is told and ends no command: the rows stand, and a
//! worker adds to the queue what it misses.

use std::sync::Arc;

use super::output::plain;
use crate::config::{Queue, QueueKind, Settings};
use crate::domain::scan::Job;
use crate::queue::RedisError;
use crate::queue::bullmq::producer::{NewEntry, Producer, ProducerError};
use crate::queue::bullmq::{Keys, Link, RedisConfig};

/// The connection to the queue in Redis, made when it is first used; `None` where the database alone hands out the jobs.
pub(super) fn link(settings: &Settings) -> Result<Option<Arc<Link>>, RedisError> {
    let queue = &settings.queue;
    match queue.kind {
        QueueKind::Embedded => Ok(None),
        QueueKind::BullMq => {
            let config = RedisConfig { url: url(queue), name: "safeurl".to_owned() };
            Link::new(&config, Keys::new(&queue.prefix, &queue.name)).map(Arc::new).map(Some)
        }
    }
}

fn url(queue: &Queue) -> String {
    if let Some(url) = &queue.redis_url {
        return url.expose().to_owned();
    }
    let user = queue.redis_user.as_deref().unwrap_or_default();
    let password = queue.redis_password.as_ref().map(|password| password.expose()).unwrap_or_default();
    let who = match (user, password) {
        ("", "") => String::new(),
        (user, password) => format!("{}:{}@", escaped(user), escaped(password)),
    };
    let host = queue.redis_host.as_deref().unwrap_or("127.0.0.1");
    // An address of IPv6 has colons of its own.
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    format!("redis://{who}{host}:{}/{}", queue.redis_port, queue.redis_db)
}

fn escaped(text: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    });
    each.collect()
}

/// Tells Redis of jobs that the database has, and remembers what it did not hear.
pub(super) struct Outer {
    producer: Option<Producer>,
    untold: u64,
    why: Option<ProducerError>,
}

impl Outer {
    /// By the settings; without Redis it has nothing to tell.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub(super) fn of(settings: &Settings) -> Result<Self, RedisError> {
        Ok(Self { producer: link(settings)?.map(Producer::new), untold: 0, why: None })
    }

    /// Whether there is anybody to tell.
    pub(super) const fn is_there(&self) -> bool {
        self.producer.is_some()
    }

    /// Adds entries. After a failure the rest is left to the workers: each call may take as long as the first.
    pub(super) async fn add(&mut self, entries: Vec<NewEntry>) {
        let Some(producer) = &self.producer else { return };
        let count = entries.len() as u64;
        if self.why.is_none() {
            self.why = producer.add(&entries).await.err();
        }
        if self.why.is_some() {
            self.untold += count;
        }
    }

    /// Lets a job that is queued again run: by the entry that it had, or else by one of its own. `job` is its row from
    /// before.
    pub(super) async fn again(&mut self, job: &Job) {
        let Some(producer) = &self.producer else { return };
        if self.why.is_none() {
            self.why = offered(producer, job).await.err();
        }
        if self.why.is_some() {
            self.untold += 1;
        }
    }

    /// Says on stderr what Redis did not hear, and what becomes of it.
    pub(super) fn tell(&self) {
        let Some(why) = &self.why else { return };
        let causes = std::iter::successors(Some(why as &dyn std::error::Error), |error| error.source());
        let mut causes: Vec<_> = causes.map(ToString::to_string).collect();
        causes.dedup();
        let jobs = if self.untold == 1 { "1 job".to_owned() } else { format!("{} jobs", self.untold) };
        eprintln!("warning: Redis was not told of {jobs}: {}", plain(&causes.join(": ")));
        eprintln!(
            "hint: the database has them, so do not submit them again; a worker adds them to the queue a minute or two \
             after it reaches Redis"
        );
    }
}

async fn offered(producer: &Producer, job: &Job) -> Result<(), ProducerError> {
    if let Some(delivery) = &job.delivery
        && producer.rerun(&delivery.id, &job.id).await?.is_some()
    {
        return Ok(());
    }
    let entry = NewEntry::scan(&job.id, &job.user, &job.url, job.max_attempts).with_priority(job.priority);
    producer.offer(&entry).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};

    fn settings(flags: &[(&'static str, &str)]) -> Settings {
        let flag = |(key, text): &(&'static str, &str)| Flag { key, flag: key, text: (*text).to_owned() };
        let flags = flags.iter().map(flag).collect();
        Settings::load(&Sources { flags, ..Sources::default() }).expect("they are fine").0
    }

    #[test]
    fn the_address_of_redis_is_made_of_its_parts() {
        for (flags, expected) in [
            (&[("queue.redis_host", "redis.example")][..], "redis://redis.example:6379/0"),
            (
                &[
                    ("queue.redis_host", "::1"),
                    ("queue.redis_port", "7000"),
                    ("queue.redis_password", "p@/:x"),
                    ("queue.redis_db", "3"),
                ],
                "redis://:p%40%2F%3Ax@[::1]:7000/3",
            ),
            (
                &[("queue.redis_url", "rediss://u:p@h/1"), ("queue.redis_host", "other.example")],
                "rediss://u:p@h/1",
            ),
        ] {
            assert_eq!(url(&settings(flags).queue), expected);
        }
        assert!(link(&settings(&[])).expect("nothing is wrong").is_none());
    }
}
