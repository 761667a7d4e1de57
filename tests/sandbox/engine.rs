//! The engine around the containers: removal, listing, images, and an engine that is not there.

use std::sync::atomic::Ordering;

use safeurl::sandbox::docker::Docker;
use safeurl::sandbox::image::{self, Embedded, ImageError};
use safeurl::sandbox::spec::Cgroup;
use safeurl::sandbox::{Engine, Found, Request, Sandbox as _, SandboxConfig, SandboxError, Waiting as _};

use super::haunted::Haunted;
use super::proxy::Proxy;
use super::support::{Place, bare_config, puppet, sha256};

#[tokio::test]
async fn a_container_is_listed_until_it_is_removed_and_may_be_removed_twice() {
    let place = Place::new().await;
    let request = place.request();
    let id = place.docker.create(&request).await.expect("the engine creates");
    let mut found = Found {
        id: id.clone(),
        name: request.name.clone(),
        worker: "tester".to_owned(),
        role: "fetcher".to_owned(),
        running: false,
    };
    assert_eq!(place.docker.list().await.expect("a list"), [found.clone()]);
    let waiting = place.docker.start(&id).await.expect("the puppet is ready");
    assert_eq!(waiting.id(), id);
    found.running = true;
    assert_eq!(place.docker.list().await.expect("a list"), [found]);
    // Running, by name; then gone, by both.
    for container in [&request.name, &request.name, &id] {
        place.docker.remove(container).await.expect("removed");
    }
    place.docker.kill(&id).await.expect("what is gone is dead");
    assert_eq!(place.docker.list().await.expect("a list"), []);
}

#[tokio::test]
async fn a_list_holds_no_container_of_another_installation() {
    let (one, other) = (Place::new().await, Place::new().await);
    one.docker.create(&one.request()).await.expect("the engine creates");
    assert_eq!(other.docker.list().await.expect("a list"), []);
    assert_eq!(one.docker.list().await.expect("a list").len(), 1);
}

#[tokio::test]
async fn removals_of_the_same_container_at_the_same_time_all_succeed() {
    let place = Place::new().await;
    let waiting = place.waiting().await;
    let removals = (0..4).map(|_| place.docker.remove(waiting.id()));
    for removal in futures_util::future::join_all(removals).await {
        removal.expect("removed by one of them");
    }
}

#[tokio::test]
async fn a_container_whose_making_was_never_answered_is_listed_under_its_name() {
    let place = Place::new().await;
    let mut proxy = Proxy::new(&place);
    let docker = proxy.docker(&place);
    docker.create(&place.request()).await.expect("the engine creates");
    proxy.swallow_answers();
    let request = place.request();
    let answer = docker.create(&request).await;
    assert!(matches!(answer, Err(SandboxError::Unavailable { .. })), "{answer:?}");
    let list = place.docker.list().await.expect("a list");
    let found = list.iter().find(|found| found.name == request.name).expect("it was made");
    assert_eq!((found.worker.as_str(), found.running), ("tester", false));
    place.docker.remove(&request.name).await.expect("removed by the name on record");
    assert!(place.docker.list().await.expect("a list").iter().all(|found| found.name != request.name));
}

#[tokio::test(start_paused = true)]
async fn a_container_that_is_being_removed_for_ever_is_pending_soon_and_not_asked_for_in_a_loop() {
    let ghosts = Haunted::new();
    let config = SandboxConfig { docker_host: Some(ghosts.host()), ..bare_config() };
    let docker = Docker::new(config);
    let begun = tokio::time::Instant::now();
    let answer = docker.remove("ghost").await;
    assert!(
        matches!(&answer, Err(SandboxError::Pending { container, .. }) if container == "ghost"),
        "{answer:?}"
    );
    assert!(begun.elapsed() < std::time::Duration::from_secs(15), "{:?}", begun.elapsed());
    let asked = ghosts.asked.load(Ordering::Relaxed);
    assert!((2..=30).contains(&asked), "{asked} times");
    let list = docker.list().await.expect("a list");
    let listed: Vec<_> = list.iter().map(|found| (found.name.as_str(), found.running)).collect();
    assert_eq!(listed, [("ghost", false), ("corpse", false)]);
}

#[tokio::test]
async fn an_engine_that_says_nothing_of_the_limits_is_given_no_job() {
    let haunted = Haunted::new();
    let docker = Docker::new(SandboxConfig { docker_host: Some(haunted.host()), ..bare_config() });
    let request = Request { name: "ghost".to_owned(), uid: 60_700, door: "/".into(), role: "fetcher" };
    let answer = docker.create(&request).await;
    assert!(
        matches!(&answer, Err(SandboxError::Weakened { fields }) if fields == "HostConfig"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_name_is_given_once() {
    let place = Place::new().await;
    let request = place.request();
    place.docker.create(&request).await.expect("the engine creates");
    match place.docker.create(&request).await {
        Err(SandboxError::Refused { status: 409, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_door_that_is_not_there_is_refused_and_not_made() {
    let place = Place::new().await;
    let mut request = place.request();
    request.door = place.door.join("missing");
    match place.docker.create(&request).await {
        Err(SandboxError::Refused { message, .. }) => assert!(message.contains("missing"), "{message}"),
        other => panic!("{other:?}"),
    }
    assert!(!request.door.exists());
}

#[tokio::test]
async fn a_missing_image_is_named() {
    let place = Place::with("obedient", |config| config.image = "safeurl-test-nowhere:1".to_owned()).await;
    match place.docker.create(&place.request()).await {
        Err(SandboxError::ImageMissing { image }) => assert_eq!(image, "safeurl-test-nowhere:1"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_engine_says_who_it_is() {
    let place = Place::new().await;
    let id = place.docker.engine_id().await.expect("an id");
    assert!(!id.is_empty());
    assert_eq!(place.docker.engine_id().await.expect("an id"), id);
    assert!(place.docker.version().await.expect("a version").api.starts_with("1."));
    let info = place.docker.engine().info().await.expect("info");
    assert!(info.runtimes.contains(&info.default_runtime), "{info:?}");
    assert!(info.security_options.iter().any(|option| option.contains("seccomp")), "{info:?}");
    let unified = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    assert_eq!(info.cgroup, if unified { Cgroup::V2 } else { Cgroup::V1 });
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable_until_it_is() {
    let place = Place::new().await;
    let socket = place.door.join("docker.sock");
    let mut config = place.config.clone();
    config.docker_host = Some(socket.display().to_string());
    let docker = Docker::new(config);
    match docker.version().await {
        Err(error @ SandboxError::Unavailable { .. }) => {
            assert!(error.to_string().contains("docker.sock"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket).expect("a link");
    docker.version().await.expect("the same handle finds it");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_accepts_and_never_answers_is_unavailable() {
    let folder = std::env::temp_dir().join(format!("safeurl-test-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&folder).expect("a new folder");
    let socket = folder.join("docker.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a short path");
    let answer = Engine::new(socket.to_str()).ping().await;
    assert!(matches!(answer, Err(SandboxError::Unavailable { .. })), "{answer:?}");
    drop(listener);
    std::fs::remove_dir_all(&folder).expect("our own folder");
}

#[tokio::test]
async fn an_image_is_ours_missing_or_another_program() {
    let engine = Engine::new(None);
    let ours = puppet("obedient").await;
    let image = image::resolve(&engine, Some(&ours)).await.expect("labelled");
    assert_eq!(image.reference, ours);
    assert!(image.id.starts_with("sha256:"));
    assert_eq!(image.fetcher_sha256.len(), 64);
    let by_id = image::resolve(&engine, Some(&image.id)).await.expect("the same image");
    assert_eq!(by_id.fetcher_sha256, image.fetcher_sha256);

    let missing = image::resolve(&engine, Some("safeurl-test-nowhere:1")).await;
    assert!(matches!(missing, Err(ImageError::Missing { .. })), "{missing:?}");
    assert!(missing.expect_err("missing").hint().is_some());

    let old = "FROM scratch\nCOPY staged-by-make-image/safeurl-fetcher /old\nLABEL safeurl.test=sandbox\n";
    let tag = format!("safeurl-test-old:{}", uuid::Uuid::new_v4().simple());
    image::build(&engine, &tag, old, b"old").await.expect("the image builds");
    let stranger = image::resolve(&engine, Some(&tag)).await;
    assert!(matches!(stranger, Err(ImageError::NotOurs { .. })), "{stranger:?}");
    remove_image(&tag).await;
}

#[tokio::test]
async fn an_embedded_fetcher_is_missing_until_it_is_built_and_must_be_what_its_image_says() {
    let engine = Engine::new(None);
    let program: &'static [u8] = uuid::Uuid::new_v4().into_bytes().to_vec().leak();
    let dockerfile = |digest: &str| -> &'static str {
        format!(
            "FROM scratch\nCOPY staged-by-make-image/safeurl-fetcher /safeurl-fetcher\n\
             LABEL safeurl.test=sandbox safeurl.protocol=2 safeurl.fetcher={digest}\n"
        )
        .leak()
    };
    let good = Embedded { binary: program, dockerfile: dockerfile(&sha256(program)) };
    let missing = good.find(&engine).await;
    assert!(matches!(missing, Err(ImageError::Missing { .. })), "{missing:?}");
    let image = good.build(&engine).await.expect("the image builds");
    assert_eq!((&image.reference, &image.fetcher_sha256), (&good.reference(), &good.sha256()));
    assert_eq!(good.find(&engine).await.expect("it is there"), image);

    let lying = Embedded { dockerfile: dockerfile(&sha256(b"another")), ..good };
    let refused = lying.build(&engine).await;
    assert!(matches!(refused, Err(ImageError::NotOurs { .. })), "{refused:?}");
    remove_image(&good.reference()).await;
    remove_image(&image.id).await;
}

#[tokio::test]
async fn a_build_that_fails_says_why() {
    let wrong = "FROM scratch\nCOPY nothing /x\n";
    let answer = image::build(&Engine::new(None), "safeurl-test-wrong:1", wrong, b"").await;
    match answer {
        Err(ImageError::Build { message, .. }) => assert!(message.contains("nothing"), "{message}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_build_that_comes_upon_an_image_that_is_gone_is_done_again_with_layers_of_its_own() {
    let haunted = Haunted::new();
    let engine = Engine::new(Some(&haunted.host()));
    image::build(&engine, "safeurl-test-gone:1", "FROM scratch\n", b"").await.expect("the second time");
}

async fn remove_image(tag: &str) {
    let client = bollard::Docker::connect_with_unix_defaults().expect("a socket");
    let client = client.negotiate_version().await.expect("an engine");
    let options = None::<bollard::query_parameters::RemoveImageOptions>;
    client.remove_image(tag, options, None).await.expect("an image of ours");
}
