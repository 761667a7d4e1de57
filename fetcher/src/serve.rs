//! The supervisor's side door: a ready line, one invocation on stdin, one framed report on stdout.
//!
//! Nothing else is ever printed on stdout, and stdin is not read after the newline, so that a job
//! outlives the supervisor that started it. End of file before a job is how a waiting container learns
//! that nobody needs it any more.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use safeurl_protocol::frame::{Ready, ReportHeader};
use safeurl_protocol::{Invocation, MAX_INVOCATION_BYTES, Report, exit};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::plan::Plan;
use crate::report;

/// What came in on stdin.
#[derive(Debug, PartialEq)]
pub(crate) enum Line<T> {
    Job(Box<T>),
    Nothing,
    Bad(String),
}

/// Serves one job. A broken stdout is a crash: there is nobody to report to.
pub(crate) fn run(input: impl BufRead, mut output: impl Write) -> ExitCode {
    match serve(input, &mut output) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("safeurl-fetcher: cannot serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(input: impl BufRead, output: &mut impl Write) -> io::Result<u8> {
    write_line(output, &Ready::current())?;
    output.flush()?;
    let invocation: Invocation = match read_line(input)? {
        Line::Job(invocation) => *invocation,
        Line::Nothing => return Ok(exit::NO_JOB),
        Line::Bad(message) => return Ok(refuse(&message)),
    };
    let begun = Instant::now();
    let plan = match Plan::new(invocation) {
        Ok(plan) => plan,
        Err(error) => return Ok(refuse(&error.to_string())),
    };
    write_report(output, &report::make(&plan, begun)?)?;
    Ok(exit::REPORTED)
}

pub(crate) fn refuse(message: &str) -> u8 {
    eprintln!("safeurl-fetcher: bad invocation: {message}");
    exit::BAD_INVOCATION
}

/// The one line that comes in.
pub(crate) fn read_line<T: DeserializeOwned>(input: impl BufRead) -> io::Result<Line<T>> {
    let mut line = Vec::new();
    input.take(MAX_INVOCATION_BYTES as u64).read_until(b'\n', &mut line)?;
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Ok(if line.len() < MAX_INVOCATION_BYTES {
            Line::Nothing
        } else {
            Line::Bad(format!("longer than {MAX_INVOCATION_BYTES} bytes"))
        });
    }
    Ok(match serde_json::from_slice(&line) {
        Ok(invocation) => Line::Job(Box::new(invocation)),
        Err(error) => Line::Bad(error.to_string()),
    })
}

fn write_report(output: &mut impl Write, report: &Report) -> io::Result<()> {
    write_framed(output, &report.attempt, report)
}

/// An answer behind its header.
pub(crate) fn write_framed(
    output: &mut impl Write,
    attempt: &str,
    answer: &impl serde::Serialize,
) -> io::Result<()> {
    let json = serde_json::to_vec(answer)?;
    let header = ReportHeader {
        report: 1,
        attempt: attempt.to_owned(),
        bytes: json.len() as u64,
        sha256: report::sha256(&json),
    };
    write_line(output, &header)?;
    output.write_all(&json)?;
    output.write_all(b"\n")?;
    output.flush()
}

/// One line of JSON.
pub(crate) fn write_line(output: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_file_before_the_newline_is_no_job() {
        for text in ["", "{", "{\"attempt\":\"x\"}"] {
            assert_eq!(
                read_line::<Invocation>(text.as_bytes()).expect("readable"),
                Line::Nothing,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_line_that_is_too_long_or_no_invocation_is_bad() {
        for text in ["\n".to_owned(), "{}\n".to_owned(), "x".repeat(MAX_INVOCATION_BYTES + 1)] {
            assert!(matches!(read_line::<Invocation>(text.as_bytes()).expect("readable"), Line::Bad(_)));
        }
    }
}
