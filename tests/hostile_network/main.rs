//! A network that wants in: addresses in every spelling, names that lead inward, and redirects, through the whole
//! program.
//!
//! Everything runs in a network namespace in which every address is a listener of the test. What may be dialled
//! arrives there; what may not would arrive as well, so that nothing arriving says that nothing was sent. Needs root,
//! as network namespaces and the sockets of containers do.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

mod addresses;
mod island;
mod names;
mod program;
mod redirects;
mod resolving;
mod spellings;
mod web;
