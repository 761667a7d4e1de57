//! `docker run --rm` of the same image with the same limits: what one would write by hand.
//!
//! It gets no job and fetches nothing: the end of its input ends it. So it is the least that this way takes.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::stage::Bench;
use crate::sandbox::spec::{DOOR, LABEL_INSTANCE};
use crate::sandbox::{Network, Request, SandboxConfig, seccomp};

/// What the fetcher ends with when its input ends before a job.
const NO_JOB: i32 = safeurl_protocol::exit::NO_JOB as i32;

/// The client, with everything that a run needs.
#[derive(Clone)]
pub(super) struct DockerRun {
    config: SandboxConfig,
    seccomp: PathBuf,
    host: String,
}

impl DockerRun {
    /// `None` where there is no client on this machine.
    pub(super) async fn find(bench: &Bench) -> anyhow::Result<Option<Self>> {
        let asked = Command::new("docker").arg("--version").stdout(Stdio::null()).status().await;
        match asked {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("cannot start the docker client"),
            Ok(_) => {}
        }
        let seccomp = bench.folder().join("seccomp.json");
        std::fs::write(&seccomp, seccomp::profile(Network::None))
            .context("cannot write the list of calls")?;
        let host = bench.settings().sandbox.docker_host.clone();
        Ok(Some(Self { config: bench.own_config(), seccomp, host }))
    }

    /// From the start of the client to its end. One that is to be kept is not removed.
    pub(super) async fn once(&self, request: &Request, keep: bool) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let ran = Command::new("docker")
            .args(arguments(request, &self.config, &self.seccomp, keep))
            .env("DOCKER_HOST", &self.host)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A ^C in the terminal is for the measurement, which sees it to its end.
            .process_group(0)
            .output()
            .await
            .context("cannot start the docker client")?;
        let took = begun.elapsed();
        if ran.status.code() != Some(NO_JOB) {
            bail!("docker run ended with {}: {}", ran.status, String::from_utf8_lossy(&ran.stderr).trim());
        }
        Ok(took)
    }
}

fn arguments(
    request: &Request,
    config: &SandboxConfig,
    seccomp: &std::path::Path,
    keep: bool,
) -> Vec<OsString> {
    let removed = (!keep).then_some("--rm".to_owned());
    let memory = config.memory_bytes;
    let options = [
        format!("--name={}", request.name),
        format!("--label={LABEL_INSTANCE}={}", config.instance),
        format!("--user={0}:{0}", request.uid),
        "--network=none".to_owned(),
        "--read-only".to_owned(),
        "--cap-drop=ALL".to_owned(),
        "--security-opt=no-new-privileges".to_owned(),
        format!("--security-opt=seccomp={}", seccomp.display()),
        "--ipc=none".to_owned(),
        format!("--memory={memory}"),
        format!("--memory-swap={memory}"),
        format!("--cpus={}", config.cpus),
        "--cpu-shares=512".to_owned(),
        format!("--pids-limit={}", config.pids),
        "--ulimit=nofile=256:256".to_owned(),
        "--ulimit=core=0:0".to_owned(),
        "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=32m,mode=1777".to_owned(),
        format!("--mount=type=bind,source={},target={DOOR},readonly", request.door.display()),
        "--log-driver=local".to_owned(),
    ];
    let runtime = config.runtime.as_ref().map(|runtime| format!("--runtime={runtime}"));
    let all = std::iter::once("run".to_owned()).chain(removed).chain(options).chain(runtime);
    all.chain([config.image.clone(), "--serve".to_owned()]).map(OsString::from).collect()
}
