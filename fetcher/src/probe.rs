//! `--probe`: tries the walls of the container from the inside, and says what happened.
//!
//! The tries are those of code that was taken over by a page, as far as they can be had without `unsafe`. Nothing is
//! judged here: what should have happened depends on settings that no container knows. The order matters: what would
//! change what later tries see, had it been allowed, comes late.

mod calls;
mod files;
mod limits;
mod standing;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use safeurl_protocol::exit;
use safeurl_protocol::frame::Ready;
use safeurl_protocol::probe::{ProbeOrder, ProbeReport, Seen};

use crate::serve::{Line, read_line, refuse, write_framed, write_line};

/// Serves one order.
pub(crate) fn run(input: impl BufRead, mut output: impl Write) -> ExitCode {
    match probe(input, &mut output) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("safeurl-fetcher: cannot probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn probe(input: impl BufRead, output: &mut impl Write) -> io::Result<u8> {
    write_line(output, &Ready::current())?;
    output.flush()?;
    let order: ProbeOrder = match read_line(input)? {
        Line::Job(order) => *order,
        Line::Nothing => return Ok(exit::NO_JOB),
        Line::Bad(message) => return Ok(refuse(&message)),
    };
    let mut seen = standing::look();
    seen.extend(files::look());
    seen.extend(limits::look(&order));
    seen.extend(calls::look());
    write_framed(output, &order.attempt, &ProbeReport { probe: 1, seen })?;
    Ok(exit::REPORTED)
}

fn seen(name: &str, saw: impl Into<String>) -> Seen {
    Seen { name: name.to_owned(), saw: saw.into() }
}

/// What came of a try.
fn tried<T, E: Into<io::Error>>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("refused: {}", name(&error.into())),
    }
}

/// An error by the name that manuals give it.
fn name(error: &io::Error) -> String {
    let known = error.raw_os_error().and_then(|number| {
        Some(match number {
            1 => "EPERM",
            2 => "ENOENT",
            11 => "EAGAIN",
            12 => "ENOMEM",
            13 => "EACCES",
            16 => "EBUSY",
            22 => "EINVAL",
            24 => "EMFILE",
            28 => "ENOSPC",
            30 => "EROFS",
            38 => "ENOSYS",
            93 => "EPROTONOSUPPORT",
            94 => "ESOCKTNOSUPPORT",
            97 => "EAFNOSUPPORT",
            104 => "ECONNRESET",
            111 => "ECONNREFUSED",
            _ => return None,
        })
    });
    match (known, error.raw_os_error()) {
        (Some(known), _) => known.to_owned(),
        (None, Some(number)) => format!("error {number}"),
        (None, None) => error.kind().to_string(),
    }
}

/// A list as it is shown; sorted, so that the same walls look the same every time.
fn list(mut items: Vec<String>) -> String {
    items.sort();
    items.dedup();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use safeurl_protocol::frame::ReportHeader;
    use safeurl_protocol::probe::RESTRICTIONS;

    use super::*;

    /// Told by the engine, not tried from the inside.
    const OUTSIDE: [&str; 4] = ["seccomp-profile", "as-asked", "masked-paths", "user-ids"];

    #[test]
    fn every_restriction_is_tried_once_and_nothing_else() {
        let mut said = Vec::new();
        // The tries themselves, on a machine that allows most of them, are the container's business: here it is only
        // looked at which there are.
        let order = ProbeOrder { attempt: "probe/1".to_owned(), threads: 2, descriptors: 2 };
        for found in [standing::look(), files::look(), limits::look(&order)] {
            said.extend(found.into_iter().map(|seen| seen.name));
        }
        said.extend(calls::NAMES.iter().map(ToString::to_string));
        let inside: BTreeSet<_> = RESTRICTIONS.iter().filter(|name| !OUTSIDE.contains(name)).collect();
        assert_eq!(
            said.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            inside.into_iter().copied().collect()
        );
        assert_eq!(said.len(), RESTRICTIONS.len() - OUTSIDE.len());
    }

    #[test]
    fn without_an_order_nothing_is_tried() {
        let mut said = Vec::new();
        let code = probe(&b""[..], &mut said).expect("memory can be written");
        assert_eq!(code, exit::NO_JOB);
        assert!(serde_json::from_slice::<Ready>(said.trim_ascii_end()).is_ok());
        assert!(serde_json::from_slice::<ReportHeader>(said.trim_ascii_end()).is_err());
    }

    #[test]
    fn errors_have_the_names_of_the_manuals() {
        let refused = |number| tried::<(), _>(Err(io::Error::from_raw_os_error(number)));
        assert_eq!((refused(1), refused(38)), ("refused: EPERM".to_owned(), "refused: ENOSYS".to_owned()));
        assert_eq!(refused(77), "refused: error 77");
        assert_eq!(tried::<_, io::Error>(Ok(())), "done");
    }
}
