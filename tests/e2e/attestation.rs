//! The evidence that containers are closed: shown by the doctor, asked for by a worker, named by each document.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::site::{Answer, Site, article};
use crate::stage::Stage;

fn docker(args: &[&str]) -> std::process::Output {
    Command::new("docker").env("DOCKER_BUILDKIT", "0").args(args).output().expect("the docker client")
}

/// An image with our fetcher in it whose containers have a variable too many; removed with it.
struct Leaky(String);

impl Leaky {
    fn new(stage: &Stage) -> Self {
        assert_eq!(stage.run(["image", "build"]).code, Some(0));
        let shown = stage.run(["image", "show", "--json"]);
        let ours = shown.json()[0]["reference"].as_str().unwrap().to_owned();
        let context = stage.dir.join("leaky");
        std::fs::create_dir_all(&context).unwrap();
        std::fs::write(context.join("Dockerfile"), format!("FROM {ours}\nENV TOKEN=secret\n")).unwrap();
        let name = format!("safeurl-e2e-leaky-{}", std::process::id());
        let built = docker(&["build", "-q", "-t", &name, context.to_str().unwrap()]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self(name)
    }
}

impl Drop for Leaky {
    fn drop(&mut self) {
        docker(&["rmi", "-f", &self.0]);
    }
}

/// Every restriction of a report, by its name.
fn restrictions(attestation: &Value) -> Vec<(&str, bool)> {
    let all = attestation["restrictions"].as_array().expect("a list");
    all.iter().map(|one| (one["name"].as_str().unwrap(), one["holds"].as_bool().unwrap())).collect()
}

#[test]
fn the_doctor_shows_every_restriction_and_they_hold() {
    let stage = Stage::new();
    assert_eq!(stage.run(["image", "build"]).code, Some(0));
    let ran = stage.run(["doctor", "--json"]);
    let report = &ran.json()[0];
    let attestation = &report["attestation"];
    let all = restrictions(attestation);
    let broken: Vec<_> = all.iter().filter(|(_, holds)| !holds).collect();
    assert!(broken.is_empty(), "{broken:?} of {attestation}");
    assert!(all.len() >= 20, "{}", all.len());
    for one in attestation["restrictions"].as_array().unwrap() {
        for key in ["tried", "expected", "saw"] {
            assert!(one[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {one}");
        }
    }
    let walls = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "walls").unwrap();
    assert_eq!(walls["ok"], true, "{walls}");

    let text = stage.run(["doctor"]).out;
    for (name, _) in &all {
        assert!(text.lines().any(|line| line.starts_with(&format!("ok      {name} "))), "{name}: {text}");
    }
    assert!(text.contains(attestation["digest"].as_str().unwrap()));
    assert!(!stage.database().exists(), "a doctor makes no database");
}

#[test]
fn each_document_names_the_attestation_which_can_be_read_and_is_not_made_again() {
    let (stage, site) = (Stage::new(), Site::start(|_| article("Walls")));
    let first = stage.run(["scan", &site.url("/"), "--json"]);
    let digest = first.json()[0]["sandbox"]["attestation"].as_str().expect("a digest").to_owned();
    let shown = stage.run(["doctor", "--attestation", &digest, "--json"]);
    let body = shown.out.trim_end_matches('\n');
    let summed: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(summed, digest, "the digest is that of the text");
    let attestation: Value = serde_json::from_str(body).unwrap();
    assert!(restrictions(&attestation).iter().all(|(_, holds)| *holds), "{body}");
    assert_eq!(attestation["image"], first.json()[0]["sandbox"]["imageDigest"]);

    let probed = "SELECT last_ms FROM attestations";
    let before = stage.query(probed);
    let second = stage.run(["scan", &site.url("/"), "--json"]);
    assert_eq!(second.json()[0]["sandbox"]["attestation"], digest.as_str());
    assert_eq!(stage.query(probed), before, "the second scan found the attestation of the first");
    assert_eq!(stage.query("SELECT count(*) FROM containers")[0][0], "0", "the probe's record is gone");
    let doctor = stage.run(["doctor", "--json"]);
    let theirs = &doctor.json()[0]["attestation"];
    assert_eq!(theirs["restrictions"], attestation["restrictions"]);
    assert_eq!(theirs["digest"], digest.as_str(), "the same walls");

    let unknown = stage.run(["doctor", "--attestation", "0000"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("no attestation 0000"), "{unknown:?}");
}

#[test]
fn a_document_of_a_scan_that_failed_or_ran_out_of_time_names_it_too() {
    let site = Site::start(|path| match path {
        "/silent" => Answer::Silence,
        "/garbage" => Answer::Raw(b"\x00\x01 not http\r\n\r\n".to_vec()),
        _ => article("Walls"),
    });
    let stage = Stage::new();
    let scanned = |url: String| {
        let ran = stage.run(["scan", &url, "--json", "--timeout", "3s"]);
        ran.json().into_iter().next().unwrap_or_else(|| panic!("{ran:?}"))
    };
    let whole = scanned(site.url("/"));
    let digest = &whole["sandbox"]["attestation"];
    assert!(digest.as_str().is_some_and(|digest| digest.len() == 64), "{whole}");
    for (url, state) in [
        (site.url("/garbage"), "FAILED"),
        (site.url("/silent"), "TIMED_OUT"),
        // No packet left, and there was a container all the same.
        ("http://127.0.0.2:9/".to_owned(), "FAILED"),
    ] {
        let document = scanned(url);
        assert_eq!(document["job"]["state"], state, "{document}");
        assert_eq!(&document["sandbox"]["attestation"], digest, "{document}");
        let shown = stage.run(["jobs", "show", "--json", document["job"]["id"].as_str().expect("an id")]);
        assert_eq!(&shown.json()[0]["sandbox"]["attestation"], digest, "as it is stored");
    }
}

#[test]
fn a_runtime_that_the_engine_does_not_have_is_told_with_what_to_do() {
    let stage = Stage::new();
    assert_eq!(stage.run(["image", "build"]).code, Some(0));
    let have = docker(&["info", "--format", "{{range $name, $_ := .Runtimes}}{{$name}} {{end}}"]).stdout;
    let have = String::from_utf8(have).expect("names");
    let lacks = |name: &&str| !have.split(' ').any(|known| known == *name);
    for (runtime, peculiar) in [("no-such", ""), ("runsc", "--host-uds=open"), ("crun", "control groups")]
        .into_iter()
        .filter(|(runtime, _)| lacks(runtime))
    {
        let text = stage.run(["doctor", "--runtime", runtime]);
        assert_eq!(text.code, Some(1), "{text:?}");
        let lines: Vec<&str> = text.out.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("FAILED  runtime ")).expect("it is told");
        for part in [runtime, "the engine has ", "runc", " and not this one"] {
            assert!(lines[at].contains(part), "{part}: {}", lines[at]);
        }
        for part in ["hint: ", "daemon.json", "sandbox.runtime", peculiar] {
            assert!(lines[at + 1].contains(part), "{part}: {}", lines[at + 1]);
        }
        let report = stage.run(["doctor", "--runtime", runtime, "--json"]);
        let checks = report.json()[0]["checks"].as_array().expect("checks").clone();
        let failed: Vec<_> = checks.iter().filter(|check| check["ok"] == false).collect();
        let names: Vec<_> = failed.iter().map(|check| &check["name"]).collect();
        assert_eq!((report.code, names), (Some(1), vec![&"runtime".into(), &"walls".into()]), "{report:?}");
        // What follows from it blames nothing else.
        assert_eq!(failed[1]["saw"], "not tried");
        assert!(failed[1]["hint"].as_str().is_some_and(|hint| hint.contains("checks above")), "{failed:?}");
        assert!(report.json()[0]["attestation"].is_null());
    }
    assert_eq!(stage.run(["doctor", "--runtime", "runc"]).code, Some(0), "one that it has");
}

#[test]
fn a_user_that_the_gateway_cannot_have_is_told_by_every_command_before_anything_is_started() {
    for user in ["root", "60600", "web:web"] {
        let stage = Stage::new().with("SAFEURL_GATEWAY_USER", user);
        for command in [&["config", "show"][..], &["doctor"], &["scan", "http://127.0.0.1:9/"], &["worker"]] {
            let ran = stage.run(command);
            assert_eq!(ran.code, Some(2), "{command:?} {ran:?}");
            for part in ["gateway.user", user, "accepted: ", "60600 to 65533"] {
                assert!(ran.err.contains(part), "{part}: {}", ran.err);
            }
        }
        assert!(!stage.database().exists());
    }
    // Only this machine knows its names.
    let stage = Stage::new().with("SAFEURL_GATEWAY_USER", "no-such-user-here");
    let doctor = stage.run(["doctor"]);
    let gateway = doctor.out.split_once("FAILED  gateway ").expect("it is told").1;
    assert_eq!(doctor.code, Some(1));
    for part in ["no-such-user-here", "/etc/passwd", "hint: change gateway.user"] {
        assert!(gateway.contains(part), "{part}: {gateway}");
    }
}

#[test]
fn a_worker_does_not_start_when_a_restriction_does_not_hold_unless_a_setting_names_it() {
    let stage = Stage::new();
    let leaky = Leaky::new(&stage);
    let refused = stage.run(["worker", "--image", &leaky.0]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in ["environment", "TOKEN", "hint: `safeurl doctor`", "sandbox.accept"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
    assert!(!refused.err.contains("secret"), "names alone: {}", refused.err);
    let doctor = stage.run(["doctor", "--json", "--image", &leaky.0]);
    let report = &doctor.json()[0];
    let broken: Vec<_> =
        restrictions(&report["attestation"]).into_iter().filter(|(_, holds)| !holds).collect();
    assert_eq!((doctor.code, broken), (Some(1), vec![("environment", false)]));
    let scan = stage.run(["scan", "http://127.0.0.1:9/", "--image", &leaky.0]);
    assert!(scan.code == Some(1) && scan.err.contains("environment"), "{scan:?}");

    let stage = stage.with("SAFEURL_SANDBOX_ACCEPT", "environment");
    assert_eq!(stage.run(["doctor", "--image", &leaky.0]).code, Some(0));
    let mut worker = stage.worker(&["--image", &leaky.0]);
    let until = Instant::now() + Duration::from_secs(30);
    while !stage.log().contains("taking jobs") {
        assert!(worker.0.try_wait().unwrap().is_none() && Instant::now() < until, "{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(stage.log().contains("containers lack restrictions"), "{}", stage.log());
    worker.signal("-TERM");
    assert_eq!(worker.end(), Some(0), "{}", stage.log());
}

#[test]
fn a_name_that_is_no_restriction_is_refused_with_those_that_are() {
    let stage = Stage::new().with("SAFEURL_SANDBOX_ACCEPT", "swap,seccop");
    let ran = stage.run(["doctor"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for part in ["sandbox.accept", "\"seccop\"", "is no restriction", "seccomp, ", "swap, "] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
}
