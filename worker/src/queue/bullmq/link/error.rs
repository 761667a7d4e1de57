//! What can go wrong with Redis, by what the caller can do about it.

use std::borrow::Cow;

use redis::{ErrorKind, Value};

use crate::queue::bullmq::keys::Keys;

/// Trouble with Redis. None of it repeats an address, a password or an argument.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// It answers that it cannot serve now. A retry may succeed; nothing was carried out.
    #[error("Redis {reason}")]
    Busy {
        /// Why, to stand after its name.
        reason: &'static str,
        /// What it says.
        source: redis::RedisError,
    },
    /// It does not let us. Lasts until somebody changes a setting.
    #[error("Redis does not let us {operation}; {cure}")]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// What to do about it.
        cure: Cow<'static, str>,
        /// What it says.
        source: redis::RedisError,
    },
    /// It is a node of a cluster, and the queue's keys are not all on it.
    #[error(
        "Redis is a node of a cluster that does not hold the queue; give queue.prefix a hash tag, such as \"{{bull}}\", \
         and name the node that holds it: redirections are not followed"
    )]
    Cluster {
        /// What it says.
        source: redis::RedisError,
    },
    /// It answers with an error.
    #[error("Redis refuses {operation}")]
    Refused {
        /// Which operation.
        operation: &'static str,
        /// What it says.
        source: redis::RedisError,
    },
    /// It is older than what the scripts need.
    #[error("Redis {found} is too old: the queue needs 5.0 or newer")]
    Version {
        /// Which it is.
        found: String,
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
        matches!(self, Self::Unavailable { .. } | Self::Busy { .. })
    }

    /// With its cause, on one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let cause = std::error::Error::source(self).map(ToString::to_string);
        cause.map_or_else(|| self.to_string(), |cause| format!("{self}: {cause}"))
    }

    /// What an error of the client means.
    pub(in crate::queue::bullmq) fn of(operation: &'static str, source: redis::RedisError) -> Self {
        match code(&source) {
            Some("NOAUTH") => Self::Denied {
                operation,
                cure: "it wants a password: set queue.redis_password".into(),
                source,
            },
            Some("WRONGPASS") => Self::Denied {
                operation,
                cure: "check queue.redis_user and queue.redis_password".into(),
                source,
            },
            Some("NOPERM") => Self::Denied {
                operation,
                cure: "its user needs every command but those of @admin, with the keys of the queue".into(),
                source,
            },
            Some("LOADING") => Self::Busy { reason: "is loading its data", source },
            Some("MASTERDOWN") => Self::Busy { reason: "is a replica without its master", source },
            Some("READONLY") => Self::Busy { reason: "is a replica, which takes no writes", source },
            Some("BUSY") => Self::Busy { reason: "is held up by somebody's script", source },
            Some("OOM") => Self::Busy { reason: "has reached its maxmemory", source },
            Some("MISCONF") => Self::Busy { reason: "cannot write to its disk", source },
            Some("NOREPLICAS") => Self::Busy { reason: "misses the replicas it must have", source },
            Some("CLUSTERDOWN" | "TRYAGAIN") => Self::Busy { reason: "is in a cluster that is down", source },
            Some("MOVED" | "ASK" | "CROSSSLOT") => Self::Cluster { source },
            _ if says(&source, "max number of clients") => {
                Self::Busy { reason: "has as many clients as it takes", source }
            }
            _ if says(&source, "DB index is out of range") => Self::Denied {
                operation,
                cure: "it has fewer: check queue.redis_db, or the number that queue.redis_url ends with"
                    .into(),
                source,
            },
            _ => Self::by_kind(operation, source),
        }
    }

    /// The same, with what to do about it told for this queue.
    pub(super) fn of_queue(self, keys: &Keys) -> Self {
        match self {
            Self::Denied { operation, source, .. } if code(&source) == Some("NOPERM") => {
                let prefix = keys.prefix();
                let cure = format!(
                    "its user needs the keys of the queue and its commands: ACL SETUSER <user> '~{prefix}:*' +@all -@admin"
                );
                Self::Denied { operation, cure: cure.into(), source }
            }
            other => other,
        }
    }

    fn by_kind(operation: &'static str, source: redis::RedisError) -> Self {
        match source.kind() {
            ErrorKind::Io => Self::Unavailable { source: Some(source) },
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                Self::Answer { operation, found: "what the protocol does not know".to_owned() }
            }
            _ => Self::Refused { operation, source },
        }
    }
}

/// Codes that a script's error carries inside: before Redis 7 it hid them behind where the script failed.
const INSIDE: [&str; 6] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS", "MASTERDOWN", "WRONGTYPE"];

fn says(error: &redis::RedisError, text: &str) -> bool {
    error.detail().is_some_and(|detail| detail.contains(text))
}

/// The error's code, also of an error inside a script.
pub(super) fn code(error: &redis::RedisError) -> Option<&str> {
    let (code, detail) = (error.code()?, error.detail().unwrap_or_default());
    if code != "ERR" {
        return Some(code);
    }
    if detail.contains("can't run this command or subcommand") || detail.contains("can't access at least one")
    {
        return Some("NOPERM");
    }
    // Before Redis 6 there was one password, and no code for a wrong one.
    if detail.contains("invalid password") {
        return Some("WRONGPASS");
    }
    INSIDE.into_iter().find(|code| detail.contains(&format!("-{code} "))).or(Some(code))
}

/// What a value is, without what it says: payloads are in it.
pub(super) fn shape(value: &Value) -> String {
    match value {
        Value::Nil => "nothing".to_owned(),
        Value::Int(_) => "a number".to_owned(),
        Value::BulkString(bytes) => format!("a text of {} bytes", bytes.len()),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::SimpleString(_) | Value::Okay => "a status".to_owned(),
        _ => "something else".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the client makes it of a line of the protocol.
    fn said(line: &str) -> RedisError {
        let value =
            redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("a line of the protocol");
        let error = value.extract_error().expect_err("an error");
        RedisError::of("take", error).of_queue(&Keys::new("{scans}", "scan-jobs"))
    }

    #[test]
    fn what_a_setting_cures_lasts_and_says_the_cure() {
        for (line, cure) in [
            ("NOAUTH Authentication required.", "queue.redis_password"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "queue.redis_user"),
            ("ERR invalid password", "queue.redis_password"),
            ("NOPERM this user has no permissions to run the 'evalsha' command", "'~{scans}:*'"),
            (
                "ERR Error running script (call to f_0): @user_script:1: The user executing the script can't run this \
                 command or subcommand",
                "ACL SETUSER",
            ),
            ("ERR DB index is out of range", "queue.redis_db"),
            ("MOVED 3999 127.0.0.1:6381", "hash tag"),
            ("CROSSSLOT Keys in request don't hash to the same slot", "hash tag"),
        ] {
            let error = said(line);
            assert!(!error.is_transient(), "{line}: {error:?}");
            assert!(error.to_string().contains(cure), "{line}: {error}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_transient_and_says_what_is_waited_for() {
        for (line, reason) in [
            ("LOADING Redis is loading the dataset in memory", "is loading its data"),
            ("MASTERDOWN Link with MASTER is down", "replica without its master"),
            ("READONLY You can't write against a read only replica.", "takes no writes"),
            ("BUSY Redis is busy running a script.", "somebody's script"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"),
            ("ERR Error running script (call to f_0): @user_script:1: -OOM command not allowed", "maxmemory"),
            (
                "ERR Error running script (call to f_0): @user_script: 1: -READONLY You can't write",
                "takes no writes",
            ),
            ("MISCONF Redis is configured to save RDB snapshots", "its disk"),
            ("CLUSTERDOWN The cluster is down", "cluster that is down"),
            ("ERR max number of clients reached", "as many clients"),
        ] {
            let error = said(line);
            assert!(error.is_transient(), "{line}: {error:?}");
            assert!(error.to_string().contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn any_other_error_is_the_operations_and_lasts() {
        let error = said("ERR user_script:1: attempt to index a nil value");
        assert!(matches!(error, RedisError::Refused { operation: "take", .. }), "{error:?}");
        assert!(!error.is_transient());
    }
}
