//! Containers and engines for tests of this crate.

use std::time::Duration;

use super::engine::EngineInfo;
use super::spec::Cgroup;
use super::{Network, SandboxConfig};

/// Settings of containers.
pub(crate) fn config() -> SandboxConfig {
    SandboxConfig {
        docker_host: None,
        instance: "i".to_owned(),
        worker: "w".to_owned(),
        image: "sha256:1".to_owned(),
        network: Network::None,
        runtime: None,
        memory_bytes: 64 << 20,
        cpus: 0.5,
        pids: 64,
        timeout: Duration::from_millis(29_500),
        output_bytes: 1 << 20,
        accept: Vec::new(),
    }
}

/// An engine without a flaw.
pub(crate) fn info() -> EngineInfo {
    EngineInfo {
        id: "E".to_owned(),
        version: "20.10.24".to_owned(),
        cgroup: Cgroup::V1,
        cgroup_driver: "cgroupfs".to_owned(),
        runtimes: vec!["runc".to_owned()],
        default_runtime: "runc".to_owned(),
        security_options: vec!["name=seccomp,profile=default".to_owned()],
        missing_limits: Vec::new(),
        kernel: "6.1".to_owned(),
    }
}
