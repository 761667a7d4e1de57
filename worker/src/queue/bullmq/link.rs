//! The connection to Redis that everything but the blocking wait shares. It is made anew when it broke, with a jittered
//! backoff; a call that was under way then fails and is the caller's to repeat.

use std::time::Duration;

use redis::FromRedisValue;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::keys::Keys;
use super::script::Operation;

/// Where Redis is.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://`, `rediss://` or `unix://`, with user, password and database number.
    pub url: String,
    /// The name of this client's connections in `CLIENT LIST`; without spaces.
    pub name: String,
}

impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisConfig").field("url", &"***").field("name", &self.name).finish()
    }
}

/// Trouble with Redis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The setting is wrong.
    #[error("cannot read the address of Redis")]
    Address {
        /// What is wrong with it.
        source: redis::RedisError,
    },
    /// It does not answer. A retry may succeed; whether the call was carried out is not known.
    #[error("Redis does not answer")]
    Unavailable {
        /// What the client says; `None` when time ran out.
        source: Option<redis::RedisError>,
    },
    /// It answers with an error.
    #[error("Redis refuses {operation}")]
    Refused {
        /// Which operation.
        operation: &'static str,
        /// What it says.
        source: redis::RedisError,
    },
    /// It answers with something that the operation cannot have said.
    #[error("Redis answers {operation} with {found}")]
    Answer {
        /// Which operation.
        operation: &'static str,
        /// What was found.
        found: String,
    },
}

impl RedisError {
    /// Whether the same call may succeed later with nothing changed about it.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// How long one operation may take before its connection is given up.
const DEADLINE: Duration = Duration::from_secs(5);

/// A connection that comes back.
pub struct Link {
    client: redis::Client,
    keys: Keys,
    connection: Mutex<Option<redis::aio::MultiplexedConnection>>,
}

impl Link {
    /// Reads the address; connects when it is first used.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub fn new(config: &RedisConfig, keys: Keys) -> Result<Self, RedisError> {
        let client =
            redis::Client::open(config.url.as_str()).map_err(|source| RedisError::Address { source })?;
        Ok(Self { client, keys, connection: Mutex::new(None) })
    }

    /// The names of the queue's keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Carries an operation out.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn run<T: FromRedisValue>(
        &self,
        operation: &Operation,
        arguments: &[&str],
    ) -> Result<T, RedisError> {
        let unavailable = |source| RedisError::Unavailable { source: Some(source) };
        let mut held = self.connection.lock().await;
        let mut connection = match held.as_ref() {
            Some(connection) => connection.clone(),
            None => {
                let fresh = self.client.get_multiplexed_async_connection().await.map_err(unavailable)?;
                held.insert(fresh).clone()
            }
        };
        drop(held);
        let mut call = operation.script().key(self.keys.base());
        for argument in arguments {
            call.arg(*argument);
        }
        match timeout(DEADLINE, call.invoke_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(RedisError::Refused { operation: operation.name, source }),
            Err(_) => Err(RedisError::Unavailable { source: None }),
        }
    }
}
