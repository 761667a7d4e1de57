//! What supervisor and gateway process say to each other: one JSON object a packet.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::budget::Budgets;
use super::user::Ids;

/// An order of the supervisor, answered by a [`Report`] with the same number.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    pub(crate) number: u64,
    pub(crate) command: Command,
}

/// What is ordered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Command {
    /// Always the first, and only once.
    Configure(Settings),
    /// Comes with two descriptors: the listening socket and the ledger file.
    Open { door: String, uid: u32 },
    /// Serves the door for one attempt.
    Bind { door: String, attempt: String, budgets: Budgets },
    /// Ends the door, bound or not; a door that is gone already is closed.
    Close { door: String },
}

impl Command {
    /// A word for messages.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Configure(_) => "configure",
            Self::Open { .. } => "open",
            Self::Bind { .. } => "bind",
            Self::Close { .. } => "close",
        }
    }
}

/// The part of the configuration that the process needs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) allow_networks: Vec<String>,
    pub(crate) nat64_recheck: bool,
    pub(crate) resolvers: Vec<SocketAddr>,
    pub(crate) hosts: BTreeMap<String, IpAddr>,
    pub(crate) dns_timeout_ms: u64,
    pub(crate) connect_timeout_ms: u64,
    /// The user whose workers may end bindings.
    pub(crate) owner: u32,
    /// The user to become; without one it stays who it is.
    pub(crate) user: Option<Ids>,
}

/// What the process says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Report {
    /// The order was carried out.
    Done { number: u64 },
    /// The order was not carried out.
    Refused { number: u64, reason: String },
    /// The door is not bound: its container used it before. For whoever gives out jobs that is another matter than any
    /// other refusal, for the container is to blame and another one of the same image may do the same.
    Spoiled { number: u64 },
    /// It gave up what it does not need; said once, before it is configured. How the kernel keeps files from it.
    LockedDown { files: String },
    /// Somebody connected to a door that is not bound.
    TouchedUnbound { door: String },
}
