//! What came of a container, from what it said and how it stopped.
//!
//! Pure. One place decides which of several truths counts: a whole report before everything but the caller's
//! own cancel, the reason it was killed before the exit code that the killing caused.

use safeurl_protocol::exit;

use super::Outcome;
use super::output::{Fault, Output, Progress};

/// Why the conversation with a container is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its report is whole; how it ends does not matter.
    Reported,
    /// The caller asked.
    Cancelled,
    /// Its time is over.
    Deadline,
    /// Its output can become nothing any more.
    Fault,
    /// It closed its output and did not exit.
    Lingered,
    /// It exited with this code; the kernel may have killed it for its memory.
    Exited { code: i64, oom: bool },
    /// How it ended is not known.
    Lost { reason: String },
    /// It goes on, and is not ours any more.
    Disowned,
}

/// The one outcome. `dead` is an error text when a container that had to be killed is not known to be dead.
pub(super) fn outcome(stop: Stop, said: Output, dead: Result<(), String>) -> Outcome {
    let silent = said.progress() == Progress::Ready;
    let fault = match (said.finish(), &stop) {
        (_, Stop::Disowned) => return Outcome::Disowned,
        (_, Stop::Cancelled) => None,
        (Ok(report), _) => return Outcome::Reported(report),
        (Err(fault), _) => Some(fault),
    };
    if let Err(reason) = dead {
        return Outcome::Lost { reason };
    }
    match (stop, fault) {
        (Stop::Disowned, _) => Outcome::Disowned,
        (Stop::Cancelled, _) | (_, None) => Outcome::Cancelled,
        // Only a whole report makes this stop, and that has been returned.
        (Stop::Reported, Some(Fault::Invalid(reason))) => Outcome::Invalid { reason },
        (_, Some(Fault::TooLarge)) => Outcome::TooLarge,
        (Stop::Exited { oom: true, .. }, _) => Outcome::OutOfMemory,
        (Stop::Deadline, _) => Outcome::TimedOut,
        (Stop::Lost { reason }, _) => Outcome::Lost { reason },
        (Stop::Fault | Stop::Lingered, Some(Fault::Invalid(reason))) => Outcome::Invalid { reason },
        (Stop::Exited { code, .. }, Some(Fault::Invalid(reason))) => {
            if code == i64::from(exit::REPORTED) {
                Outcome::Invalid { reason }
            } else if code == i64::from(exit::NO_JOB) && silent {
                Outcome::NoJob
            } else {
                Outcome::Crashed { code }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::super::output::hex;
    use super::*;

    /// Ready and handed over, then so much more on standard output.
    fn said(more: &str) -> Output {
        let mut output = Output::new(100);
        output.stdout(b"{\"ready\":1,\"protocol\":2}\n");
        output.expect("a/1");
        output.stdout(more.as_bytes());
        output
    }

    fn report() -> String {
        let sha256 = hex(&Sha256::digest(b"{}"));
        format!("{{\"report\":1,\"attempt\":\"a/1\",\"bytes\":2,\"sha256\":\"{sha256}\"}}\n{{}}")
    }

    fn exited(code: i64) -> Stop {
        Stop::Exited { code, oom: false }
    }

    fn invalid(reason: &str) -> Outcome {
        Outcome::Invalid { reason: reason.to_owned() }
    }

    #[test]
    fn a_whole_report_counts_however_the_container_ended() {
        let stops = [
            Stop::Reported,
            Stop::Deadline,
            Stop::Lingered,
            exited(0),
            exited(255),
            Stop::Exited { code: 137, oom: true },
            Stop::Lost { reason: "silence".to_owned() },
        ];
        for stop in stops {
            for dead in [Ok(()), Err("engine down".to_owned())] {
                assert_eq!(
                    outcome(stop.clone(), said(&report()), dead),
                    Outcome::Reported(b"{}".to_vec()),
                    "{stop:?}"
                );
            }
        }
    }

    #[test]
    fn a_cancelled_container_has_no_report() {
        assert_eq!(outcome(Stop::Cancelled, said(&report()), Ok(())), Outcome::Cancelled);
        assert_eq!(outcome(Stop::Cancelled, said(""), Ok(())), Outcome::Cancelled);
    }

    #[test]
    fn output_after_the_report_is_not_read() {
        for more in ["\n", "more", "\n{\"report\":1", "\n\n"] {
            let text = report() + more;
            for stop in [Stop::Reported, exited(0)] {
                assert_eq!(outcome(stop, said(&text), Ok(())), Outcome::Reported(b"{}".to_vec()), "{more:?}");
            }
        }
    }

    #[test]
    fn without_a_report_the_way_it_stopped_decides() {
        let large = "{\"report\":1,\"attempt\":\"a/1\",\"bytes\":101,\"sha256\":\"\"}\n";
        let cases = [
            (exited(0), "", invalid("there is no report")),
            (exited(10), "", Outcome::NoJob),
            (exited(10), "{", Outcome::Crashed { code: 10 }),
            (exited(64), "", Outcome::Crashed { code: 64 }),
            (exited(139), "{", Outcome::Crashed { code: 139 }),
            (exited(137), "", Outcome::Crashed { code: 137 }),
            (Stop::Exited { code: 137, oom: true }, "", Outcome::OutOfMemory),
            (Stop::Deadline, "", Outcome::TimedOut),
            (Stop::Deadline, "{\"report\"", Outcome::TimedOut),
            (Stop::Lingered, "", invalid("there is no report")),
            (Stop::Fault, "hello\n", invalid("the line after the ready line is not a header")),
            (Stop::Fault, large, Outcome::TooLarge),
            (exited(0), large, Outcome::TooLarge),
            (Stop::Lost { reason: "silence".to_owned() }, "", Outcome::Lost { reason: "silence".to_owned() }),
        ];
        for (stop, text, expected) in cases {
            assert_eq!(outcome(stop.clone(), said(text), Ok(())), expected, "{stop:?} after {text:?}");
        }
    }

    #[test]
    fn a_container_that_may_still_run_is_lost() {
        for stop in [Stop::Cancelled, Stop::Deadline, Stop::Fault, Stop::Lingered] {
            let lost = Outcome::Lost { reason: "engine down".to_owned() };
            assert_eq!(outcome(stop, said(""), Err("engine down".to_owned())), lost);
        }
    }
}
