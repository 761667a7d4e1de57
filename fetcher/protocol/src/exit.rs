//! Exit codes of the fetcher. Every other code means that it crashed.

/// A report was written, whatever it says.
pub const REPORTED: u8 = 0;

/// Standard input ended before a job arrived: the supervisor of a waiting container died. Not an attempt.
pub const NO_JOB: u8 = 10;

/// The invocation could not be understood (EX_USAGE of sysexits.h).
pub const BAD_INVOCATION: u8 = 64;
