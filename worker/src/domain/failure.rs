//! Why a scan ended without a result. The classes and what follows from each are the public contract: stored,
//! shown, counted and filtered by these names.

use std::time::Duration;

use safeurl_protocol::ErrorClass;
use serde::{Deserialize, Serialize};

/// The class of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The submitted text is not a URL that can be fetched.
    InvalidTarget,
    /// The address or port of the first hop is not allowed.
    EgressDenied,
    /// The site's robots.txt does not allow the first hop, and the job keeps to that.
    RobotsDisallowed,
    /// The name of the first hop did not resolve.
    Dns,
    /// No connection to the first hop.
    Connect,
    /// No TLS session with the first hop.
    Tls,
    /// The first hop does not speak HTTP.
    HttpProtocol,
    /// No response head within the time.
    Timeout,
    /// The analysis took longer than its limit.
    AnalysisTimeout,
    /// The container needed more memory than its limit.
    OutOfMemory,
    /// The container's output is not a report.
    OutputInvalid,
    /// The container's output is longer than its limit.
    OutputTooLarge,
    /// The fetcher ended without a report.
    ContainerCrash,
    /// Our own trouble: the worker, the gateway or the engine went away under the attempt.
    Lost,
    /// A person cancelled the job.
    Cancelled,
    /// The queue gave up on the delivery.
    Stalled,
}

impl FailureClass {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::InvalidTarget,
        Self::EgressDenied,
        Self::RobotsDisallowed,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::HttpProtocol,
        Self::Timeout,
        Self::AnalysisTimeout,
        Self::OutOfMemory,
        Self::OutputInvalid,
        Self::OutputTooLarge,
        Self::ContainerCrash,
        Self::Lost,
        Self::Cancelled,
        Self::Stalled,
    ];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidTarget => "invalid_target",
            Self::EgressDenied => "egress_denied",
            Self::RobotsDisallowed => "robots_disallowed",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::HttpProtocol => "http_protocol",
            Self::Timeout => "timeout",
            Self::AnalysisTimeout => "analysis_timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::OutputInvalid => "output_invalid",
            Self::OutputTooLarge => "output_too_large",
            Self::ContainerCrash => "container_crash",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
            Self::Stalled => "stalled",
        }
    }

    /// The class with this stable name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Whether the final state of this class is TIMED_OUT; all others end FAILED.
    #[must_use]
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::Timeout | Self::AnalysisTimeout)
    }
}

impl FailureClass {
    /// What happened, in words that owe nothing to the site.
    const fn sentence(self) -> &'static str {
        match self {
            Self::InvalidTarget => "the address cannot be fetched",
            Self::EgressDenied => "the address or port is not allowed",
            Self::RobotsDisallowed => "the site's robots.txt does not allow it",
            Self::Dns => "the name of the host does not resolve",
            Self::Connect => "no connection to the host",
            Self::Tls => "no TLS session with the host",
            Self::HttpProtocol => "the host does not speak HTTP",
            Self::Timeout => "no response within the time",
            Self::AnalysisTimeout => "the analysis took too long",
            Self::OutOfMemory => "the container needed more memory than its limit",
            Self::OutputInvalid => "the container's output is no report",
            Self::OutputTooLarge => "the container's output is longer than its limit",
            Self::ContainerCrash => "the fetcher ended without a report",
            Self::Lost => "the attempt was lost",
            Self::Cancelled => "the scan was cancelled",
            Self::Stalled => "the queue gave up on the delivery",
        }
    }
}

/// How far the attempt had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureStage {
    /// Taking the job.
    Claim,
    /// Bringing the container to its job.
    Start,
    /// Inside the container.
    Fetch,
    /// Reading what the container said.
    Report,
    /// Judging it.
    Analyse,
    /// Writing the result.
    Store,
}

impl FailureStage {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Start => "start",
            Self::Fetch => "fetch",
            Self::Report => "report",
            Self::Analyse => "analyse",
            Self::Store => "store",
        }
    }

    /// The stage with this stable name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Claim, Self::Start, Self::Fetch, Self::Report, Self::Analyse, Self::Store]
            .into_iter()
            .find(|stage| stage.as_str() == name)
    }
}

/// A failure as stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind.
    pub class: FailureClass,
    /// Where.
    pub stage: FailureStage,
    /// A sentence for a person.
    pub message: String,
    /// Whether another attempt may end differently.
    pub retryable: bool,
}

impl Failure {
    /// A failure whose retry follows from its class alone. `dns` is not retried this way: only
    /// [`Failure::from_hop`] knows that no resolver answered.
    #[must_use]
    pub fn new(class: FailureClass, stage: FailureStage, message: impl Into<String>) -> Self {
        let retryable = matches!(class, FailureClass::Lost | FailureClass::ContainerCrash);
        Self { class, stage, message: bounded(message.into()), retryable }
    }

    /// The failure as whoever asked for the scan is told it in another system: the class, and why. What a container had
    /// a part in may quote a page, so for that there is a sentence of ours; the message itself is in the job's row. A
    /// queue that gave up on a delivery is told in its own words.
    #[must_use]
    pub fn reason(&self) -> String {
        let why = match (self.class, self.stage) {
            (FailureClass::Stalled, _) => return self.message.clone(),
            (_, FailureStage::Fetch | FailureStage::Report) => self.class.sentence(),
            (_, FailureStage::Claim | FailureStage::Start | FailureStage::Analyse | FailureStage::Store) => {
                &self.message
            }
        };
        format!("{}: {why}", self.class.as_str())
    }

    /// The failure of a scan whose first hop got no response head.
    #[must_use]
    pub fn from_hop(error: ErrorClass, message: impl Into<String>) -> Self {
        let class = match error {
            ErrorClass::InvalidTarget | ErrorClass::RedirectRefused => FailureClass::InvalidTarget,
            ErrorClass::EgressDenied | ErrorClass::Budget => FailureClass::EgressDenied,
            ErrorClass::Dns | ErrorClass::DnsUnavailable => FailureClass::Dns,
            ErrorClass::RobotsDisallowed => FailureClass::RobotsDisallowed,
            ErrorClass::Connect => FailureClass::Connect,
            ErrorClass::Tls => FailureClass::Tls,
            ErrorClass::HttpProtocol
            | ErrorClass::Body
            | ErrorClass::RedirectLoop
            | ErrorClass::TooManyRedirects => FailureClass::HttpProtocol,
            ErrorClass::Timeout => FailureClass::Timeout,
        };
        Self {
            class,
            stage: FailureStage::Fetch,
            message: bounded(message.into()),
            retryable: matches!(error, ErrorClass::DnsUnavailable),
        }
    }
}

/// A container may say anything at any length; a sentence for a person is shorter.
const MAX_MESSAGE_BYTES: usize = 1000;

fn bounded(mut message: String) -> String {
    let mut end = MAX_MESSAGE_BYTES.min(message.len());
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

/// Longest wait before the `n`th retry, n from 1: `min(2 s · 2^(n−1), 60 s)`. The wait itself is drawn evenly
/// between nothing and this ("full jitter").
#[must_use]
pub fn backoff_ceiling(n: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(2);
    const LONGEST: Duration = Duration::from_secs(60);
    let factor = 1_u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX).max(1);
    FIRST.saturating_mul(factor).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_is_found_by_its_name_and_serialises_to_it() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::parse(class.as_str()), Some(class));
            assert_eq!(serde_json::to_value(class).expect("a string"), class.as_str());
        }
    }

    #[test]
    fn only_lost_crashed_and_unanswered_dns_are_retried() {
        for class in FailureClass::ALL {
            let expected = matches!(class, FailureClass::Lost | FailureClass::ContainerCrash);
            assert_eq!(Failure::new(class, FailureStage::Fetch, "").retryable, expected, "{class:?}");
        }
        assert!(Failure::from_hop(ErrorClass::DnsUnavailable, "").retryable);
        assert!(!Failure::from_hop(ErrorClass::Dns, "").retryable);
        assert!(!Failure::from_hop(ErrorClass::Connect, "").retryable);
    }

    #[test]
    fn a_reason_quotes_nothing_that_a_container_said() {
        for class in FailureClass::ALL.into_iter().filter(|class| *class != FailureClass::Stalled) {
            for stage in [FailureStage::Fetch, FailureStage::Report] {
                let reason = Failure::new(class, stage, "<h1>page</h1>").reason();
                assert!(reason.starts_with(class.as_str()) && !reason.contains("page</h1>"), "{reason}");
            }
            let ours = Failure::new(class, FailureStage::Claim, "in our words").reason();
            assert_eq!(ours, format!("{}: in our words", class.as_str()));
        }
        let stalled = Failure::new(FailureClass::Stalled, FailureStage::Claim, "the queue's words");
        assert_eq!(stalled.reason(), "the queue's words");
    }

    #[test]
    fn backoff_doubles_from_two_seconds_to_a_minute() {
        let seconds: Vec<_> = (1..=7).map(|n| backoff_ceiling(n).as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff_ceiling(0).as_secs(), 2);
        assert_eq!(backoff_ceiling(u32::MAX).as_secs(), 60);
    }
}
