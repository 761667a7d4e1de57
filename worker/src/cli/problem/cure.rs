//! What to do about an error that nobody said more about: by what it is, wherever it happened.

use std::error::Error;
use std::io;

use crate::config::ConfigError;
use crate::gateway::GatewayError;
use crate::health::HealthError;
use crate::queue::bullmq::RedisError;
use crate::sandbox::SandboxError;
use crate::sandbox::image::ImageError;
use crate::store::{DbError, StoreError};
use crate::supervisor::StartError;

/// The cure for a cause, if there is one to tell.
pub(super) fn of(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return of_store(error);
    }
    if let Some(error) = cause.downcast_ref::<DbError>() {
        return of_db(error);
    }
    if let Some(error) = cause.downcast_ref::<ConfigError>() {
        return Some(of_config(error));
    }
    if let Some(error) = cause.downcast_ref::<ImageError>() {
        return of_image(error);
    }
    if let Some(error) = cause.downcast_ref::<SandboxError>() {
        return Some(of_engine(error));
    }
    if let Some(error) = cause.downcast_ref::<RedisError>() {
        return of_redis(error);
    }
    if let Some(StartError::Walls { .. }) = cause.downcast_ref() {
        return Some("`safeurl doctor` shows each with a cure; sandbox.accept names what may be missing");
    }
    if let Some(HealthError::Listen { source, .. }) = cause.downcast_ref() {
        return Some(of_listening(source.kind()));
    }
    if let Some(error) = cause.downcast_ref::<GatewayError>() {
        return Some(match error {
            GatewayError::NotControlled => "`safeurl worker` and `safeurl scan` start it",
            GatewayError::User { .. } => {
                "gateway.user names the user of the gateway's process; a worker that is not root leaves it empty"
            }
            _ => "`safeurl doctor` tries the gateway; sandbox.run_dir names the folder of its sockets",
        });
    }
    cause.downcast_ref::<io::Error>().and_then(of_io)
}

const fn of_listening(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "another program listens there, such as another worker: name another port by --health"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: name one that it has by --health, such as 127.0.0.1:9464"
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not listen there; ports below 1024 are root's: name a higher one by --health"
        }
        _ => "name another address of this machine by --health",
    }
}

fn of_store(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Db(error) => of_db(error),
        StoreError::NotMigrated => {
            Some("run `safeurl db migrate`; the database stays usable by the program it belongs to")
        }
        StoreError::NotPrepared => {
            Some("run `safeurl db migrate` once, while no worker of another version runs")
        }
        StoreError::NewerSchema { .. } => Some("use a newer safeurl, or name another database by --database"),
        StoreError::Row { .. } => Some("`safeurl jobs list` shows the other jobs; the row is left as it is"),
        StoreError::UnknownWorker { .. }
        | StoreError::ContainerTaken { .. }
        | StoreError::NoUserId
        | StoreError::Unfit { .. } => None,
    }
}

fn of_db(error: &DbError) -> Option<&'static str> {
    const ANOTHER: &str = "--database or SAFEURL_DATABASE_URL names another, such as file:./local.db";
    match error {
        DbError::Location { .. } => Some(ANOTHER),
        DbError::NotFound { .. } => {
            Some("`safeurl db migrate` makes it; --database or SAFEURL_DATABASE_URL names another")
        }
        DbError::Unusable { .. } => {
            Some("make its folder, or let this user read and write it; --database names another")
        }
        DbError::NotWritable { .. } => {
            Some("let this user write to the file and its folder; --database names another")
        }
        DbError::Busy { .. } => Some("another program keeps it locked; end that one, or try again later"),
        DbError::Unavailable { .. } | DbError::Unanswered { .. } => {
            Some("look whether the disk is full or failing, or the server cannot be reached, and try again")
        }
        DbError::Denied { .. } => Some("set TURSO_AUTH_TOKEN to a token that may write to this database"),
        DbError::Absent { .. } => Some("check the address; --database or SAFEURL_DATABASE_URL names another"),
        DbError::Untrusted { .. } => {
            Some("check the address; SSL_CERT_FILE names a file of the authorities to believe")
        }
        DbError::Moved { .. } => Some("put the file back, or start again with the one that is there now"),
        DbError::Corrupt { .. } => Some("bring back a copy of the file, or name another by --database"),
        DbError::Rejected { .. } | DbError::Column { .. } | DbError::Ended => None,
        DbError::Statement { .. } => Some("`safeurl db status` says whose tables these are"),
        DbError::NoWal { .. } => Some("keep the database on a local disk; --database names another place"),
    }
}

const fn of_redis(error: &RedisError) -> Option<&'static str> {
    match error {
        RedisError::Address { .. } => Some(
            "write it as redis://user:password@host:port/number, and in the password %25 for %, %40 for @, %23 for #, \
             %2F for /, %3F for ?; or set REDIS_HOST, REDIS_PORT and REDIS_PASSWORD, where all is taken as it stands",
        ),
        RedisError::Unavailable { .. } => Some(
            "start it, or name another by REDIS_URL; rediss:// is for a Redis that speaks TLS, redis:// for one that \
             does not",
        ),
        RedisError::Busy { .. } => Some("look at its log, or name another by REDIS_URL"),
        RedisError::Version { .. } => Some("use a newer Redis, or name another by REDIS_URL"),
        // These say it themselves.
        RedisError::Denied { .. } | RedisError::Cluster { .. } => None,
        RedisError::Refused { .. } | RedisError::Answer { .. } => {
            Some("look whether it is a Redis, and the queue's keys are those of BullMQ")
        }
    }
}

fn of_config(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Unreadable { .. } => {
            "--config names another file; without it ./safeurl.toml is read if it is there"
        }
        ConfigError::Syntax { .. } => "the file is TOML; config/safeurl.toml shows every setting",
        ConfigError::Invalid(_) => "`safeurl config show` prints every setting with its value and origin",
    }
}

fn of_image(error: &ImageError) -> Option<&'static str> {
    match error {
        ImageError::Stage { .. } => Some("name a folder that you may write to"),
        ImageError::Build { .. } => Some("the engine's log says more; `safeurl doctor` says what is missing"),
        ImageError::Engine(error) => Some(of_engine(error)),
        // These name the command that mends them where they are told.
        ImageError::NothingEmbedded
        | ImageError::Missing { .. }
        | ImageError::NotOurs { .. }
        | ImageError::WrongProtocol { .. } => None,
    }
}

fn of_engine(error: &SandboxError) -> &'static str {
    match error {
        SandboxError::Unavailable { .. } => crate::cli::image::ENGINE_HINT,
        SandboxError::TooOld { .. } => "use Docker 20.10 or newer, or name another engine by DOCKER_HOST",
        _ => "`safeurl doctor` says what is missing",
    }
}

fn of_io(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::NotFound => Some("check the name, and the folder that it is looked for in"),
        io::ErrorKind::PermissionDenied => Some("let this user read and write it, or name another"),
        io::ErrorKind::StorageFull => Some("the disk is full"),
        io::ErrorKind::IsADirectory => Some("name a file; this is a folder"),
        _ => None,
    }
}
