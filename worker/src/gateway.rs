//! The only way out of a container: a process of its own that resolves names, checks every address and dials
//! only what it checked.
//!
//! The supervisor holds a [`Gateway`] and opens one [`Door`] per container: a unix socket in a folder that is
//! mounted into it. A door that is not bound to an attempt answers nobody. Bound, it speaks HTTP CONNECT, keeps to
//! the attempt's budgets and appends what it saw to a ledger file; the binding ends with the attempt and is never
//! replaced. The process keeps bound doors open until their deadlines when its supervisor dies: the lock on a
//! ledger file tells a gateway that lives from one that is gone. The worker that goes on with such a job holds an
//! [`AdoptedDoor`]. Dropping the last [`Gateway`] has the same effect as the death of the supervisor. Nothing in here reads settings, and no row or payload reaches the policy.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use safeurl_egress::Network;

mod adopted;
mod binding;
mod budget;
mod channel;
pub mod check;
mod checked;
mod handle;
mod journal;
mod lockdown;
pub(crate) mod message;
mod pace;
pub mod process;
mod race;
pub(crate) mod record;
pub mod request;
mod resolv_conf;
mod resolve;
mod tunnel;
mod user;

pub use adopted::AdoptedDoor;
pub use budget::Budgets;
pub use handle::{Door, Gateway, GatewayEvent};
pub use record::{DoorFiles, is_locked, leftovers, read_ledger};

/// What a gateway is started with.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The program whose hidden command `gateway` is the process; normally this very binary.
    pub program: PathBuf,
    /// Where sockets and ledgers are kept; made with mode 0700 when missing.
    pub run_dir: PathBuf,
    /// The user the process runs as, by name, uid or uid:gid; neither root nor a container's. `None`: uid 60599 where
    /// root starts it, else who starts it.
    pub user: Option<String>,
    /// Networks that may be dialled on any port although the rules would deny them.
    pub allow_networks: Vec<Network>,
    /// Judge addresses inside the well-known NAT64 prefix by the IPv4 address they embed.
    pub nat64_recheck: bool,
    /// DNS servers; empty: those of `/etc/resolv.conf`, read once.
    pub resolvers: Vec<SocketAddr>,
    /// Names with a fixed address, which is checked like a resolved one.
    pub hosts: BTreeMap<String, IpAddr>,
    /// How long one name may take.
    pub dns_timeout: Duration,
    /// How long connecting may take, over all addresses of a name.
    pub connect_timeout: Duration,
}

impl GatewayError {
    /// Whether a gateway that is started anew may do better: the process died or went silent, but it could be started.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Died | Self::NoAnswer { .. } | Self::Control { .. } => true,
            Self::User { .. }
            | Self::Files { .. }
            | Self::Start { .. }
            | Self::Refused { .. }
            | Self::Spoiled
            | Self::NotControlled => false,
        }
    }
}

/// Why a gateway did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The process cannot run as the user it should.
    #[error("cannot run the gateway as user {user}: {reason}")]
    User {
        /// As it was given, or the number of the program's own.
        user: String,
        /// What stands against it.
        reason: String,
    },
    /// A folder, socket or ledger file cannot be made or read.
    #[error("cannot use {path}")]
    Files {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The process could not be started.
    #[error("cannot start the gateway process {program}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The process is gone.
    #[error("the gateway process is gone")]
    Died,
    /// The process did not answer in time.
    #[error("the gateway process did not acknowledge '{command}' within {seconds} s")]
    NoAnswer {
        /// What was asked.
        command: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// The process said no.
    #[error("the gateway refused '{command}': {reason}")]
    Refused {
        /// What was asked.
        command: &'static str,
        /// Its words.
        reason: String,
    },
    /// A door cannot be bound any more.
    #[error("the container used its gateway socket before it had a job")]
    Spoiled,
    /// `safeurl gateway` was started by something else than a supervisor.
    #[error("standard input is not a control socket; only a worker can start this command")]
    NotControlled,
    /// The control socket broke, or said something else than this version understands.
    #[error("cannot use the control socket")]
    Control {
        /// The cause.
        source: io::Error,
    },
}
