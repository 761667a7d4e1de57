//! Where due jobs come from. Says that one is likely there and takes it for a container; what becomes of a job
//! afterwards is the store's and the supervisor's business.

mod embedded;
mod watch;

pub use embedded::EmbeddedQueue;
