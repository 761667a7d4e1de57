//! The connection to Redis that everything but the blocking wait shares.
//!
//! It is made anew when it broke; a call that was under way then fails, and is the caller's to repeat: whether it was
//! carried out is not known. While Redis is known to be away calls fail at once, with the reason, until the next try is
//! due; one caller then tries for all. Nothing here repeats a call.

mod backoff;
mod check;
mod dial;
mod error;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value};
use rustls::ClientConfig;
use tokio::sync::{Mutex as Gate, watch};
use tokio::time::{Instant, timeout};

pub(super) use backoff::Backoff;
pub use check::{Facts, Told};
pub(super) use dial::{Role, Wire};
pub use error::RedisError;

use super::keys::Keys;
use super::script::Operation;
use dial::Dialer;

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

/// How long one operation may take before its connection is given up. Our longest scripts take milliseconds; with a
/// Redis that is held up for this long nothing is lost by dialling again.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How Redis does.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It answered when it was last asked.
    Answers,
    /// It cannot be used.
    Silent {
        /// Why, without anything secret.
        reason: String,
        /// Since when.
        since: Instant,
    },
}

/// A connection that comes back.
pub struct Link {
    dialer: Dialer,
    keys: Keys,
    state: Mutex<State>,
    /// Held by the one that dials. The others wait for its outcome instead of dialling as well.
    dialling: Gate<()>,
    standing: watch::Sender<Standing>,
}

#[derive(Default)]
struct State {
    wire: Option<Arc<Wire>>,
    down: Option<Down>,
    backoff: Backoff,
}

/// Redis is away, and nobody asks it before this time.
struct Down {
    until: Instant,
    error: RedisError,
}

impl Link {
    /// Reads the address; connects when it is first used, in a Tokio runtime.
    ///
    /// # Errors
    /// [`RedisError::Address`].
    pub fn new(config: &RedisConfig, keys: Keys) -> Result<Self, RedisError> {
        Self::believing(config, keys, crate::tls::client)
    }

    /// The same with what it believes of certificates, asked only for an encrypted connection.
    fn believing(
        config: &RedisConfig,
        keys: Keys,
        certificates: impl FnOnce() -> ClientConfig,
    ) -> Result<Self, RedisError> {
        let dialer = Dialer::new(config, &keys, certificates)?;
        let standing = watch::Sender::new(Standing::Answers);
        Ok(Self { dialer, keys, state: Mutex::default(), dialling: Gate::new(()), standing })
    }

    /// The names of the queue's keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How Redis does, and news of it.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// The next call dials, however short ago the last one did so in vain: for who cannot wait much longer.
    pub(super) fn at_once(&self) {
        let mut state = self.state();
        state.down = None;
        state.backoff.reset();
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
        let mut call = operation.script().key(self.keys.base());
        for argument in arguments {
            call.arg(*argument);
        }
        let wire = self.wire().await?;
        let mut connection = wire.connection();
        let answer = timeout(DEADLINE, call.invoke_async::<Value>(&mut connection)).await;
        self.judge(&wire, operation.name, answer.ok())
    }

    /// Asks whether Redis answers and would take a write to this queue's keys. It changes nothing: writing no bytes into
    /// a text leaves it as it is, also when it is not there.
    ///
    /// # Errors
    /// [`RedisError`].
    pub async fn probe(&self) -> Result<(), RedisError> {
        let wire = self.wire().await?;
        self.probe_over(&wire).await
    }

    async fn probe_over(&self, wire: &Arc<Wire>) -> Result<(), RedisError> {
        let mut command = redis::cmd("SETRANGE");
        command.arg(self.keys.key("stalled-check")).arg(0).arg("");
        self.send::<i64>(wire, "write", &command).await.map(drop)
    }

    /// A command that is no script.
    async fn ask<T: FromRedisValue>(&self, operation: &'static str, command: &Cmd) -> Result<T, RedisError> {
        let wire = self.wire().await?;
        self.send(&wire, operation, command).await
    }

    async fn send<T: FromRedisValue>(
        &self,
        wire: &Arc<Wire>,
        operation: &'static str,
        command: &Cmd,
    ) -> Result<T, RedisError> {
        let mut connection = wire.connection();
        let answer = timeout(DEADLINE, command.query_async::<Value>(&mut connection)).await;
        self.judge(wire, operation, answer.ok())
    }

    /// A connection of one's own. It says nothing about how Redis does.
    pub(super) async fn dial(&self, role: Role) -> Result<Wire, RedisError> {
        self.dialer.dial(role).await
    }

    /// The connection, made if there is none.
    async fn wire(&self) -> Result<Arc<Wire>, RedisError> {
        if let Some(known) = self.known() {
            return known;
        }
        let _one = self.dialling.lock().await;
        if let Some(known) = self.known() {
            return known;
        }
        let dialled = match self.dialer.dial(Role::Calls).await {
            Ok(wire) => {
                let wire = Arc::new(wire);
                self.probe_over(&wire).await.map(|()| wire)
            }
            Err(error) => Err(error),
        };
        match dialled {
            Ok(wire) => {
                self.state().wire = Some(wire.clone());
                self.state().backoff.reset();
                self.answers();
                Ok(wire)
            }
            Err(error) => {
                self.down(error.clone());
                Err(error)
            }
        }
    }

    /// What there is without dialling; `None` when it is time to dial.
    fn known(&self) -> Option<Result<Arc<Wire>, RedisError>> {
        let state = self.state();
        if let Some(wire) = state.wire.as_ref().filter(|wire| !wire.is_closed()) {
            return Some(Ok(wire.clone()));
        }
        let down = state.down.as_ref().filter(|down| Instant::now() < down.until);
        down.map(|down| Err(down.error.clone()))
    }

    /// Reads an answer, and gives the connection up where it may not be used again.
    fn judge<T: FromRedisValue>(
        &self,
        wire: &Arc<Wire>,
        operation: &'static str,
        answer: Option<Result<Value, redis::RedisError>>,
    ) -> Result<T, RedisError> {
        let error = match answer {
            Some(Ok(value)) => match redis::from_redis_value_ref(&value) {
                Ok(answer) => return Ok(answer),
                Err(_) => RedisError::Answer { operation, found: error::shape(&value) },
            },
            Some(Err(source)) => RedisError::of(operation, source).of_queue(&self.keys),
            None => RedisError::Unavailable { source: None },
        };
        match &error {
            // Nobody can say any more whose answers come over it.
            RedisError::Answer { .. } => {
                wire.cut();
                self.forget(wire);
            }
            RedisError::Unavailable { .. } => self.forget(wire),
            RedisError::Refused { source, .. } if error::code(source) == Some("WRONGTYPE") => {
                self.forget(wire)
            }
            // Logging in anew tells whether that is all.
            RedisError::Denied { source, .. } if error::code(source) == Some("NOAUTH") => self.forget(wire),
            RedisError::Denied { .. }
            | RedisError::Refused { .. }
            | RedisError::Address { .. }
            | RedisError::Version { .. } => {}
            RedisError::Busy { .. } | RedisError::Cluster { .. } => {
                self.forget(wire);
                self.down(error.clone());
            }
        }
        Err(error)
    }

    /// The next call dials. Calls that are under way over it may still be answered.
    fn forget(&self, wire: &Arc<Wire>) {
        let mut state = self.state();
        if state.wire.as_ref().is_some_and(|current| Arc::ptr_eq(current, wire)) {
            state.wire = None;
        }
    }

    fn down(&self, error: RedisError) {
        let reason = error.one_line();
        let mut state = self.state();
        let until = Instant::now() + state.backoff.next();
        state.down = Some(Down { until, error });
        drop(state);
        self.standing.send_if_modified(|standing| match standing {
            Standing::Silent { .. } => false,
            Standing::Answers => {
                *standing = Standing::Silent { reason, since: Instant::now() };
                true
            }
        });
    }

    fn answers(&self) {
        self.state().down = None;
        self.standing.send_if_modified(|standing| match standing {
            Standing::Answers => false,
            Standing::Silent { .. } => {
                *standing = Standing::Answers;
                true
            }
        });
    }

    /// Nothing that holds it can panic half way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
