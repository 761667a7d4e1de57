//! How it was seen: certificate, connections, sandbox, and the job to come back to.

use super::{bytes, listed, route};
use crate::cli::terminal::defang::Defang;
use crate::cli::terminal::layout::Section;
use crate::cli::terminal::text::{GREEN, NONE, RED, STRONG, Text};
use crate::domain::document::{Document, OutcomeName, Page, Sandbox, Tls};
use crate::domain::timestamp::Timestamp;

/// Alternative names shown of a certificate.
const NAMES: usize = 6;

pub(super) fn sections(document: &Document, defang: Defang) -> Vec<Section> {
    let body = &document.body;
    let tls = body.requests.iter().rev().find_map(|request| request.tls.as_ref());
    let certificate = tls.map(|tls| certificate(tls, body.page.as_ref(), defang));
    let mut sections: Vec<_> = certificate.into_iter().collect();
    sections.push(sandbox(&body.sandbox));
    sections.push(route::connections(document, defang));
    sections
}

fn certificate(tls: &Tls, page: Option<&Page>, defang: Defang) -> Section {
    let mut section = Section::short("Certificate");
    let verified = match (&tls.error, tls.verified) {
        (_, true) => Text::new(GREEN, "verified"),
        (Some(error), false) => Text::new(RED, &format!("not verified: {error}")),
        (None, false) => Text::new(RED, "not verified"),
    };
    section.pair("trust", verified);
    section.pair_if("subject", tls.subject.as_ref().map(|subject| Text::new(NONE, &defang.host(subject))));
    section.pair_if("issuer", tls.issuer.as_ref());
    if let Some((from, to)) = tls.valid_from.zip(tls.valid_to) {
        let days = page.and_then(|page| page.tls_valid_days.zip(page.tls_age_days));
        let days = days.map(|(days, age)| format!(", {days} days, {age} days old")).unwrap_or_default();
        section.pair("valid", format!("{} to {}{days}", date(from), date(to)));
    }
    let names = listed(tls.san_list.iter().take(NAMES).map(String::as_str));
    let more = tls.san_list.len().saturating_sub(NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    section.pair_if("names", (!names.is_empty()).then(|| format!("{}{more}", defang.host(&names))));
    let spoken = [&tls.protocol, &tls.cipher, &tls.alpn].into_iter().flatten().map(String::as_str);
    section.pair_if("session", Some(listed(spoken)));
    section
}

fn date(moment: Timestamp) -> String {
    moment.to_string().chars().take_while(|c| *c != 'T').collect()
}

fn sandbox(sandbox: &Sandbox) -> Section {
    let mut section = Section::short("Sandbox");
    let outcome = sandbox.outcome.map(|outcome| match outcome {
        OutcomeName::Exited => "ended by itself",
        OutcomeName::TimedOut => "killed: out of time",
        OutcomeName::OutOfMemory => "killed: out of memory",
        OutcomeName::OutputTooLarge => "killed: too much output",
        OutcomeName::Lost => "lost",
    });
    let code = sandbox.exit_code.filter(|code| *code != 0).map(|code| format!(", exit code {code}"));
    section.pair_if("container", outcome.map(|outcome| format!("{outcome}{}", code.unwrap_or_default())));
    section.pair_if("runtime", sandbox.runtime.as_ref());
    section.pair_if("network", sandbox.network.as_ref());
    let limits = &sandbox.limits;
    // A scan that no container was made for has none.
    if limits.memory_bytes > 0 {
        let cores = if limits.cpus <= 1.0 { "core" } else { "cores" };
        let seconds = limits.timeout_ms as f64 / 1000.0;
        // In the unit that limits are set in.
        let (memory, cpus, pids) = (limits.memory_bytes >> 20, limits.cpus, limits.pids);
        section.pair("limits", format!("{memory} MiB, {cpus} {cores}, {pids} processes, {seconds} s"));
    }
    let times = [("start", sandbox.start_ms), ("run", sandbox.run_ms), ("processor", sandbox.cpu_ms)];
    let times = times.iter().filter_map(|(what, took)| Some(format!("{what} {} ms", (*took)?)));
    let times = times.collect::<Vec<_>>().join(", ");
    section.pair_if("time", (!times.is_empty()).then_some(times));
    section.pair_if("memory", sandbox.peak_memory_bytes.map(|peak| format!("{} at its peak", bytes(peak))));
    section
}

/// Which job it was, and how to come back to it.
pub(super) fn job(document: &Document, again: Option<&str>) -> Section {
    let job = &document.job;
    let mut section = Section::full("Job");
    section.pair("id", &job.id);
    section.pair("state", format!("{}, attempt {} of {}", job.state, job.attempt, job.max_attempts));
    section.pair_if("again", again.map(|command| Text::new(STRONG, command)));
    section
}
