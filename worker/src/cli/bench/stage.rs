//! What all parts of a measurement share: settings, folder, page, and the containers that must not be left.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::Args;
use super::site::Site;
use super::under_way::UnderWay;
use crate::cli::assemble;
use crate::config::{Level, Log, Settings};
use crate::sandbox::engine::EngineInfo;
use crate::sandbox::image::Image;
use crate::sandbox::{Docker, Request, Sandbox as _, SandboxConfig};

/// The user inside of containers that no supervisor makes.
const UID: u32 = 60600;

/// How often the engine is asked for what is left. What was cut short may still be made after the first look.
const LOOKS: u32 = 40;

/// Between two such looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Looks without a container, one after the other, until nothing is taken to be left.
const EMPTY_LOOKS: u32 = 3;

/// A container that was left to be looked at.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Kept {
    /// How it was made.
    pub(super) kind: &'static str,
    /// Its name.
    pub(super) container: String,
}

#[derive(Default)]
struct Left {
    /// The label `safeurl.instance` of every container of this run is one of these.
    instances: Vec<String>,
    kept: Vec<Kept>,
    containers: u32,
}

/// What all parts share.
pub(super) struct Bench {
    settings: Settings,
    engine: EngineInfo,
    image: Image,
    folder: Folder,
    _sockets: Folder,
    site: Site,
    keep: bool,
    under_way: UnderWay,
    /// The label of containers that no supervisor makes.
    own: String,
    left: Mutex<Left>,
}

impl Bench {
    pub(super) async fn new(settings: Settings, args: &Args) -> anyhow::Result<Self> {
        let (engine, image) = assemble::engine_and_image(&settings).await?;
        // Sockets are where those of a worker are, which is no disk on most machines.
        let sockets = settings.sandbox.run_dir.clone();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&sockets)
            .with_context(|| cannot_make(&sockets))?;
        let (folder, sockets) = (Folder::new(&args.dir, "safeurl-bench-")?, Folder::new(&sockets, "b-")?);
        let site = Site::start().await.context("cannot serve a page on loopback")?;
        let settings = undisturbed(settings, &sockets.0)?;
        let own = format!("bench-{}", uuid::Uuid::new_v4());
        let bench = Self {
            settings,
            engine,
            image,
            folder,
            _sockets: sockets,
            site,
            keep: args.keep,
            under_way: UnderWay::default(),
            own: own.clone(),
            left: Mutex::default(),
        };
        bench.answers_for(own);
        Ok(bench)
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn engine(&self) -> &EngineInfo {
        &self.engine
    }

    pub(super) const fn image(&self) -> &Image {
        &self.image
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder.0
    }

    pub(super) const fn site(&self) -> &Site {
        &self.site
    }

    /// What has to come to its end although the measurement is cut short.
    pub(super) const fn under_way(&self) -> &UnderWay {
        &self.under_way
    }

    pub(super) const fn keeps(&self) -> bool {
        self.keep
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Containers with this label `safeurl.instance` are this run's, to be removed at its end.
    pub(super) fn answers_for(&self, instance: String) {
        self.left().instances.push(instance);
    }

    /// Notes a container that is to be left.
    pub(super) fn keep(&self, kind: &'static str, container: String) {
        self.left().kept.push(Kept { kind, container });
    }

    pub(super) fn kept(&self) -> Vec<Kept> {
        self.left().kept.clone()
    }

    /// Whether the next container of this kind is the one that is left.
    pub(super) fn is_to_keep(&self, kind: &str) -> bool {
        self.keep && !self.left().kept.iter().any(|kept| kept.kind == kind)
    }

    /// How containers are made that no supervisor makes.
    pub(super) fn own_config(&self) -> SandboxConfig {
        assemble::sandbox_config(&self.settings, self.own.clone(), "bench", &self.image)
    }

    /// A container that no supervisor makes, with a folder like that of a gateway's socket.
    pub(super) fn own_request(&self, kind: &str) -> anyhow::Result<Request> {
        let number = {
            let mut left = self.left();
            left.containers += 1;
            left.containers
        };
        let door = self.settings.sandbox.run_dir.join("door");
        if !door.is_dir() {
            DirBuilder::new().mode(0o711).create(&door).with_context(|| cannot_make(&door))?;
        }
        let name = format!("safeurl-{}-{kind}-{number}", self.own);
        Ok(Request { name, uid: UID, door, role: "fetch" })
    }

    /// Removes every container of this run that is not to be left.
    pub(super) async fn sweep(&self) -> anyhow::Result<()> {
        let (instances, kept) = {
            let left = self.left();
            (left.instances.clone(), left.kept.clone())
        };
        self.under_way.over().await;
        let mut empty = 0;
        for _ in 0..LOOKS {
            let mut found = Vec::new();
            for instance in &instances {
                let config = SandboxConfig { instance: instance.clone(), ..self.own_config() };
                let docker = Docker::new(config);
                let listed = docker.list().await.context("cannot see which containers are left")?;
                let listed = listed.into_iter().map(|found| found.name);
                found.extend(listed.filter(|name| !kept.iter().any(|kept| kept.container == *name)));
            }
            empty = if found.is_empty() { empty + 1 } else { 0 };
            if empty == EMPTY_LOOKS {
                return Ok(());
            }
            for name in found {
                // One that is being removed already is there at the next look, or not.
                let _ = Docker::new(self.own_config()).remove(&name).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let labels = instances.join(", ");
        anyhow::bail!("containers are left; they carry the label safeurl.instance, which is one of {labels}")
    }
}

/// The settings of this machine without what is no part of a measurement, or would hold it up.
fn undisturbed(mut settings: Settings, sockets: &Path) -> anyhow::Result<Settings> {
    settings.sandbox.run_dir = sockets.to_owned();
    settings.gateway.allow_networks = vec!["127.0.0.1/32".parse().context("an address is a network")?];
    // All pages are of one host, which is this process.
    (settings.politeness.per_host, settings.politeness.gap) = (0, Duration::ZERO);
    Ok(settings)
}

/// Log lines below a warning would be part of what is measured.
pub(super) fn quiet(log: &Log) -> Log {
    Log { level: Level::Warn.min(log.level), ..log.clone() }
}

fn cannot_make(folder: &Path) -> String {
    format!("cannot make {}", folder.display())
}

/// A folder of a measurement's own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(within: &Path, prefix: &str) -> anyhow::Result<Self> {
        let within = std::path::absolute(within).context("cannot tell where the folder is")?;
        // Short: the path of a socket has 107 bytes at most.
        let name = uuid::Uuid::new_v4().simple().to_string();
        let dir = within.join(format!("{prefix}{}", &name[..8]));
        // The containers' users pass through it to their sockets, and nobody lists it.
        DirBuilder::new().mode(0o711).create(&dir).with_context(|| cannot_make(&dir))?;
        Ok(Self(dir))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("error: cannot remove {}: {error}", self.0.display());
        }
    }
}
