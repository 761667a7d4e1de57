//! Chains without end, and credentials on the way.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crate::scanned;
use crate::server::{page, path, plain};
use crate::stage::Stage;

fn sent_on(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// A site of a thousand pages that send on to the next.
fn thousand() -> String {
    let address = plain(|head, stream| {
        let at: u32 = path(head).trim_start_matches('/').parse().unwrap_or(0);
        let answer = if at < 1_000 { sent_on(&format!("/{}", at + 1)) } else { page("<title>end</title>") };
        let _ = stream.write_all(&answer);
    });
    format!("http://{address}/0")
}

#[test]
fn a_chain_of_a_thousand_ends_where_the_settings_say() {
    let url = thousand();
    for (settings, hops, class) in [
        (&[][..], 11, "too_many_redirects"),
        (
            &[("SAFEURL_FETCH_MAX_REDIRECTS", "50"), ("SAFEURL_GATEWAY_MAX_CONNECTIONS", "100")],
            51,
            "too_many_redirects",
        ),
        // The way out has a budget of its own, which is 32 connections.
        (&[("SAFEURL_FETCH_MAX_REDIRECTS", "50")], 33, "budget"),
    ] {
        let stage = settings.iter().fold(Stage::new(), |stage, (name, value)| stage.with(name, *value));
        let document = &scanned::all(&stage, std::slice::from_ref(&url), "30s")[&url];
        let requests = document["requests"].as_array().unwrap();
        assert_eq!(document["job"]["state"], "COMPLETED", "{document}");
        let last = requests.last().unwrap();
        assert_eq!((requests.len(), last["error"]["class"].as_str()), (hops, Some(class)), "{last}");
    }
}

#[test]
fn credentials_on_the_way_are_sent_to_nobody_and_shown_to_nobody() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&heads);
    let address = plain(move |head, stream| {
        heard.lock().unwrap().push(head.to_owned());
        let own = head.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default();
        let answer = match path(head) {
            "/location" => sent_on(&format!("http://admin:s3cret-pw@{own}/refresh")),
            "/refresh" => {
                let refresh = format!("Refresh: 0; url=http://admin:s3cret-pw@{own}/in\r\n");
                format!("HTTP/1.1 200 OK\r\n{refresh}Content-Length: 0\r\n\r\n").into_bytes()
            }
            _ => page("<title>in</title>"),
        };
        let _ = stream.write_all(&answer);
    });
    let stage = Stage::new().with("SAFEURL_LOG_LEVEL", "debug");
    let url = format!("http://{address}/location");
    let shown = stage.run(["scan", &url]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let ran = stage.run(["scan", &url, "--json"]);
    let document = &ran.json()[0];
    assert_eq!(document["page"]["title"], "in", "{document}");
    let to = document["requests"][0]["redirect"]["to"].as_str().unwrap();
    assert_eq!(to, format!("http://admin:***@{address}/refresh"));
    for text in [&shown.out, &shown.err, &ran.out, &ran.err] {
        assert!(!text.contains("s3cret-pw"), "{text}");
    }
    for table in ["documents", "scan_results", "audit_logs", "attempts", "transitions"] {
        for row in stage.query(&format!("SELECT * FROM {table}")) {
            assert!(row.iter().all(|value| !value.contains("s3cret-pw")), "{table}: {row:?}");
        }
    }
    let heads = heads.lock().unwrap();
    assert!(heads.len() >= 6, "{heads:?}");
    for head in heads.iter() {
        // "admin:s3cret-pw" in base64, as it would be sent.
        for secret in ["s3cret-pw", "admin", "Authorization", "YWRtaW46czNjcmV0LXB3"] {
            assert!(!head.contains(secret), "{head}");
        }
    }
}
