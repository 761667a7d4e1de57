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

/// Hosts that one attempt may dial beyond one for each redirect: the page itself and its fallback, and two more.
const SPARE_HOSTS: u32 = 4;

/// The job's own wishes within the limits of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) timeout: Duration,
    pub(super) max_redirects: u32,
    pub(super) user_agent: String,
    pub(super) headers: Vec<Header>,
}

impl Terms {
    pub(super) fn of(job: &Job, config: &Config) -> Self {
        let asked = job.options.timeout_ms.map_or(config.timeout, Duration::from_millis);
        let headers = config.headers.iter().chain(&job.options.headers).cloned().collect();
        Self {
            timeout: asked.min(config.timeout).max(MIN_TIMEOUT),
            max_redirects: job
                .options
                .max_redirects
                .unwrap_or(config.max_redirects)
                .min(config.max_redirects),
            user_agent: job.options.user_agent.clone().unwrap_or_else(|| config.user_agent.clone()),
            headers,
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
            respect_robots: false,
            evidence: false,
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
            respect_robots: false,
        }
    }
}

/// Whole milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
