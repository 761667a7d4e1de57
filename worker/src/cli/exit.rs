//! Exit codes: the contract with scripts.

use std::process::ExitCode;

use crate::shutdown::Signal;

/// Shown under `safeurl --help`.
pub const HELP: &str = "\
Exit codes:
  0        all well; also a worker that drained completely
  1        a scan ended FAILED or TIMED_OUT, or the operation failed
  2        usage or configuration; also a bad line in a list of URLs, after the rest was taken
  3        --fail-on was reached (wins over 1 and 2)
  130/143  aborted by SIGINT/SIGTERM (129: SIGHUP); a scan ends so at its first signal";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All well.
    Done,
    /// A scan ended FAILED or TIMED_OUT, or the operation failed.
    Failed,
    /// What was asked for cannot be asked for.
    Usage,
    /// `--fail-on` was reached.
    Reached,
    /// Stopped by a signal before it was done.
    Aborted(Signal),
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Reached => 3,
            Self::Aborted(signal) => signal.exit_code(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_the_help_promises() {
        let all = [
            (Exit::Done, "0"),
            (Exit::Failed, "1"),
            (Exit::Usage, "2"),
            (Exit::Reached, "3"),
            (Exit::Aborted(Signal::Interrupt), "130/143"),
            (Exit::Aborted(Signal::Terminate), "130/143"),
        ];
        for (exit, promised) in all {
            assert!(promised.split('/').any(|code| code == exit.code().to_string()), "{exit:?}");
            assert!(HELP.lines().any(|line| line.split_whitespace().next() == Some(promised)), "{promised}");
        }
        assert_ne!(all[4].0.code(), all[5].0.code());
    }
}
