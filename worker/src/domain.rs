//! The words of safeurl and the rules that hold between them: jobs, states, targets, failures, verdicts and
//! the scan document. Everything in here is a value or a pure function; nothing waits, reads a clock, knows
//! SQL or Docker. Text from outside becomes one of these types in exactly one fallible constructor.

pub mod delivery;
pub mod document;
pub mod failure;
pub mod retry_after;
pub mod scan;
pub mod state;
pub mod target;
pub mod timestamp;
pub mod verdict;
