use super::super::spec::Cgroup;
use super::*;
use crate::sandbox::Request;
use crate::sandbox::sample::{config, info};

/// What an attestation without a flaw was made of.
fn good(config: &SandboxConfig) -> Vec<Seen> {
    let asked = Asked::of(config);
    let saw = |known: &Restriction| match (known.expected)(&asked) {
        restriction::Expected::Exactly(text) => text,
        restriction::Expected::Refused => "refused: EPERM".to_owned(),
        restriction::Expected::AtMost(number) | restriction::Expected::AtLeast(number) => number.to_string(),
        restriction::Expected::Among(known) => known.first().copied().unwrap_or("none").to_owned(),
    };
    TABLE.iter().map(|known| Seen { name: known.name.to_owned(), saw: saw(known) }).collect()
}

#[test]
fn the_table_has_the_names_that_settings_know_in_their_order() {
    let names: Vec<_> = TABLE.iter().map(|known| known.name).collect();
    assert_eq!(names, RESTRICTIONS);
    assert!(names.len() >= 20);
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
}

#[test]
fn what_was_not_tried_does_not_hold_whatever_it_is() {
    let attestation = Attestation::of(&config(), 60600, &info(), Vec::new());
    let held: Vec<_> = attestation.restrictions.iter().filter(|judged| judged.holds).collect();
    assert!(held.is_empty(), "{held:?}");
    assert!(attestation.restrictions.iter().all(|judged| judged.saw == "not tried" && judged.hint.is_some()));
}

#[test]
fn each_restriction_by_itself_breaks_an_attestation_and_can_be_accepted_by_its_name() {
    let whole = Attestation::of(&config(), 60600, &info(), good(&config()));
    assert_eq!(whole.broken(&[]), Vec::<&Judged>::new());
    for known in TABLE {
        for loose in ["done", "18446744073709551615", "", "answered", "/etc/shadow rw", "refused"] {
            let mut seen = good(&config());
            for seen in seen.iter_mut().filter(|seen| seen.name == known.name) {
                seen.saw = loose.to_owned();
            }
            let attestation = Attestation::of(&config(), 60600, &info(), seen);
            let broken = attestation.broken(&[]);
            if known.name == "out-of-memory-first" && loose.starts_with('1') {
                continue;
            }
            assert_eq!(
                broken.iter().map(|judged| judged.name.as_str()).collect::<Vec<_>>(),
                [known.name],
                "{loose}"
            );
            let hint = broken[0].hint.as_deref().unwrap_or_default();
            assert!(hint.contains(&format!("name {} in sandbox.accept", known.name)), "{hint}");
            assert!(attestation.broken(&[known.name.to_owned()]).is_empty());
            assert_ne!(attestation.digest(), whole.digest());
        }
    }
}

#[test]
fn a_network_leaves_out_what_it_makes_impossible_and_says_so() {
    let config = SandboxConfig { network: Network::Bridge, ..config() };
    let attestation = Attestation::of(&config, 60600, &info(), good(&config));
    let left = ["user-ids", "inet-sockets", "inet6-sockets", "network-cards", "routes", "door", "door-files"];
    assert_eq!(attestation.not_applicable, left);
    assert_eq!(attestation.restrictions.len() + left.len(), RESTRICTIONS.len());
}

#[test]
fn the_digest_is_that_of_the_text_and_the_same_for_every_user_id() {
    let of = |uid: u32| {
        let mut seen = good(&config());
        seen[0].saw = uid.to_string();
        Attestation::of(&config(), uid, &info(), seen)
    };
    assert_eq!(of(60600), of(60777));
    let attestation = of(60600);
    let read: Attestation = serde_json::from_str(&attestation.to_json()).expect("it is JSON");
    assert_eq!((read.digest(), &read), (sha256(&attestation.to_json()), &attestation));
    assert_eq!(attestation.digest().len(), 64);
}

#[test]
fn what_a_container_says_is_one_short_line() {
    let mut seen = good(&config());
    seen[0].saw = format!("\u{1b}[2J\n{}", "x".repeat(100_000));
    let attestation = Attestation::of(&config(), 60600, &info(), seen);
    assert!(attestation.restrictions[0].saw.len() <= 500);
    assert!(!attestation.restrictions[0].saw.contains(char::is_control));
}

#[test]
fn whatever_changes_a_container_changes_its_circumstances_and_whose_it_is_does_not() {
    let same = circumstances(&config(), &info());
    assert_eq!(same, circumstances(&SandboxConfig { worker: "another".to_owned(), ..config() }, &info()));
    let changed = [
        circumstances(&SandboxConfig { image: "sha256:2".to_owned(), ..config() }, &info()),
        circumstances(&SandboxConfig { pids: 65, ..config() }, &info()),
        circumstances(&SandboxConfig { memory_bytes: 1 << 30, ..config() }, &info()),
        circumstances(&SandboxConfig { network: Network::Bridge, ..config() }, &info()),
        circumstances(&SandboxConfig { runtime: Some("runsc".to_owned()), ..config() }, &info()),
        circumstances(&config(), &EngineInfo { kernel: "6.2".to_owned(), ..info() }),
        circumstances(&config(), &EngineInfo { version: "24".to_owned(), ..info() }),
        circumstances(&config(), &EngineInfo { security_options: Vec::new(), ..info() }),
    ];
    assert!(changed.iter().all(|changed| *changed != same));
}

#[test]
fn an_engine_that_shifts_user_ids_is_noticed() {
    let saw = |options: &[&str]| {
        let security_options = options.iter().map(|option| (*option).to_owned()).collect();
        user_ids(&EngineInfo { security_options, ..info() }).saw
    };
    assert_eq!(saw(&["name=seccomp,profile=default"]), "none");
    assert_eq!(saw(&["name=seccomp,profile=default", "name=userns"]), "userns");
    assert_eq!(saw(&["name=rootless", "name=cgroupns"]), "rootless");
}

#[test]
fn an_engine_that_leaves_something_out_is_told_by_what_it_made() {
    let request = Request { name: "n".to_owned(), uid: 60600, door: "/door".into(), role: "fetch" };
    let asked = spec::container_spec(&request, &config(), Cgroup::V1);
    let mut made = ContainerInspectResponse {
        config: Some(bollard::models::ContainerConfig { user: asked.user.clone(), ..Default::default() }),
        host_config: asked.host_config.clone(),
        ..Default::default()
    };
    let paths = || Some(["/proc/a", "/proc/b", "/proc/c", "/proc/d"].map(str::to_owned).to_vec());
    let host = made.host_config.as_mut().expect("set");
    (host.masked_paths, host.readonly_paths) = (paths(), paths());
    let saw = |made: &_| told_by_engine(&asked, made).into_iter().map(|seen| seen.saw).collect::<Vec<_>>();
    assert_eq!(saw(&made), ["yes", "none", "yes"]);
    let host = made.host_config.as_mut().expect("set");
    (host.masked_paths, host.security_opt, host.privileged) = (None, None, Some(true));
    assert_eq!(saw(&made), ["no", "Privileged, SecurityOpt, MaskedPaths", "no"]);
}
