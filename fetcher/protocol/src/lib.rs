//! The wire between the worker and the program inside the container.
//!
//! Both sides of the trust boundary use these types and nothing else: the [`Invocation`] goes in on
//! stdin, a [`Report`] framed by [`frame`] comes out on stdout, and the egress gateway writes
//! [`ledger`] lines about what really left the machine. The report is a claim; the ledger is what we
//! saw. Nothing in here reads, writes, hashes or decides: it only names shapes and limits.

#![warn(missing_docs)]

mod error_class;
pub mod exit;
pub mod frame;
mod invocation;
pub mod ledger;
pub mod probe;
mod report;

pub use error_class::ErrorClass;
pub use invocation::{Bridge, Egress, Invocation, MAX_INVOCATION_BYTES, Method, SOCKET_PATH};
pub use report::{
    Certificate, Content, Embedded, EmbeddedKind, Exchange, Favicon, Features, Form, FormInput, Frame,
    Header, HopError, Link, Links, PhoneText, PossibleRedirect, Purpose, Redirect, RedirectKind,
    RedirectMeans, Report, RobotsDecision, RobotsSource, Script, SideRequest, TextStatistics, Timings, Tls,
    Usage,
};

/// The version of everything in this crate; worker and image must carry the same number.
pub const PROTOCOL: u32 = 2;

/// The version of the scan document's shape, carried by every report and every document.
pub const SCHEMA: u32 = 1;
