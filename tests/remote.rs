//! The commands on a database on a server: what they say of one that is not prepared, not there, not to be believed or
//! not to be entered.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops")]

#[path = "remote/certificates.rs"]
mod certificates;
#[path = "support/place.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod place;
#[path = "support/sqld.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod sqld;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use place::{Ended, Place};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use sqld::Sqld;

/// Runs a command on this database, with these variables more.
fn run(place: &Place, database: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = place.safeurl(arguments);
    command.env("TURSO_CONNECTION_URL", database).envs(variables.iter().copied());
    Ended::from(command.output().expect("the program starts"))
}

fn assert_done(ended: &Ended) {
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
}

#[test]
fn a_database_on_a_server_is_prepared_by_migrate_alone_and_then_takes_jobs() {
    let place = Place::new("remote-migrate");
    let server = Sqld::start(&place.0.join("sqld"));
    let run = |arguments: &[&str]| run(&place, &server.url(), &[], arguments);
    for command in [&["submit", "https://example.com/"][..], &["jobs", "list"], &["stats"], &["worker"]] {
        let refused = run(command);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{command:?}");
        assert!(refused.err.contains("the remote database is not prepared"), "{}", refused.err);
        assert!(refused.err.contains("\nhint: run `safeurl db migrate`"), "{}", refused.err);
    }
    let status = run(&["db", "status"]);
    assert!(status.out.starts_with(&format!("{}: empty; ", server.url())), "{}{}", status.out, status.err);
    let migrated = run(&["db", "migrate"]);
    assert_done(&migrated);
    assert!(migrated.out.starts_with(&format!("{}: schema 0 -> ", server.url())), "{}", migrated.out);
    assert!(run(&["db", "migrate"]).out.contains("already"));
    let submitted = run(&["submit", "https://example.com/"]);
    assert_done(&submitted);
    let shown = run(&["jobs", "show", "--json", submitted.out.trim()]);
    assert_done(&shown);
    assert!(shown.out.contains("\"state\":\"QUEUED\""), "{}", shown.out);
    let stats = run(&["stats"]);
    assert_done(&stats);
    assert!(stats.out.contains(&server.url()), "{}", stats.out);
}

#[test]
fn a_server_that_is_not_there_is_told_with_its_address() {
    let place = Place::new("remote-gone");
    let mut server = Sqld::start(&place.0.join("sqld"));
    server.kill();
    let refused = run(&place, &server.url(), &[], &["jobs", "list"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("the database is not available"), "{}", refused.err);
    assert!(refused.err.contains("Connection refused"), "{}", refused.err);
}

#[test]
fn a_token_is_sent_and_a_wrong_one_is_told_with_the_variable_that_holds_it() {
    let place = Place::new("remote-token");
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let public = BASE64_URL_SAFE_NO_PAD.encode(key.der_bytes());
    place.write("key", &public);
    let file = place.0.join("key").display().to_string();
    let server = Sqld::start_with(&place.0.join("sqld"), &["--auth-jwt-key-file", &file]);
    let token = |key: &KeyPair| {
        let parts = [r#"{"alg":"EdDSA","typ":"JWT"}"#, r#"{"a":"rw"}"#];
        let text = parts.map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = key.sign(text.as_bytes()).expect("a signature");
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    };
    let wrong = token(&KeyPair::generate_for(&PKCS_ED25519).expect("a key"));
    for variables in [&[][..], &[("TURSO_AUTH_TOKEN", wrong.as_str())]] {
        let refused = run(&place, &server.url(), variables, &["db", "migrate"]);
        assert_eq!(refused.code, Some(1));
        assert!(refused.err.contains("refuses the token (HTTP status 401)"), "{}", refused.err);
        assert!(refused.err.contains("hint: set TURSO_AUTH_TOKEN"), "{}", refused.err);
        assert!(!refused.err.contains(&wrong));
    }
    let right = token(&key);
    assert_done(&run(&place, &server.url(), &[("TURSO_AUTH_TOKEN", &right)], &["db", "migrate"]));
}

#[test]
fn an_address_that_holds_a_secret_is_refused_and_not_shown() {
    let place = Place::new("remote-secret");
    for url in
        ["libsql://db.example/?authToken=s3cret", "https://s3cret@db.example", "wss://s3cret@db.example"]
    {
        let refused = run(&place, url, &[], &["jobs", "list"]);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(!refused.err.contains("s3cret"), "{}", refused.err);
    }
}
