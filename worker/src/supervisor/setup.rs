//! What the supervisor is told once, at its start.

use std::time::Duration;

use safeurl_protocol::{Bridge, Header};

use super::attest::Walls;
use super::pool::PoolBounds;
use crate::domain::document::Limits;
use crate::gateway::Budgets;
use crate::sandbox::Network;
use crate::store::Politeness;

/// Settings of the supervisor, already validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Scans at the same time.
    pub slots: usize,
    /// Containers that wait for jobs.
    pub pool: PoolBounds,
    /// Containers that are written down before they are wanted.
    pub ahead: usize,
    /// What the hosts of queued jobs are spared, without a queue in front of the database.
    pub politeness: Politeness,
    /// The longest job timeout; a row may ask for less.
    pub timeout: Duration,
    /// Redirects followed at most; a row may ask for fewer.
    pub max_redirects: u32,
    /// User-Agent of rows that name none.
    pub user_agent: String,
    /// Headers of every scan, sent to the submitted origin only.
    pub headers: Vec<Header>,
    /// Every row keeps to robots.txt; else only one that asks for it.
    pub respect_robots: bool,
    /// Watchers get the reports whole, with what was fetched. Nothing of that is stored.
    pub evidence: bool,
    /// Bytes of decoded body kept.
    pub body_cap: u64,
    /// Bytes of report accepted.
    pub output_cap: u64,
    /// Whether containers have a network card.
    pub network: Network,
    /// Address rules of fetchers with a network card.
    pub bridge: Bridge,
    /// Budgets of an attempt; deadline and hosts are set for each.
    pub budgets: Budgets,
    /// Time for the analysis of one report.
    pub analysis_timeout: Duration,
    /// An analysis that is done within this time costs no write of its own; zero for none.
    pub at_once: Duration,
    /// Time for running scans to end after the first signal.
    pub drain_grace: Duration,
    /// Age at which a FETCHING or ANALYZING row without a lease is taken.
    pub unleased_after: Duration,
    /// Limits of a container, for the document.
    pub limits: Limits,
    /// Engine, runtime and image, for the document.
    pub engine: EngineFacts,
    /// What is asked of containers before the first job is taken; `None` for engines that are none, such as those of
    /// tests.
    pub walls: Option<Walls>,
}

/// Where containers run and from what, as the document shows it.
#[derive(Debug, Clone, Default)]
pub struct EngineFacts {
    /// Id of the engine, which rows of containers and workers carry.
    pub id: String,
    /// Name and version of the engine.
    pub engine: String,
    /// OCI runtime, when one is named.
    pub runtime: Option<String>,
    /// Reference of the image.
    pub image: String,
    /// Its digest.
    pub image_digest: String,
    /// `none` or `bridge`.
    pub network: String,
}
