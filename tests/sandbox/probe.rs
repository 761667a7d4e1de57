//! What a probe sees of a container like those for jobs, and of one without protection, where the same tries succeed.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::pin::pin;

use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, DeviceMapping, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
    StartContainerOptions,
};
use futures_util::StreamExt as _;
use safeurl::sandbox::spec::container_spec;
use safeurl::sandbox::{
    Attestation, Engine, Network, Request, Sandbox as _, SandboxError, Waiting as _, image,
};
use safeurl_protocol::probe::{ProbeOrder, ProbeReport, RESTRICTIONS, Seen};
use tokio::io::AsyncWriteExt as _;

use super::support::{ATTEMPT, LONG, Place, allowed, client};

/// A place whose containers hold the fetcher itself.
async fn real(network: Network) -> Place {
    let fetcher = image::build_embedded(&Engine::new(None)).await.expect("the embedded image");
    Place::with("obedient", |config| {
        config.image = fetcher.id;
        config.network = network;
    })
    .await
}

fn broken(attestation: &Attestation) -> Vec<String> {
    let broken = attestation.broken(&[]).into_iter();
    broken.map(|judged| format!("{}: {}", judged.name, judged.saw)).collect()
}

/// What of the door is left to whoever listens: here that it is closed at once.
fn closes(place: &Place) -> tokio::task::JoinHandle<()> {
    let listener = place.listener.try_clone().expect("a copy");
    tokio::task::spawn_blocking(move || drop(listener.accept()))
}

#[tokio::test]
async fn everything_holds_in_a_container_for_jobs() {
    let place = real(Network::None).await;
    let door = closes(&place);
    let attestation = place.docker.probe(&place.request()).await.expect("a probe");
    assert_eq!(broken(&attestation), Vec::<String>::new());
    assert_eq!(attestation.restrictions.len(), RESTRICTIONS.len());
    door.await.expect("it was knocked at");
    assert!(place.docker.list().await.expect("the engine lists").is_empty(), "the container is gone");
}

#[tokio::test]
async fn with_a_bridge_everything_holds_that_is_asked_for() {
    let place = real(Network::Bridge).await;
    let attestation = place.docker.probe(&place.request()).await.expect("a probe");
    assert_eq!(broken(&attestation), Vec::<String>::new());
    assert!(attestation.not_applicable.contains(&"inet-sockets".to_owned()));
}

#[tokio::test]
async fn nothing_holds_that_the_container_is_made_without() {
    let place = real(Network::None).await;
    let sockets = place.door.join("engine.sock");
    fs::write(&sockets, "").expect("our own folder");
    let body = ContainerCreateBody {
        image: Some(place.config.image.clone()),
        cmd: Some(vec!["--probe".to_owned()]),
        user: Some("0:0".to_owned()),
        env: Some(vec!["TOKEN=secret".to_owned()]),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        labels: Some(HashMap::from([("safeurl.instance".to_owned(), place.config.instance.clone())])),
        host_config: Some(HostConfig {
            // Not `privileged`, which an engine inside of a container cannot give.
            cap_add: Some(["SYS_ADMIN", "SYS_CHROOT"].map(str::to_owned).to_vec()),
            security_opt: Some(vec!["seccomp=unconfined".to_owned()]),
            masked_paths: Some(vec![]),
            readonly_paths: Some(vec![]),
            devices: Some(vec![DeviceMapping {
                path_on_host: Some("/dev/zero".to_owned()),
                path_in_container: Some("/dev/one-too-many".to_owned()),
                cgroup_permissions: Some("r".to_owned()),
            }]),
            group_add: Some(vec!["7".to_owned()]),
            network_mode: Some("bridge".to_owned()),
            binds: Some(vec![format!("{}:/run/docker.sock:ro", sockets.display())]),
            pid_mode: Some("host".to_owned()),
            tmpfs: Some(HashMap::from([(
                "/tmp".to_owned(),
                "rw,exec,suid,dev,size=64m,nr_inodes=2k".to_owned(),
            )])),
            memory: Some(256 << 20),
            memory_swap: Some(-1),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let seen = probed(&place, body).await;
    let info = place.docker.engine().info().await.expect("the engine answers");
    let attestation = Attestation::of(&place.config, place.request().uid, &info, seen);
    let lacks: BTreeSet<_> = attestation.broken(&[]).into_iter().map(|judged| judged.name.as_str()).collect();
    let holds: Vec<_> = RESTRICTIONS.iter().filter(|name| !lacks.contains(**name)).collect();
    // A kernel that has no such sockets makes none for anybody, and few engines may hand out the right to its modules.
    let kernels_own = ["alg-sockets", "vsock-sockets", "kernel-modules"];
    assert!(holds.iter().all(|name| kernels_own.contains(name)), "{holds:?} hold of {attestation:#?}");
}

/// What the fetcher sees in a container that is made like this.
async fn probed(place: &Place, body: ContainerCreateBody) -> Vec<Seen> {
    let client = client().await;
    let name = place.request().name;
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    client.create_container(Some(options), body).await.expect("a container");
    let options =
        AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
    let mut streams = client.attach_container(&name, Some(options)).await.expect("its streams");
    client.start_container(&name, None::<StartContainerOptions>).await.expect("it starts");
    let order = ProbeOrder { attempt: ATTEMPT.to_owned(), threads: 72, descriptors: 264 };
    let line = format!("{}\n", serde_json::to_string(&order).expect("JSON"));
    pin!(streams.input).write_all(line.as_bytes()).await.expect("it reads");
    let mut out = Vec::new();
    let mut err = String::new();
    while let Some(Ok(frame)) = streams.output.next().await {
        match frame {
            LogOutput::StdErr { message } => err.push_str(&String::from_utf8_lossy(&message)),
            other => out.extend_from_slice(&other.into_bytes()),
        }
    }
    let answer = out.split(|byte| *byte == b'\n').nth(2).unwrap_or_else(|| panic!("no answer: {err}"));
    serde_json::from_slice::<ProbeReport>(answer).expect("an answer").seen
}

#[tokio::test]
async fn what_is_no_probe_is_told_and_leaves_no_container() {
    for (steps, reason) in [("short-lived", "no space left"), ("stranger", "protocol")] {
        let place = Place::with(steps, |_| {}).await;
        let error = place.docker.probe(&place.request()).await.expect_err("it is none");
        assert!(matches!(error, SandboxError::NotReady { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(place.docker.list().await.expect("the engine lists").is_empty());
    }
}

#[tokio::test]
async fn containers_on_the_bridge_do_not_reach_each_other_and_on_the_engines_own_they_do() {
    let place = Place::with("obedient", |config| config.network = Network::Bridge).await;
    assert!(!reaches(&place, &format!("safeurl-{}", place.config.instance)).await);
    assert!(reaches(&place, "bridge").await, "the same, where nothing forbids it");
}

/// Whether a datagram of one container comes to another, both on this network.
async fn reaches(place: &Place, network: &str) -> bool {
    let first = on(place, network).await;
    let second = on(place, network).await;
    let client = client().await;
    let inspected =
        client.inspect_container(&first, None::<InspectContainerOptions>).await.expect("it is there");
    let listening = place.docker.start(&first).await.expect("the puppet is ready");
    let inspected = match client.inspect_container(&first, None::<InspectContainerOptions>).await {
        Ok(running) => running,
        Err(_) => inspected,
    };
    let networks = inspected.network_settings.and_then(|settings| settings.networks).expect("networks");
    let address = networks[network].ip_address.clone().expect("an address");
    let telling = place.docker.start(&second).await.expect("the puppet is ready");
    // The listener hears for longer than the other one tells.
    let hears = listening.run("hear 4000|exit 0", ATTEMPT, LONG, std::future::pending(), allowed());
    let order = format!("tell {address}|exit 0");
    let tells = telling.run(&order, ATTEMPT, LONG, std::future::pending(), allowed());
    let (heard, told) = tokio::join!(hears, tells);
    assert!(heard.stderr_tail.contains("listening"), "{heard:?}");
    assert_eq!(told.stderr_tail, "");
    for id in [first, second] {
        place.docker.remove(&id).await.expect("it goes");
    }
    heard.stderr_tail.contains("heard=true")
}

/// A container of the place, on this network.
async fn on(place: &Place, network: &str) -> String {
    let request = place.request();
    // Makes the place's own network, as for a job.
    let ours = place.docker.create(&request).await.expect("the engine creates");
    let info = place.docker.engine().info().await.expect("the engine answers");
    let mut body = container_spec(&request, &place.config, info.cgroup);
    if let Some(host) = &mut body.host_config {
        if host.network_mode.as_deref() == Some(network) {
            return ours;
        }
        host.network_mode = Some(network.to_owned());
    }
    place.docker.remove(&ours).await.expect("it goes");
    let options = CreateContainerOptionsBuilder::default().name(&request.name).build();
    client().await.create_container(Some(options), body).await.expect("a container").id
}

#[tokio::test]
async fn a_network_of_that_name_that_lets_containers_talk_is_refused() {
    let place = Place::with("obedient", |config| config.network = Network::Bridge).await;
    let name = format!("safeurl-{}", place.config.instance);
    let request = NetworkCreateRequest { name: name.clone(), ..NetworkCreateRequest::default() };
    client().await.create_network(request).await.expect("a network");
    let request: Request = place.request();
    let error = place.docker.create(&request).await.expect_err("it is not closed");
    assert!(matches!(&error, SandboxError::Weakened { fields } if fields.contains(&name)), "{error:?}");
}
