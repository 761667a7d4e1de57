//! The program as a person runs it.

use std::process::{Command, Output};

use safeurl_protocol::{ErrorClass, Report};

fn program(words: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_safeurl-fetcher"))
        .args(words)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .expect("the program starts")
}

#[test]
fn the_report_stands_alone_on_stdout_and_loopback_is_denied() {
    for (words, env) in [
        (&["--url", "http://127.0.0.1:8080/"][..], &[("JOB_ID", "j9")][..]),
        (&[], &[("SCAN_URL", "http://127.0.0.1:8080/"), ("JOB_ID", "j9")]),
    ] {
        let output = program(words, env);
        assert_eq!(output.status.code(), Some(0));
        let report: Report = serde_json::from_slice(&output.stdout).expect("a report and nothing else");
        assert!(output.stdout.starts_with(b"{\n  \"schema\""));
        assert_eq!(report.attempt, "j9/1");
        let error = report.requests[0].error.as_ref().expect("denied");
        assert_eq!(error.class, ErrorClass::EgressDenied);
        assert!(error.message.contains("loopback"), "{}", error.message);
    }
}

#[test]
fn misuse_is_named_on_stderr_with_its_own_code() {
    for (words, part) in [(&[][..], "SCAN_URL"), (&["--ur"], "--ur"), (&["--url"], "needs a value")] {
        let output = program(words, &[]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(64), &b""[..]));
        assert!(String::from_utf8_lossy(&output.stderr).contains(part));
    }
}

#[test]
fn help_is_no_error() {
    let output = program(&["--help"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("usage: safeurl-fetcher"));
}
