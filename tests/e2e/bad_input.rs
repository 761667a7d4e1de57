//! Every kind of bad input has a message that says what, why and what to do, and its own exit code.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use crate::site::{Site, article};
use crate::stage::{Ran, Stage};

/// The exit code and the words that must be in the message.
#[track_caller]
fn refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "no '{word}' in: {}", ran.err);
    }
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
}

fn rows(stage: &Stage) -> String {
    if !stage.database().exists() {
        return "0".into();
    }
    stage.query("SELECT count(*) FROM scan_jobs")[0][0].clone()
}

#[test]
fn what_is_no_url_is_exit_2_and_no_row() {
    let stage = Stage::new();
    refused(&stage.run(["scan", "not a url"]), 2, &["not a url", "white space"]);
    refused(&stage.run(["scan", "ftp://example.test/x"]), 2, &["ftp", "http and https"]);
    let long = format!("http://example.test/{}", "a".repeat(9000));
    refused(&stage.run(["scan", &long]), 2, &["9020", "8192"]);
    refused(&stage.run(["scan"]), 2, &["URL"]);
    assert_eq!(rows(&stage), "0");
}

#[test]
fn a_bad_line_is_named_with_its_number_and_the_rest_still_goes_in() {
    let stage = Stage::new();
    let ran =
        stage.feed(["submit", "-"], "\u{feff}http://a.test/\n\n# a comment\nftp://b.test/\nhttp://c.test/\n");
    refused(&ran, 2, &["line 4", "ftp"]);
    assert_eq!(ran.out.lines().count(), 2);
    assert_eq!(rows(&stage), "2");
}

#[test]
fn an_unknown_host_is_a_dns_failure_and_a_silent_resolver_is_retried() {
    let resolver = nxdomain();
    let stage = Stage::new();
    let mut command = stage.command(["scan", "http://nobody.test/", "--json"]);
    command.env("SAFEURL_GATEWAY_RESOLVERS", resolver.to_string());
    let output = command.output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{document}");
    assert_eq!(document["job"]["failure"]["class"], "dns", "{document}");
    assert_eq!(document["job"]["failure"]["retryable"], false, "{document}");
}

/// A name server that knows no name.
fn nxdomain() -> std::net::SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0_u8; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut packet) {
            // The question back with QR, RA and RCODE 3 (RFC 1035, 4.1.1), and no other section.
            let mut answer = packet[..length].to_vec();
            answer[2] |= 0x80;
            answer[3] = 0x83;
            answer[6..12].fill(0);
            let end = 12 + answer[12..].iter().position(|b| *b == 0).unwrap() + 5;
            let _ = socket.send_to(&answer[..end], peer);
        }
    });
    address
}

#[test]
fn without_an_engine_scan_and_doctor_end_1_and_a_worker_waits_and_says_for_what() {
    let stage = Stage::new();
    let nowhere = format!("unix://{}/no-engine.sock", stage.dir.display());
    let without = |args: &[&str]| {
        let mut command = stage.command(args);
        command.env("DOCKER_HOST", &nowhere);
        command
    };
    let output = without(&["scan", "http://127.0.0.1:9/"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("no-engine.sock") && err.contains("hint:"), "{err}");
    let output = without(&["doctor", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    for check in checks {
        for key in ["name", "ok", "tried", "saw", "hint"] {
            assert!(check.get(key).is_some(), "no {key} in {check}");
        }
    }
    assert!(checks.iter().any(|check| check["ok"] == false));

    let log = std::fs::File::create(stage.dir.join("worker.log")).unwrap();
    let mut worker = without(&["worker"]).stderr(log).spawn().unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while !stage.log().contains("no-engine.sock") {
        assert!(std::time::Instant::now() < until, "{}", stage.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(worker.try_wait().unwrap().is_none(), "it waits");
    Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().unwrap();
    assert_eq!(worker.wait().unwrap().code(), Some(0), "{}", stage.log());
}

#[test]
fn an_image_that_is_missing_or_not_ours_is_refused_with_the_cure() {
    let stage = Stage::new();
    let ran = stage.run(["scan", "http://127.0.0.1:9/", "--image", "safeurl-no-such-image:none"]);
    refused(&ran, 1, &["safeurl-no-such-image:none", "hint:"]);
    let foreign = format!("safeurl-e2e-foreign-{}", std::process::id());
    let context = stage.dir.join("foreign");
    std::fs::create_dir_all(&context).unwrap();
    std::fs::write(context.join("file"), "x").unwrap();
    std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY file /file\n").unwrap();
    let built = Command::new("docker")
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "-q", "-t", &foreign, context.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let ran = stage.run(["scan", "http://127.0.0.1:9/", "--image", &foreign]);
    let _ = Command::new("docker").args(["rmi", "-f", &foreign]).output();
    refused(&ran, 1, &[&foreign, "safeurl.protocol", "hint:"]);
}

#[test]
fn a_scan_that_no_waiting_can_start_ends_with_the_engines_own_words() {
    let stage = Stage::new();
    let ran = stage.run(["scan", "http://127.0.0.1:9/", "--runtime", "no-such-runtime"]);
    refused(&ran, 1, &["no-such-runtime", "hint:"]);
    assert_eq!(stage.query("SELECT count(*) FROM scan_jobs")[0][0], "0", "nothing was promised");
}

#[test]
fn a_database_that_cannot_be_written_or_is_newer_is_refused() {
    let stage = Stage::new();
    let ran = stage.run(["scan", "http://127.0.0.1:9/", "--database", "file:/proc/safeurl/no.db"]);
    refused(&ran, 1, &["/proc/safeurl/no.db"]);
    assert_eq!(stage.run(["db", "migrate"]).code, Some(0));
    stage.execute("UPDATE meta SET value = '999' WHERE key = 'schema'");
    let ran = stage.run(["scan", "http://127.0.0.1:9/"]);
    refused(&ran, 1, &["999"]);
}

#[test]
fn an_unknown_setting_names_the_one_meant() {
    let stage = Stage::new();
    std::fs::write(stage.dir.join("safeurl.toml"), "[worker]\nconcurency = 3\n").unwrap();
    refused(&stage.run(["config", "show"]), 2, &["concurency", "concurrency"]);
    std::fs::remove_file(stage.dir.join("safeurl.toml")).unwrap();
    let mut command = stage.command(["config", "show"]);
    let output = command.env("SAFEURL_WORKER_CONCURENCY", "3").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SAFEURL_WORKER_CONCURRENCY"));
    refused(&stage.run(["scan", "http://127.0.0.1:9/", "--timeout", "1s"]), 2, &["timeout", "2s"]);
}

#[test]
fn a_denied_address_gets_no_packet() {
    let site = Site::start(|_| article("secret"));
    let stage = Stage::new();
    let mut command = stage.command(["scan", &site.url("/"), "--json"]);
    let output = command.env_remove("SAFEURL_GATEWAY_ALLOW_NETWORKS").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(document["job"]["failure"]["class"], "egress_denied", "{document}");
    assert_eq!(document["egress"][0]["rule"], "loopback", "{document}");
    assert_eq!(site.total(), 0, "nothing arrived");
}
