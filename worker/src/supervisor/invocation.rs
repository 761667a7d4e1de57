//! What a job becomes for the container: the invocation, the gateway's budgets, the options as documented.

use std::collections::BTreeMap;
use std::time::Duration;

use safeurl_protocol::{Egress, Header, Invocation, Method, SOCKET_PATH};

use super::setup::Config;
use crate::domain::document::TaskOptions;
use crate::domain::scan::Job;
use crate::domain::target::Target;
use crate::gateway::Budgets;
use crate::sandbox::Network;

/// The shortest job timeout: one second for the fetcher, one for its report.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Hosts that one attempt may dial beyond one for each redirect: the page itself and its fallback, the
/// icon, and one more for what a robots.txt is redirected to.
const SPARE_HOSTS: u32 = 4;

/// The job's own wishes within the limits of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) timeout: Duration,
    pub(super) max_redirects: u32,
    pub(super) user_agent: String,
    pub(super) headers: Vec<Header>,
    pub(super) respect_robots: bool,
}

impl Terms {
    pub(super) fn of(job: &Job, config: &Config) -> Self {
        let asked = job.options.timeout_ms.map_or(config.timeout, Duration::from_millis);
        // The job's own value of a header stands in for the configured one.
        let own = &job.options.headers;
        let named = |name: &str| own.iter().any(|header| header.name.eq_ignore_ascii_case(name));
        let configured = config.headers.iter().filter(|header| !named(&header.name));
        let headers = configured.chain(own).cloned().collect();
        Self {
            timeout: asked.min(config.timeout).max(MIN_TIMEOUT),
            max_redirects: job
                .options
                .max_redirects
                .unwrap_or(config.max_redirects)
                .min(config.max_redirects),
            user_agent: job.options.user_agent.clone().unwrap_or_else(|| config.user_agent.clone()),
            headers,
            respect_robots: config.respect_robots || job.options.respect_robots,
        }
    }

    pub(super) fn invocation(&self, job: &Job, target: &Target, config: &Config) -> Invocation {
        Invocation {
            attempt: job.attempt_name(),
            url: target.url().to_string(),
            fallback_url: target.fallback().map(ToString::to_string),
            method: Method::Get,
            headers: self.headers.clone(),
            user_agent: self.user_agent.clone(),
            timeout_ms: millis(self.timeout),
            max_redirects: self.max_redirects,
            body_cap: config.body_cap,
            output_cap: config.output_cap,
            respect_robots: self.respect_robots,
            evidence: config.evidence,
            egress: match config.network {
                Network::None => Egress::Gateway { socket: SOCKET_PATH.to_owned() },
                Network::Bridge => Egress::Bridge(config.bridge.clone()),
            },
        }
    }

    pub(super) fn budgets(&self, config: &Config) -> Budgets {
        Budgets {
            deadline_ms: millis(self.timeout),
            max_hosts: self.max_redirects.saturating_add(SPARE_HOSTS),
            ..config.budgets
        }
    }

    /// As the document shows them; the values of headers are masked when it is composed.
    pub(super) fn documented(&self) -> TaskOptions {
        let headers: BTreeMap<_, _> =
            self.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
        TaskOptions {
            user_agent: self.user_agent.clone(),
            timeout_ms: millis(self.timeout),
            max_redirects: self.max_redirects,
            headers,
            respect_robots: self.respect_robots,
        }
    }
}

/// Whole milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::document::Limits;
    use crate::domain::scan::{Options, sample};
    use crate::supervisor::EngineFacts;

    fn config() -> Config {
        Config {
            slots: 1,
            ahead: 0,
            politeness: crate::store::Politeness::default(),
            timeout: Duration::from_secs(30),
            max_redirects: 10,
            user_agent: "configured".into(),
            headers: vec![header("X-Token", "configured"), header("X-Other", "configured")],
            respect_robots: false,
            evidence: false,
            body_cap: 1,
            output_cap: 1,
            network: Network::None,
            bridge: safeurl_protocol::Bridge::default(),
            budgets: Budgets {
                deadline_ms: 0,
                max_connections: 1,
                max_concurrent: 1,
                max_hosts: 0,
                bytes_in: 1,
                bytes_in_at_once: 1,
                bytes_in_rate: 1,
                bytes_out: 1,
            },
            analysis_timeout: Duration::from_secs(5),
            at_once: Duration::ZERO,
            drain_grace: Duration::from_secs(5),
            unleased_after: Duration::from_secs(600),
            limits: Limits { memory_bytes: 1, cpus: 1.0, pids: 1, timeout_ms: 0, output_bytes: 1 },
            engine: EngineFacts::default(),
            walls: None,
            pool: crate::supervisor::PoolBounds::default(),
        }
    }

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    fn terms(options: Options, config: &Config) -> Terms {
        Terms::of(&Job { options, ..sample("http://a.example/") }, config)
    }

    #[test]
    fn a_job_may_be_stricter_than_the_configuration_and_never_laxer() {
        let config = config();
        let strict =
            terms(Options { timeout_ms: Some(5000), max_redirects: Some(2), ..Options::default() }, &config);
        assert_eq!((strict.timeout, strict.max_redirects), (Duration::from_secs(5), 2));
        let lax = Options { timeout_ms: Some(u64::MAX), max_redirects: Some(u32::MAX), ..Options::default() };
        let lax = terms(lax, &config);
        assert_eq!((lax.timeout, lax.max_redirects), (config.timeout, config.max_redirects));
        let short = terms(Options { timeout_ms: Some(0), ..Options::default() }, &config);
        assert_eq!(short.timeout, MIN_TIMEOUT);
    }

    #[test]
    fn a_job_may_ask_for_its_redirects_and_four_hosts_until_its_own_deadline() {
        let config = config();
        let options = Options { timeout_ms: Some(5000), max_redirects: Some(2), ..Options::default() };
        let budgets = terms(options, &config).budgets(&config);
        assert_eq!((budgets.max_hosts, budgets.deadline_ms), (6, 5000));
        let rest = Budgets { max_hosts: 6, deadline_ms: 5000, ..config.budgets };
        assert_eq!(budgets, rest, "what else it may do does not depend on the job");
    }

    #[test]
    fn robots_are_kept_to_where_the_job_or_the_configuration_says_so() {
        for (configured, asked) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = Config { respect_robots: configured, ..config() };
            let job = Job {
                options: Options { respect_robots: asked, ..Options::default() },
                ..sample("http://a.example/")
            };
            let terms = Terms::of(&job, &config);
            let target = Target::parse(&job.url).expect("a URL");
            let kept = configured || asked;
            assert_eq!(terms.invocation(&job, &target, &config).respect_robots, kept);
            assert_eq!(terms.documented().respect_robots, kept, "{configured} {asked}");
        }
    }

    #[test]
    fn a_job_s_header_takes_the_place_of_a_configured_one() {
        let options = Options { headers: vec![header("x-token", "own")], ..Options::default() };
        let sent = terms(options, &config()).headers;
        assert_eq!(sent, [header("X-Other", "configured"), header("x-token", "own")]);
    }
}
