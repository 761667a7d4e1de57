//! The command line, for the few flags a person needs when running the image by hand.
//!
//! Everything a supervisor wants comes in the invocation on stdin, so this stays a plain loop over
//! words; it reads no environment by itself and decides nothing about the network.

use safeurl_protocol::{Bridge, Egress, Invocation, Method};

/// What `--help` and a usage error show.
pub(crate) const USAGE: &str = "\
usage: safeurl-fetcher --url URL [--user-agent TEXT] [--timeout SECONDS] [--max-redirects N]
       safeurl-fetcher --serve | --probe

Fetches one untrusted URL and prints a JSON report. Without --url the environment's SCAN_URL is used,
and JOB_ID names the job in the report. The request is that of Firefox ESR 140; --user-agent changes that one
header. --serve waits for one invocation on standard input. --probe waits likewise and then tries the walls of the
container it is in.
";

/// The browser whose other headers are sent too (see `fetch/request.rs`), on the most common platform, so that a site
/// shows what it shows to people.
const USER_AGENT: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const TIMEOUT_MS: u64 = 30_000;
const MAX_REDIRECTS: u32 = 10;
const BODY_CAP: u64 = 10 * 1024 * 1024;
const OUTPUT_CAP: u64 = 8 * 1024 * 1024;

/// What the program was asked to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Mode {
    /// Wait for an invocation on stdin.
    Serve,
    /// Wait for an order on stdin and try the walls.
    Probe,
    /// Fetch this and print the report for a person.
    Once(Box<Invocation>),
    /// Print the usage.
    Help,
}

/// Why the command line makes no sense.
#[derive(Debug, PartialEq)]
pub(crate) struct Misuse(pub(crate) String);

/// Reads the words after the program name; `env` looks up an environment variable.
pub(crate) fn parse(
    words: impl IntoIterator<Item = String>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Mode, Misuse> {
    let mut words = words.into_iter();
    let mut url = None;
    let mut user_agent = USER_AGENT.to_owned();
    let mut timeout_ms = TIMEOUT_MS;
    let mut max_redirects = MAX_REDIRECTS;
    let (mut serve, mut probe) = (false, false);
    while let Some(word) = words.next() {
        let (flag, attached) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        let mut value = || {
            attached.clone().or_else(|| words.next()).ok_or_else(|| Misuse(format!("{flag} needs a value")))
        };
        match flag.as_str() {
            "--serve" => serve = true,
            "--probe" => probe = true,
            "--help" | "-h" => return Ok(Mode::Help),
            "--url" => url = Some(value()?),
            "--user-agent" => user_agent = value()?,
            "--timeout" => timeout_ms = seconds(&value()?)?,
            "--max-redirects" => {
                let text = value()?;
                max_redirects =
                    text.parse().map_err(|_| Misuse(format!("--max-redirects: {text:?} is not a number")))?;
            }
            other => return Err(Misuse(format!("unknown argument {other:?}"))),
        }
    }
    match (serve, probe) {
        (true, true) => return Err(Misuse("--serve or --probe, not both".to_owned())),
        (true, false) => return Ok(Mode::Serve),
        (false, true) => return Ok(Mode::Probe),
        (false, false) => {}
    }
    let url = url.or_else(|| env("SCAN_URL")).filter(|url| !url.trim().is_empty());
    let Some(url) = url else {
        return Err(Misuse("nothing to fetch: give --url or set SCAN_URL".to_owned()));
    };
    let (url, fallback_url) = with_scheme(url.trim());
    let job = env("JOB_ID").filter(|job| !job.is_empty()).unwrap_or_else(|| "by-hand".to_owned());
    Ok(Mode::Once(Box::new(Invocation {
        attempt: format!("{job}/1"),
        url,
        fallback_url,
        method: Method::Get,
        headers: Vec::new(),
        user_agent,
        timeout_ms,
        max_redirects,
        body_cap: BODY_CAP,
        output_cap: OUTPUT_CAP,
        respect_robots: false,
        evidence: false,
        egress: Egress::Bridge(Bridge::default()),
    })))
}

/// `--timeout` in seconds, bounded so that no later sum of times can overflow.
fn seconds(text: &str) -> Result<u64, Misuse> {
    match text.trim_end_matches('s').parse::<u64>() {
        Ok(seconds @ 2..=3600) => Ok(seconds * 1000),
        _ => Err(Misuse(format!("--timeout: {text:?} is not a number of seconds from 2 to 3600"))),
    }
}

/// A text without a scheme means https first and http when that does not answer.
fn with_scheme(text: &str) -> (String, Option<String>) {
    if text.contains("://") {
        (text.to_owned(), None)
    } else {
        (format!("https://{text}"), Some(format!("http://{text}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str], env: &[(&str, &str)]) -> Result<Mode, Misuse> {
        parse(words.iter().map(|&word| word.to_owned()), |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn invocation(words: &[&str], env: &[(&str, &str)]) -> Invocation {
        match parsed(words, env) {
            Ok(Mode::Once(invocation)) => *invocation,
            other => panic!("expected one fetch, got {other:?}"),
        }
    }

    #[test]
    fn the_environment_names_the_url_and_the_job() {
        let got = invocation(&[], &[("SCAN_URL", "http://a.test/x"), ("JOB_ID", "j7")]);
        assert_eq!((got.url.as_str(), got.attempt.as_str()), ("http://a.test/x", "j7/1"));
    }

    #[test]
    fn a_flag_wins_over_the_environment() {
        let got = invocation(&["--url", "http://b.test/"], &[("SCAN_URL", "http://a.test/")]);
        assert_eq!(got.url, "http://b.test/");
    }

    #[test]
    fn a_text_without_a_scheme_means_https_then_http() {
        let got = invocation(&["--url=a.test/x"], &[]);
        assert_eq!(got.url, "https://a.test/x");
        assert_eq!(got.fallback_url.as_deref(), Some("http://a.test/x"));
    }

    #[test]
    fn flags_take_their_value_attached_or_apart() {
        let got = invocation(&["--url=http://a.test/", "--timeout", "5", "--max-redirects=3"], &[]);
        assert_eq!((got.timeout_ms, got.max_redirects), (5000, 3));
    }

    #[test]
    fn by_hand_the_program_is_the_browser_it_is_for_the_worker() {
        let defaults = include_str!("../../config/safeurl.toml");
        let line = format!("user_agent = \"{}\"", invocation(&["--url", "http://a.test/"], &[]).user_agent);
        assert!(defaults.lines().any(|default| default == line), "{line}");
    }

    #[test]
    fn nonsense_is_named() {
        for (words, part) in [
            (&["--bogus"][..], "--bogus"),
            (&["--url"], "--url needs a value"),
            (&["--url", "http://a.test/", "--timeout", "never"], "never"),
            (&["--url", "http://a.test/", "--timeout", "0"], "2 to 3600"),
            (&["--url", "http://a.test/", "--max-redirects", "-1"], "-1"),
            (&["--serve", "--probe"], "not both"),
            (&[], "nothing to fetch"),
        ] {
            let Err(Misuse(message)) = parsed(words, &[]) else { panic!("{words:?} was accepted") };
            assert!(message.contains(part), "{words:?}: {message}");
        }
    }
}
