//! safeurl: opens untrusted links in throw-away containers and says what is there and how dangerous it is.
//!
//! A supervisor takes jobs from a queue and runs each in a container of its own, which has no network card: its only way
//! out is a unix socket to a gateway process that dials only what it checked. The container prints a report and dies;
//! the analysis judges it; result, document and audit are stored together with the job's last edge. The bytes of a page
//! are never stored: who wants them asks `scan` for evidence.
//!
//! The database, a file or on a server, says what became of a job. The queue is that database itself, or BullMQ's in
//! Redis, which says when a job runs and is told second what the database has; what it misses is made good when the
//! entry is delivered again. What a crash leaves behind (a lease, the lock of an entry, an obligation row, a labelled
//! container, a folder of sockets) is found by the recovery of any worker of the installation.

pub mod analysis;
pub mod cli;
pub mod config;
mod db;
pub mod domain;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
#[path = "../../tests/fuzz/worker/targets.rs"]
pub mod fuzzing;
pub mod gateway;
pub mod health;
pub mod metrics;
pub mod moment;
pub mod queue;
pub mod sandbox;
pub mod shutdown;
pub mod span;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
