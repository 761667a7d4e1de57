//! Which addresses and ports safeurl may dial.
//!
//! Everything that is not globally routable is denied, by tables that follow the IANA registries ([`table`]),
//! and so is every IPv4 address inside an IPv6 one. An operator's allowed networks win over every denial. The
//! crate owns the rules and their stable names; it reads addresses in every spelling ([`literal`]), but it
//! resolves nothing, connects to nothing and uses nothing beyond the standard library.

#![warn(missing_docs)]

mod literal;
mod network;
mod policy;
mod port;
pub mod table;

pub use literal::{literal, looks_numeric};
pub use network::{Network, NetworkError};
pub use policy::{Decision, Policy};
pub use port::is_bad_port;
