//! The fetcher's image: built by the worker from what it carries, and usable by hand.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::stage::Stage;

fn docker(args: &[&str]) -> Output {
    Command::new("docker").env("DOCKER_BUILDKIT", "0").args(args).output().expect("the docker client")
}

/// Builds the embedded image and names it.
fn built(stage: &Stage) -> String {
    let built = stage.run(["image", "build"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let shown = stage.run(["image", "show", "--json"]);
    let shown = &shown.json()[0];
    assert!(shown["digest"].as_str().unwrap().starts_with("sha256:"), "{shown}");
    shown["reference"].as_str().unwrap().to_owned()
}

#[test]
fn it_is_small_says_what_it_holds_and_asks_for_nothing() {
    let stage = Stage::new();
    let output = docker(&["image", "inspect", &built(&stage)]);
    let inspected: Value = serde_json::from_slice(&output.stdout).unwrap();
    let image = &inspected[0];
    assert!(image["Size"].as_u64().unwrap() <= 6_000_000, "{}", image["Size"]);
    let config = &image["Config"];
    assert_eq!(config["Labels"]["safeurl.protocol"], "2");
    assert_eq!(config["Labels"]["safeurl.fetcher"].as_str().unwrap().len(), 64);
    assert_eq!(config["User"], "65532:65532");
    assert_eq!((&config["Volumes"], &config["Healthcheck"]), (&Value::Null, &Value::Null));
}

#[test]
fn by_hand_it_prints_a_report_for_a_person() {
    let stage = Stage::new();
    let image = built(&stage);
    let by_flag = docker(&["run", "-i", "--rm", "--network", "none", &image, "--url", "http://127.0.0.1:9/"]);
    let text = String::from_utf8(by_flag.stdout).unwrap();
    assert_eq!(by_flag.status.code(), Some(0), "{text}");
    assert!(text.starts_with("{\n"), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["requests"][0]["error"]["class"], "egress_denied");

    let url = "SCAN_URL=http://127.0.0.1:9/";
    let by_name =
        docker(&["run", "-i", "--rm", "--network", "none", "-e", url, "-e", "JOB_ID=by-hand", &image]);
    let report: Value = serde_json::from_slice(&by_name.stdout).unwrap();
    assert!(report["attempt"].as_str().unwrap().starts_with("by-hand"), "{report}");

    let without = docker(&["run", "-i", "--rm", "--network", "none", &image]);
    assert_eq!(without.status.code(), Some(64));
}

#[test]
fn a_build_from_a_fresh_clone_fails_and_names_the_cure() {
    let stage = Stage::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../images/fetcher");
    let context = stage.dir.join("fetcher");
    std::fs::create_dir(&context).unwrap();
    for name in ["Dockerfile.in", "stage.sh", ".dockerignore"] {
        std::fs::copy(sources.join(name), context.join(name)).unwrap();
    }
    let link = std::fs::read_link(sources.join("Dockerfile")).unwrap();
    std::os::unix::fs::symlink(link, context.join("Dockerfile")).unwrap();
    let failed = docker(&["build", context.to_str().unwrap()]);
    assert!(!failed.status.success());
    let told = String::from_utf8_lossy(&failed.stderr);
    assert!(told.contains("staged-by-make-image"), "{told}");
}
