//! Puts a supervisor together out of the settings: engine, image, gateway, analysis.
//!
//! Everything that can be wrong is found here, before the first job is taken.

use std::time::Duration;

use anyhow::Context as _;
use safeurl_protocol::Bridge;

use super::bullmq;
use super::image as image_command;
use super::problem::Annotate as _;
use crate::analysis;
use crate::config::{Nat64, NetworkMode, Settings};
use crate::domain::document::Limits;
use crate::domain::scan::WorkerId;
use crate::gateway::{Budgets, GatewayConfig};
use crate::metrics::Metrics;
use crate::sandbox::engine::EngineInfo;
use crate::sandbox::image::{self, Image, ImageError};
use crate::sandbox::{Docker, Network, SandboxConfig, attestation};
use crate::store::{DbConfig, Politeness, Store};
use crate::supervisor::{Config, EngineFacts, Parts, PoolBounds, Walls};

/// Connections of one attempt at the same time. The fetcher uses one after the other, of which the last may still be closing.
const CONCURRENT_CONNECTIONS: u32 = 8;

/// Containers written down ahead, for workers with few and with many slots: one commit for so many of them.
const LEAST_AHEAD: u32 = 4;
const MOST_AHEAD: u32 = 64;

/// A write takes a disk some 2 ms, and most analyses less than 1 ms. Whoever looks at a job misses no more of ANALYZING than
/// this.
const AT_ONCE: Duration = Duration::from_millis(10);

/// The engine's answer and the image, checked.
pub(super) async fn engine_and_image(settings: &Settings) -> anyhow::Result<(EngineInfo, Image)> {
    let engine = image_command::engine(settings);
    let info = engine.info().await.hint(image_command::ENGINE_HINT)?;
    let image = match image::resolve(&engine, settings.sandbox.image.as_deref()).await {
        // The image of this very program is made when it is first needed.
        Err(ImageError::Missing { .. }) if settings.sandbox.image.is_none() => {
            image::build_embedded(&engine).await
        }
        resolved => resolved,
    };
    let named = settings.sandbox.image.is_some();
    Ok((info, image.or_else(|error| image_command::explain(error, named))?))
}

/// Everything a supervisor is made of.
pub(super) async fn parts(
    settings: &Settings,
    store: Store,
    worker: WorkerId,
    reserved_only: bool,
    metrics: Metrics,
) -> anyhow::Result<Parts<Docker>> {
    // Beside the questions to the engine: no scan waits for it, and the first page is not judged later than the next.
    let rules = tokio::task::spawn_blocking(analysis::load);
    let (info, image) = engine_and_image(settings).await?;
    let instance = store.instance().await?;
    let bullmq = if reserved_only { None } else { bullmq::config(settings, worker.as_str())? };
    let sandbox = sandbox_config(settings, instance, worker.as_str(), &image);
    let walls = Walls {
        accept: sandbox.accept.clone(),
        circumstances: attestation::circumstances(&sandbox, &info),
        // A person waits for one scan; a worker works for days.
        remembered: reserved_only,
    };
    Ok(Parts {
        store,
        sandbox: Docker::new(sandbox),
        gateway: gateway(settings),
        rules: rules.await.context("cannot read the rules")?,
        config: Config { walls: Some(walls), ..supervisor(settings, &info, &image) },
        worker,
        run_base: settings.sandbox.run_dir.clone(),
        reserved_only,
        // What is reserved for this process is in the database alone.
        bullmq,
        metrics,
    })
}

/// What containers are like.
pub(super) fn sandbox_config(
    settings: &Settings,
    instance: String,
    worker: &str,
    image: &Image,
) -> SandboxConfig {
    SandboxConfig {
        docker_host: Some(settings.sandbox.docker_host.clone()),
        instance,
        worker: worker.to_owned(),
        image: image.id.clone(),
        network: network(settings),
        runtime: settings.sandbox.runtime.clone(),
        memory_bytes: settings.sandbox.memory.as_u64(),
        cpus: settings.sandbox.cpus,
        pids: u64::from(settings.sandbox.pids),
        timeout: settings.sandbox.timeout,
        output_bytes: settings.sandbox.output_cap.as_u64(),
        accept: settings.sandbox.accept.iter().map(|name| (*name).to_owned()).collect(),
    }
}

const fn network(settings: &Settings) -> Network {
    match settings.sandbox.network {
        NetworkMode::None => Network::None,
        NetworkMode::Bridge => Network::Bridge,
    }
}

fn supervisor(settings: &Settings, info: &EngineInfo, image: &Image) -> Config {
    let (gateway, network) = (&settings.gateway, network(settings));
    Config {
        slots: settings.worker.concurrency as usize,
        pool: PoolBounds {
            min: settings.pool.min as usize,
            max: settings.pool.max as usize,
            max_age: settings.pool.max_age,
            jobs: None,
        },
        ahead: settings.worker.concurrency.clamp(LEAST_AHEAD, MOST_AHEAD) as usize,
        politeness: Politeness {
            per_host: settings.politeness.per_host,
            gap: settings.politeness.gap,
            longest_pause: settings.politeness.retry_after,
        },
        timeout: settings.sandbox.timeout,
        max_redirects: settings.fetch.max_redirects,
        user_agent: settings.fetch.user_agent.clone(),
        headers: settings.fetch.headers.clone(),
        respect_robots: settings.fetch.respect_robots,
        evidence: false,
        body_cap: settings.fetch.body_cap.as_u64(),
        output_cap: settings.sandbox.output_cap.as_u64(),
        network,
        bridge: Bridge {
            allow_networks: gateway.allow_networks.iter().map(ToString::to_string).collect(),
            hosts: gateway.hosts.iter().map(|(name, address)| (name.clone(), address.to_string())).collect(),
            resolvers: gateway.resolvers.iter().map(ToString::to_string).collect(),
            nat64_recheck: nat64_recheck(gateway.nat64),
        },
        budgets: Budgets {
            deadline_ms: 0,
            max_hosts: 0,
            max_connections: gateway.max_connections,
            max_concurrent: CONCURRENT_CONNECTIONS,
            bytes_in: gateway.bytes_in.as_u64(),
            bytes_in_at_once: settings.fetch.body_cap.as_u64().saturating_mul(2),
            bytes_in_rate: gateway.rate_in.as_u64(),
            bytes_out: gateway.bytes_out.as_u64(),
        },
        analysis_timeout: settings.analysis.timeout,
        at_once: AT_ONCE,
        drain_grace: settings.worker.drain_grace,
        unleased_after: settings.worker.unleased_after,
        limits: Limits {
            memory_bytes: settings.sandbox.memory.as_u64(),
            cpus: settings.sandbox.cpus,
            pids: u64::from(settings.sandbox.pids),
            timeout_ms: 0,
            output_bytes: settings.sandbox.output_cap.as_u64(),
        },
        engine: EngineFacts {
            id: info.id.clone(),
            engine: format!("docker {}", info.version),
            runtime: settings.sandbox.runtime.clone().or_else(|| Some(info.default_runtime.clone())),
            image: image.reference.clone(),
            image_digest: image.id.clone(),
            network: network.as_str().to_owned(),
        },
        walls: None,
    }
}

/// Which database.
#[must_use]
pub(super) fn database(settings: &Settings) -> DbConfig {
    DbConfig {
        url: settings.database.url.expose().to_owned(),
        auth_token: settings.database.auth_token.as_ref().map(|token| token.expose().to_owned()),
    }
}

/// This very program, also after another version was put in its place: a gateway speaks with the worker that started
/// it, and the path may name nothing any more.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// What the gateway's process is told; it runs this very program.
pub(super) fn gateway(settings: &Settings) -> GatewayConfig {
    let gateway = &settings.gateway;
    GatewayConfig {
        program: THIS_PROGRAM.into(),
        run_dir: settings.sandbox.run_dir.clone(),
        user: gateway.user.clone(),
        allow_networks: gateway.allow_networks.clone(),
        nat64_recheck: nat64_recheck(gateway.nat64),
        resolvers: gateway.resolvers.clone(),
        hosts: gateway.hosts.clone(),
        dns_timeout: gateway.dns_timeout,
        connect_timeout: gateway.connect_timeout,
    }
}

/// Whether an address that carries an IPv4 one for a translator is judged by that one.
#[must_use]
pub(super) const fn nat64_recheck(nat64: Nat64) -> bool {
    match nat64 {
        Nat64::Deny => false,
        Nat64::Recheck => true,
    }
}
