//! safeurl-fetcher: opens one untrusted URL inside a throw-away container and prints what it saw.
//!
//! With `--serve` it waits for one invocation on stdin and frames its report for the supervisor; with
//! `--url` it prints the report for a person. One process serves one job, holds no secret but the headers
//! that the job brings for its origin, and keeps nothing: whatever happens in here is over when the process
//! is, cookies included. Its output is a claim, not a fact.
//!
//! A visit (`fetch`) goes from hop to hop over connections (`connect`), undoes what bodies are packed in
//! (`body`) and reads what a page holds (`page`) without running any of it. What needs large tables
//! (numbering plans, languages, technologies, rules) is read outside, by the supervisor.
//!
//! A library for tests only, its own and those of the rules: what is public is what they call by itself.

mod args;
mod body;
mod by_hand;
mod connect;
mod crash;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
#[path = "../../tests/fuzz/fetcher/targets.rs"]
pub mod fuzzing;
mod page;
mod plan;
mod probe;
mod reference;
mod report;
pub mod robots;
mod serve;

use std::process::ExitCode;
use std::time::Duration;

use safeurl_protocol::{Content, Features, Invocation, Report, TextStatistics};
use url::Url;

/// The program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    crash::exit_on_panic();
    match args::parse(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(args::Mode::Serve) => serve::run(std::io::stdin().lock(), std::io::stdout().lock()),
        Ok(args::Mode::Probe) => probe::run(std::io::stdin().lock(), std::io::stdout().lock()),
        Ok(args::Mode::Once(invocation)) => by_hand::run(*invocation),
        Ok(args::Mode::Help) => by_hand::help(),
        Err(error) => by_hand::misuse(&error),
    }
}

/// What a page in UTF-8, served from `url`, holds and says; `None` when `url` is no URL. For tests over third-party
/// pages.
#[must_use]
pub fn page_facts(html: &[u8], url: &str) -> Option<(Features, TextStatistics)> {
    page::facts(html, url)
}

/// Carries out one invocation in this process, as `--serve` does between its frames. The error says what is wrong with
/// the invocation.
pub fn fetch(invocation: Invocation) -> Result<Report, String> {
    let begun = tokio::time::Instant::now();
    let plan = plan::Plan::new(invocation).map_err(|error| error.to_string())?;
    report::make(&plan, begun).map_err(|error| error.to_string())
}

/// The type of bytes by themselves, as reports name it; `None` when there are none.
#[must_use]
pub fn type_of(bytes: &[u8]) -> Option<&'static str> {
    page::type_of(bytes)
}

/// A MIME type as the MIME Sniffing standard writes it, and the WHATWG name of the encoding it names.
#[must_use]
pub fn mime_type(text: &str) -> Option<(String, Option<&'static str>)> {
    page::mime_type(text)
}

/// The WHATWG name of the encoding in which a page at `url` is read, when its header does not tell.
#[must_use]
pub fn encoding_of(bytes: &[u8], url: &Url) -> &'static str {
    page::encoding_of(bytes, url)
}

/// What the report says about a body that came whole from `url`, declared as `declared`, when reading may take
/// `limit`.
#[must_use]
pub fn read_body(
    url: &Url,
    declared: Option<&str>,
    bytes: &[u8],
    limit: Duration,
) -> (Content, Option<Features>) {
    let source = page::Source { url, declared, disposition: None, options: None };
    let document = page::read(&source, bytes, false, tokio::time::Instant::now() + limit);
    (document.content, document.features)
}
