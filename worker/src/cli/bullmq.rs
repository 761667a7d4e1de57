//! The queue in Redis out of the settings, and what is said of that Redis before a worker relies on it.

use anyhow::Context as _;
use tracing::{info, warn};
use url::Url;

use crate::config::{Queue, QueueKind, Settings};
use crate::queue::bullmq::{BullMqConfig, Keys, Link, RedisConfig};

/// The queue in Redis; `None` where the settings want the database alone. `name` is that of this client.
///
/// # Errors
/// An address that cannot be made of host, user and password.
pub(super) fn config(settings: &Settings, name: &str) -> anyhow::Result<Option<BullMqConfig>> {
    let queue = &settings.queue;
    match queue.kind {
        QueueKind::Embedded => Ok(None),
        QueueKind::BullMq => Ok(Some(BullMqConfig {
            redis: RedisConfig { url: address(queue)?, name: name.to_owned() },
            keys: Keys::new(&queue.prefix, &queue.name),
            lock: queue.lock_duration,
            stalled_interval: queue.stalled_interval,
            max_stalled: queue.max_stalled,
            unleased_after: settings.worker.unleased_after,
        })),
    }
}

/// Says what Redis is and keeps. Nothing to say where there is none.
///
/// # Errors
/// Redis does not answer, or cannot be used.
pub(super) async fn check(settings: &Settings, name: &str) -> anyhow::Result<()> {
    let Some(BullMqConfig { redis, keys, .. }) = config(settings, name)? else { return Ok(()) };
    let link = Link::new(&redis, keys)?;
    let facts = link.check().await.context("cannot use the queue in Redis")?;
    for told in facts.told() {
        if told.warning { warn!("{}", told.text) } else { info!("{}", told.text) }
    }
    Ok(())
}

/// The address: as it stands, or made of its parts, of which user and password may have any characters.
fn address(queue: &Queue) -> anyhow::Result<String> {
    if let Some(url) = &queue.redis_url {
        return Ok(url.expose().to_owned());
    }
    let host = queue.redis_host.as_deref().unwrap_or("localhost");
    let host =
        if host.contains(':') { format!("[{}]", host.trim_matches(['[', ']'])) } else { host.to_owned() };
    let wrong = "queue.redis_host is no host name";
    let mut url =
        Url::parse(&format!("redis://{host}:{}/{}", queue.redis_port, queue.redis_db)).context(wrong)?;
    let user = queue.redis_user.as_deref().unwrap_or_default();
    let password = queue.redis_password.as_ref().map(|password| password.expose());
    let written = url.set_username(user).and_then(|()| url.set_password(password));
    written.map_err(|()| anyhow::anyhow!(wrong))?;
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let environment = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let sources = Sources { environment, ..Sources::default() };
        Settings::load(&sources).expect("valid settings").0
    }

    #[test]
    fn the_address_is_the_url_or_made_of_its_parts() {
        for (pairs, address) in [
            (&[("REDIS_URL", "rediss://u:p@r:1/2"), ("REDIS_HOST", "other")][..], "rediss://u:p@r:1/2"),
            (&[("REDIS_HOST", "r.example")], "redis://r.example:6379/0"),
            (&[("REDIS_HOST", "::1"), ("REDIS_PORT", "7000")], "redis://[::1]:7000/0"),
            (
                &[("REDIS_HOST", "r"), ("REDIS_PASSWORD", "a:b/c@d#e?f")],
                "redis://:a%3Ab%2Fc%40d%23e%3Ff@r:6379/0",
            ),
            (
                &[
                    ("REDIS_HOST", "r"),
                    ("SAFEURL_QUEUE_REDIS_USER", "scanner"),
                    ("REDIS_PASSWORD", "x"),
                    ("SAFEURL_QUEUE_REDIS_DB", "3"),
                ],
                "redis://scanner:x@r:6379/3",
            ),
        ] {
            let config = config(&settings(pairs), "w1").expect("an address").expect("a queue in Redis");
            assert_eq!(config.redis.url, address);
            Link::new(&config.redis, config.keys).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
        assert!(config(&settings(&[]), "w1").expect("no error").is_none());
    }
}
