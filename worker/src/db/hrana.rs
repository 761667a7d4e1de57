//! A database on another host: Hrana 3 over HTTP, as sqld and Turso speak it
//! (<https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md>).
//!
//! Spoken here and not by the `remote` feature of the libsql crate: that one cannot bind values in a batch, so that an
//! edge would cost four round trips; it waits for ever for an answer that does not come; and it brings a hyper of its
//! own, with an open advisory. What is spoken is small: `wire` has its words, `http` sends them, `stream` keeps to the
//! order in which a unit of work may say them, and `script` cuts a migration into statements.

mod http;
mod script;
mod stream;
pub(crate) mod wire;

pub(super) use http::Client;
pub(super) use stream::{Statement, Stream};
