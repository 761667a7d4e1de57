//! The program as a person runs it: one fetch, the report indented on stdout, complaints on stderr.

use std::io::Write as _;
use std::process::ExitCode;

use safeurl_protocol::{Invocation, exit};
use tokio::time::Instant;

use crate::args::{Misuse, USAGE};
use crate::plan::Plan;
use crate::report;

/// Fetches and prints the report, indented.
pub(crate) fn run(invocation: Invocation) -> ExitCode {
    let begun = Instant::now();
    let plan = match Plan::new(invocation) {
        Ok(plan) => plan,
        Err(error) => return misuse(&Misuse(error.to_string())),
    };
    let text = report::make(&plan, begun).and_then(|report| {
        serde_json::to_vec_pretty(&report).map_err(std::io::Error::from).map(|mut text| {
            text.push(b'\n');
            text
        })
    });
    let printed = text.and_then(|text| {
        let mut out = std::io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    });
    match printed {
        Ok(()) => ExitCode::from(exit::REPORTED),
        Err(error) => {
            eprintln!("safeurl-fetcher: cannot print the report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the usage on stdout.
pub(crate) fn help() -> ExitCode {
    match std::io::stdout().lock().write_all(USAGE.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what is wrong with the command line.
pub(crate) fn misuse(error: &Misuse) -> ExitCode {
    eprint!("safeurl-fetcher: {}\n\n{USAGE}", error.0);
    ExitCode::from(exit::BAD_INVOCATION)
}
