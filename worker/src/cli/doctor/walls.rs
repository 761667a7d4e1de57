//! One probe container, for the doctor: how closed containers are with these settings.

use anyhow::Context as _;
use uuid::Uuid;

use super::Check;
use crate::cli::output::{Output, plain};
use crate::cli::{assemble, database};
use crate::config::Settings;
use crate::gateway::Gateway;
use crate::sandbox::image::Image;
use crate::sandbox::{Attestation, Docker, Found, Request, Sandbox as _};
use crate::store::{OpenMode, Store};

/// The user id of a doctor's probe: the last of those for containers, of which databases give out the first that is
/// free.
const UID: u32 = 65_533;

/// On the containers' label where there is no database that says whose they are.
const NOBODY: &str = "doctor";

/// What a probe saw, and the check that stands for all of it.
pub(super) async fn probe(
    settings: &Settings,
    image: &Image,
    gateway: &Gateway,
) -> (Check, Option<Attestation>) {
    let tried = "try the walls of a container from the inside";
    match probed(settings, image, gateway).await {
        Ok(attestation) => (judged(settings, tried, &attestation), Some(attestation)),
        Err(error) => {
            let hint = "see the log of the engine; an image older than this program cannot be probed";
            (Check::failed("walls", tried, format!("{error:#}"), hint), None)
        }
    }
}

async fn probed(settings: &Settings, image: &Image, gateway: &Gateway) -> anyhow::Result<Attestation> {
    let name = format!("safeurl-probe-{}", Uuid::new_v4().simple());
    let instance = instance(settings).await;
    let config = assemble::sandbox_config(settings, instance.clone(), &name, image);
    let door = gateway.open(gateway.new_door(), UID).await.context("cannot open a door")?;
    let request = Request { name, uid: UID, door: door.mount_dir.clone(), role: "probe" };
    let docker = Docker::new(config);
    // Where there is a database, its workers see to what a doctor left behind that was killed.
    let left = if instance == NOBODY { dead(&docker).await } else { Vec::new() };
    let attestation = docker.probe(&request).await;
    // It was never bound, so there is nothing in its ledger.
    let _ = door.close().await;
    sweep(&docker, &left).await;
    // Another doctor may have made a container and not started it yet.
    if instance == NOBODY && docker.list().await.is_ok_and(|containers| containers.is_empty()) {
        docker.forget_network().await;
    }
    Ok(attestation?)
}

async fn dead(docker: &Docker) -> Vec<Found> {
    let mut found = docker.list().await.unwrap_or_default();
    found.retain(|container| !container.running);
    found
}

/// Removes what was dead before and is still: what another doctor had only just made is running or gone by now.
async fn sweep(docker: &Docker, before: &[Found]) {
    if before.is_empty() {
        return;
    }
    for container in dead(docker).await {
        if before.contains(&container) {
            // Failing that, the next doctor does it.
            let _ = docker.remove(&container.id).await;
        }
    }
}

/// Whose a container is that is left behind by a doctor that was killed.
async fn instance(settings: &Settings) -> String {
    match Store::open(&assemble::database(settings), OpenMode::Existing).await {
        Ok(store) => store.instance().await.unwrap_or_else(|_| NOBODY.to_owned()),
        Err(_) => NOBODY.to_owned(),
    }
}

fn judged(settings: &Settings, tried: &str, attestation: &Attestation) -> Check {
    let accept: Vec<String> = settings.sandbox.accept.iter().map(|name| (*name).to_owned()).collect();
    let names = |broken: &[&crate::sandbox::attestation::Judged]| {
        broken.iter().map(|judged| judged.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (broken, missing) = (attestation.broken(&accept), attestation.broken(&[]));
    let of = attestation.restrictions.len();
    if broken.is_empty() {
        let accepted = match missing.as_slice() {
            [] => String::new(),
            missing => format!(", without {}, which sandbox.accept allows", names(missing)),
        };
        let absent = match attestation.not_applicable.len() {
            0 => String::new(),
            absent => format!(
                "; with network \"{}\" {absent} more do not apply, and the fetcher alone keeps the address rules",
                plain(&attestation.network)
            ),
        };
        let saw = format!("{} of {of} restrictions hold{accepted}{absent}", of - missing.len());
        return Check::passed("walls", tried, saw);
    }
    let hint = "mend what is FAILED below; no worker starts like this";
    Check::failed("walls", tried, format!("these do not hold: {}", names(&broken)), hint)
}

/// Each restriction on a line of its own.
pub(super) fn print(output: &mut Output, attestation: &Attestation, accepted: &[&str]) -> anyhow::Result<()> {
    output.line("")?;
    output.line(&format!("attestation {}", attestation.digest()))?;
    for judged in &attestation.restrictions {
        let word = match (judged.holds, accepted.contains(&judged.name.as_str())) {
            (true, _) => "ok    ",
            (false, true) => "lacks ",
            (false, false) => "FAILED",
        };
        let saw = plain(&judged.saw);
        output.line(&format!("{word}  {:<20} {}: {saw}", plain(&judged.name), plain(&judged.tried)))?;
        if let Some(hint) = judged.hint.as_ref() {
            output.line(&format!("        expected: {}", plain(&judged.expected)))?;
            output.line(&format!("        hint: {}", plain(hint)))?;
        }
    }
    if !attestation.not_applicable.is_empty() {
        let left = attestation.not_applicable.join(", ");
        output.line(&format!(
            "with network \"{}\" these do not apply: {}",
            plain(&attestation.network),
            plain(&left)
        ))?;
    }
    Ok(())
}

/// Shows the attestation that documents name by this digest.
pub(super) async fn show(settings: &Settings, digest: &str, json: bool) -> anyhow::Result<()> {
    let store = database::open_ready(settings, OpenMode::Existing).await?;
    let found = store.attestation(digest).await.context("cannot read attestations")?;
    let Some(row) = found else {
        anyhow::bail!("there is no attestation {} in {}", plain(digest), settings.database.url);
    };
    let mut output = Output::stdout();
    if json {
        // As it is stored: the digest is that of this text.
        return output.line(&row.body);
    }
    let attestation = serde_json::from_str::<Attestation>(&row.body).context("it cannot be read")?;
    for (name, value) in [
        ("program", &attestation.program),
        ("engine", &attestation.engine),
        ("kernel", &attestation.kernel),
        ("runtime", &attestation.runtime),
        ("image", &attestation.image),
        ("network", &attestation.network),
    ] {
        output.line(&format!("{name:<8} {}", plain(value)))?;
    }
    print(&mut output, &attestation, &[])
}

/// There is no engine, image or gateway to try it with.
pub(super) fn not_tried() -> Check {
    let hint = "once the checks above are well, run `safeurl doctor` again";
    Check::failed("walls", "try the walls of a container from the inside", "not tried", hint)
}
