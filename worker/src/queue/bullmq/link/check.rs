//! What a worker should know of its Redis before it relies on it: how old it is, whether it throws keys away, and what
//! survives its end.

use std::collections::HashMap;

use super::{Link, RedisError};

/// What Redis says of itself. What it does not say, or does not let this user read, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its version.
    pub version: Option<String>,
    /// What it does when its memory is full (`maxmemory_policy`).
    pub eviction: Option<String>,
    /// Whether it writes a log of its commands (`aof_enabled`).
    pub log: Option<bool>,
    /// When it brings that log to the disk (`appendfsync`).
    pub sync: Option<String>,
    /// When it writes a snapshot (`save`); empty means never.
    pub save: Option<String>,
}

/// A sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Somebody should do something about it.
    pub warning: bool,
    /// The sentence.
    pub text: String,
}

/// The oldest version with sorted sets that can be waited for and all else that the layout uses.
const LEAST: (u32, u32) = (5, 0);

/// The oldest version that BullMQ's own programs are content with.
const RECOMMENDED: (u32, u32) = (6, 2);

impl Link {
    /// Asks Redis what it is.
    ///
    /// # Errors
    /// [`RedisError`]; [`RedisError::Version`] when it is too old.
    pub async fn check(&self) -> Result<Facts, RedisError> {
        // What it does not let us do at all is no fact that may be left out.
        self.probe().await?;
        let info = self.info().await?;
        let version = info.get("redis_version").cloned();
        if let Some(found) =
            version.as_ref().filter(|version| number(version).is_some_and(|found| found < LEAST))
        {
            return Err(RedisError::Version { found: found.clone() });
        }
        Ok(Facts {
            version,
            eviction: or(info.get("maxmemory_policy").cloned(), async || {
                self.setting("maxmemory-policy").await
            })
            .await?,
            log: info.get("aof_enabled").map(|enabled| enabled == "1"),
            sync: self.setting("appendfsync").await?,
            save: self.setting("save").await?,
        })
    }

    async fn info(&self) -> Result<HashMap<String, String>, RedisError> {
        let text: Option<String> = allowed(self.ask("INFO", &redis::cmd("INFO")).await)?;
        let text = text.unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    async fn setting(&self, name: &str) -> Result<Option<String>, RedisError> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(name);
        let found: Option<Vec<String>> = allowed(self.ask("CONFIG GET", &command).await)?;
        Ok(found.and_then(|pair| pair.into_iter().nth(1)))
    }
}

async fn or(
    known: Option<String>,
    other: impl AsyncFnOnce() -> Result<Option<String>, RedisError>,
) -> Result<Option<String>, RedisError> {
    match known {
        Some(known) => Ok(Some(known)),
        None => other().await,
    }
}

/// A command that this user may not give, or that a hosted Redis does not have, leaves a fact unknown.
fn allowed<T>(answer: Result<T, RedisError>) -> Result<Option<T>, RedisError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(RedisError::Denied { .. } | RedisError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(str::parse::<u32>);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

impl Facts {
    /// What a worker says of it when it starts.
    #[must_use]
    pub fn told(&self) -> Vec<Told> {
        let mut told = Vec::new();
        let version = self.version.as_deref().unwrap_or("of a version that it does not say");
        told.push(Told { warning: false, text: format!("Redis {version}: {}", self.guarantee()) });
        if self.version.as_deref().and_then(number).is_some_and(|found| found < RECOMMENDED) {
            let (major, minor) = RECOMMENDED;
            told.push(warning(format!(
                "Redis {version} is older than {major}.{minor}, which BullMQ recommends: the queue works, other programs \
                 on it may not"
            )));
        }
        match self.eviction.as_deref() {
            Some("noeviction") => {}
            Some(policy) => told.push(warning(format!(
                "Redis throws keys away when its memory is full (maxmemory-policy {policy}), and with them entries of the \
                 queue: `redis-cli CONFIG SET maxmemory-policy noeviction`, and the same in redis.conf"
            ))),
            None => told.push(warning(
                "Redis does not say what it does when its memory is full; the queue needs maxmemory-policy noeviction"
                    .to_owned(),
            )),
        }
        told
    }

    /// What survives a crash of Redis. A scan does in any case: it is in the database.
    fn guarantee(&self) -> String {
        let snapshots = self.save.as_deref().map(|save| !save.trim().is_empty());
        match (self.log, self.sync.as_deref(), snapshots) {
            (Some(true), Some("always"), _) => {
                "what it acknowledged survives its crash (appendfsync always)".to_owned()
            }
            (Some(true), Some("everysec"), _) => {
                "its crash loses up to about a second of what it acknowledged (appendfsync everysec)"
                    .to_owned()
            }
            (Some(true), sync, _) => format!(
                "its crash loses what the system had not written yet of its log (appendfsync {})",
                sync.unwrap_or("unknown")
            ),
            (Some(false), _, Some(true)) => format!(
                "its crash loses everything since its last snapshot (save {}, no append-only file)",
                self.save.as_deref().unwrap_or_default()
            ),
            (Some(false), _, Some(false)) => {
                "its end loses the whole queue (neither snapshots nor append-only file)".to_owned()
            }
            (Some(false), _, None) => {
                "no append-only file; whether it writes snapshots it does not let this user read (CONFIG GET)"
                    .to_owned()
            }
            (None, _, _) => "what survives its crash it does not let this user read (INFO)".to_owned(),
        }
    }
}

const fn warning(text: String) -> Told {
    Told { warning: true, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let text = |text: &str| Some(text.to_owned());
        Facts {
            version: text("7.0.15"),
            eviction: text("noeviction"),
            log: Some(true),
            sync: text("everysec"),
            save: text("3600 1"),
        }
    }

    #[test]
    fn the_persistence_is_told_in_one_sentence_of_what_is_lost() {
        let said = |log, sync: Option<&str>, save: Option<&str>| {
            let facts =
                Facts { log, sync: sync.map(str::to_owned), save: save.map(str::to_owned), ..facts() };
            let told = facts.told();
            assert_eq!(told.len(), 1, "{told:?}");
            told[0].text.clone()
        };
        for (log, sync, save, part) in [
            (Some(true), Some("always"), Some(""), "survives its crash"),
            (Some(true), Some("everysec"), Some(""), "about a second"),
            (Some(true), Some("no"), Some(""), "appendfsync no"),
            (Some(true), None, None, "appendfsync unknown"),
            (
                Some(false),
                Some("everysec"),
                Some("3600 1 300 100"),
                "since its last snapshot (save 3600 1 300 100",
            ),
            (Some(false), Some("everysec"), Some(""), "loses the whole queue"),
            (Some(false), None, None, "does not let this user read (CONFIG GET)"),
            (None, None, None, "does not let this user read (INFO)"),
        ] {
            assert!(
                said(log, sync, save).contains(part),
                "{log:?} {sync:?} {save:?}: {}",
                said(log, sync, save)
            );
        }
    }

    #[test]
    fn a_redis_that_throws_keys_away_or_is_old_is_warned_of_with_what_to_do() {
        let told = Facts { eviction: Some("allkeys-lru".to_owned()), ..facts() }.told();
        assert!(
            told[1].warning && told[1].text.contains("`redis-cli CONFIG SET maxmemory-policy noeviction`")
        );
        let told = Facts { version: Some("6.0.16".to_owned()), ..facts() }.told();
        assert!(told[1].warning && told[1].text.contains("older than 6.2"));
        let told = Facts { eviction: None, ..facts() }.told();
        assert!(told[1].warning && told[1].text.contains("does not say"));
    }
}
