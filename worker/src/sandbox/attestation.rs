//! What a container turned out to be: each restriction with what was tried, expected and seen.
//!
//! Pure. A probe container says what happened to its tries and the engine what it made; here both are held against
//! what was asked for. An attestation has no time and no user id in it, so that the same walls have the same digest,
//! which every document names.

use std::collections::BTreeMap;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use safeurl_protocol::probe::{RESTRICTIONS, Seen};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::engine::EngineInfo;
use super::spec;
use super::{Network, SandboxConfig};

mod restriction;

use restriction::{ITS_OWN, Restriction, TABLE};

/// The restriction that stands for the engine's word on everything asked for.
pub const AS_ASKED: &str = "as-asked";

/// What held and what did not. Its fields stand in the order of the JSON that the digest is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// The shape of this structure; 1.
    pub attestation: u32,
    /// Version of the program that probed.
    pub program: String,
    /// Name and version of the engine.
    pub engine: String,
    /// Its id.
    pub engine_id: String,
    /// The engine's host.
    pub kernel: String,
    /// The OCI runtime.
    pub runtime: String,
    /// Id of the image.
    pub image: String,
    /// `none` or `bridge`.
    pub network: String,
    /// What does not apply to this network, and was not judged.
    pub not_applicable: Vec<String>,
    /// Everything that was judged.
    pub restrictions: Vec<Judged>,
}

/// One restriction, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Its name, one of [`RESTRICTIONS`].
    pub name: String,
    /// What was tried.
    pub tried: String,
    /// What should have come of it.
    pub expected: String,
    /// What came of it.
    pub saw: String,
    /// Whether it is as it should be.
    pub holds: bool,
    /// What to do about it, when it does not hold.
    pub hint: Option<String>,
}

/// What a container was asked to be, as far as restrictions depend on it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) network: Network,
    pub(super) memory_bytes: u64,
    pub(super) millicpus: u64,
    pub(super) pids: u64,
    pub(super) cpu_seconds: u64,
}

impl Asked {
    pub(super) fn of(config: &SandboxConfig) -> Self {
        Self {
            network: config.network,
            memory_bytes: config.memory_bytes,
            millicpus: (config.cpus * 1000.0) as u64,
            pids: config.pids,
            cpu_seconds: spec::cpu_seconds(config.timeout),
        }
    }
}

impl Attestation {
    /// Holds what was seen against what was asked for. What nobody saw does not hold.
    #[must_use]
    pub fn of(config: &SandboxConfig, uid: u32, info: &EngineInfo, seen: Vec<Seen>) -> Self {
        let asked = Asked::of(config);
        let own = uid.to_string();
        // Each container has another, which says nothing about the walls.
        let saw = |saw: String| if saw == own { ITS_OWN.to_owned() } else { saw };
        let seen: BTreeMap<_, _> = seen
            .into_iter()
            .map(|seen| match seen.name.as_str() {
                "user" | "groups" => (seen.name, saw(seen.saw)),
                _ => (seen.name, seen.saw),
            })
            .collect();
        let runtime = config.runtime.clone().unwrap_or_else(|| info.default_runtime.clone());
        let (judged, left): (Vec<_>, Vec<_>) =
            TABLE.iter().partition(|restriction| (restriction.applies)(config.network));
        Self {
            attestation: 1,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            engine: format!("docker {}", info.version),
            engine_id: info.id.clone(),
            kernel: info.kernel.clone(),
            image: config.image.clone(),
            network: config.network.as_str().to_owned(),
            not_applicable: left.iter().map(|restriction| restriction.name.to_owned()).collect(),
            restrictions: judged.iter().map(|known| judge(known, &asked, &runtime, &seen)).collect(),
            runtime,
        }
    }

    /// What does not hold and is not among the names of what may be so.
    #[must_use]
    pub fn broken(&self, accepted: &[String]) -> Vec<&Judged> {
        let broken = self.restrictions.iter().filter(|judged| !judged.holds);
        broken.filter(|judged| !accepted.contains(&judged.name)).collect()
    }

    /// The text that is stored, and of which the digest is made: compact JSON, fields in their order.
    ///
    /// # Panics
    /// Never: text, numbers and lists are always JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text, numbers and lists are JSON")
    }

    /// SHA-256 of [`to_json`](Self::to_json), as small hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(&self.to_json())
    }
}

fn judge(known: &Restriction, asked: &Asked, runtime: &str, seen: &BTreeMap<String, String>) -> Judged {
    let expected = (known.expected)(asked);
    let saw = seen.get(known.name).map_or("not tried", String::as_str);
    let holds = expected.is_met(saw);
    // Kept and shown to people, so it is no longer than a line, whatever a container says.
    let saw = saw.chars().filter(|c| !c.is_control()).take(500).collect();
    Judged {
        name: known.name.to_owned(),
        tried: known.tried.to_owned(),
        expected: expected.to_string(),
        saw,
        holds,
        hint: (!holds).then(|| restriction::hint(known, runtime)),
    }
}

/// What the engine itself says about the container it made.
pub(super) fn told_by_engine(asked: &ContainerCreateBody, made: &ContainerInspectResponse) -> Vec<Seen> {
    let seen = |name: &str, saw: String| Seen { name: name.to_owned(), saw };
    let options = |body: Option<&Vec<String>>| {
        let profile = body.into_iter().flatten().find_map(|option| option.strip_prefix("seccomp="));
        profile.map_or_else(|| "none".to_owned(), sha256)
    };
    let wanted = options(asked.host_config.as_ref().and_then(|host| host.security_opt.as_ref()));
    let found = options(made.host_config.as_ref().and_then(|host| host.security_opt.as_ref()));
    let paths = made.host_config.as_ref().map_or((0, 0), |host| {
        let count = |paths: &Option<Vec<String>>| paths.as_ref().map_or(0, Vec::len);
        (count(&host.masked_paths), count(&host.readonly_paths))
    });
    let weakened = spec::weakened(asked, made);
    let same = |same: bool| if same { "yes" } else { "no" }.to_owned();
    vec![
        seen("seccomp-profile", same(wanted == found && found != "none")),
        seen(AS_ASKED, if weakened.is_empty() { "none".to_owned() } else { weakened.join(", ") }),
        seen("masked-paths", same(paths.0 > 3 && paths.1 > 3)),
    ]
}

/// Whether the engine gives containers other user ids than it says: the gateway tells them apart by these.
pub(super) fn user_ids(info: &EngineInfo) -> Seen {
    let shifts = |name: &&str| {
        info.security_options
            .iter()
            .any(|option| option.split(',').any(|part| part == format!("name={name}")))
    };
    let shifting: Vec<_> = ["userns", "rootless"].into_iter().filter(shifts).collect();
    let saw = if shifting.is_empty() { "none".to_owned() } else { shifting.join(", ") };
    Seen { name: "user-ids".to_owned(), saw }
}

/// What decides how a container turns out: where this is the same, an attestation of before still says how it is.
#[must_use]
pub fn circumstances(config: &SandboxConfig, info: &EngineInfo) -> String {
    let request = super::Request { name: String::new(), uid: 0, door: std::path::PathBuf::new(), role: "" };
    let constant = SandboxConfig { worker: String::new(), ..config.clone() };
    let spec = spec::container_spec(&request, &constant, info.cgroup);
    let spec = serde_json::to_string(&serde_json::to_value(spec).unwrap_or_default()).unwrap_or_default();
    let host = [&info.id, &info.version, &info.kernel, &info.default_runtime, &info.cgroup_driver];
    let options = info.security_options.join(",");
    let host = host.map(String::as_str).join("\n");
    sha256(&[env!("CARGO_PKG_VERSION"), &spec, &host, &options, &RESTRICTIONS.join(",")].join("\n"))
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
