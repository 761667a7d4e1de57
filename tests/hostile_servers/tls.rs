//! Certificates that nobody should accept, and handshakes that are none.

use std::io::{Read as _, Write as _};

use crate::chains::{self, Shown};
use crate::leftovers;
use crate::scanned::{self, end};
use crate::server::{drip, listen, page, secure};
use crate::stage::Stage;

const HOST: &str = "127.0.0.1";

#[test]
fn a_bad_certificate_is_evidence_and_the_page_is_judged() {
    let number = |n: usize| n.to_string();
    let cases: Vec<(&str, Shown, u64)> = vec![
        ("self-signed", chains::alone(&[HOST], 2000, 4000), 1),
        ("expired on 2020-01-01", chains::alone(&[HOST], 2000, 2020), 1),
        ("not yet valid (only from 3000-01-01 on)", chains::alone(&[HOST], 3000, 4000), 1),
        ("not valid for this name (but for b.test)", chains::alone(&["b.test"], 2000, 4000), 1),
        ("unknown issuer", chains::tower(HOST, 100, number), 10),
        ("unknown issuer", chains::tower(HOST, 100, |_| "same".to_owned()), 10),
        ("unknown issuer", chains::rsa(HOST, 16_384, 1), 2),
        ("unknown issuer", chains::rsa(HOST, 16_384, 10), 10),
        ("not a readable certificate", chains::nonsense(b"no certificate"), 1),
    ];
    let served: Vec<_> = cases
        .into_iter()
        .map(|(error, shown, listed)| {
            let address = secure(chains::server(&shown, &["http/1.1"]), |stream| {
                let _ = stream.write_all(&page("<title>behind</title>"));
            });
            (format!("https://{address}/"), error, listed)
        })
        .collect();
    let stage = Stage::new();
    let urls: Vec<_> = served.iter().map(|(url, ..)| url.clone()).collect();
    let documents = scanned::all(&stage, &urls, "30s");
    for (url, error, listed) in served {
        let document = &documents[&url];
        assert_eq!(end(document), ["COMPLETED", "-", "-"], "{error}: {document}");
        assert_eq!(document["page"]["title"], "behind", "{error}");
        let tls = &document["requests"][0]["tls"];
        assert_eq!(tls["verified"], false, "{error}: {tls}");
        assert!(tls["error"].as_str().is_some_and(|told| told.contains(error)), "{error}: {tls}");
        assert_eq!(tls["chain"].as_array().map(Vec::len), usize::try_from(listed).ok(), "{error}: {tls}");
        assert_eq!(tls["sha256"].as_str().map(str::len), Some(64), "{error}");
        let findings = document["verdict"]["findings"].as_array().unwrap();
        let told =
            findings.iter().any(|found| found["ruleId"].as_str().is_some_and(|id| id.starts_with("tls-")));
        assert!(told, "{error}: {findings:?}");
    }
    leftovers::none_within(&stage, std::time::Duration::from_secs(45));
}

#[test]
fn a_handshake_that_stalls_or_is_none_ends_by_itself() {
    type Play = fn(&mut std::net::TcpStream);
    const TLS: [&str; 3] = ["FAILED", "tls", "tls"];
    const LATE: [&str; 3] = ["TIMED_OUT", "timeout", "timeout"];
    let cases: [(&str, [&str; 3], Play); 7] = [
        ("silence", LATE, |stream| drop(std::io::copy(stream, &mut std::io::sink()))),
        ("a byte a second", LATE, |stream| {
            let _ = stream.write_all(&[22, 3, 3, 0x40, 0]);
            drip(stream);
        }),
        ("a handshake of 16 megabytes", TLS, |stream| {
            let _ = stream.write_all(&[22, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff]);
            let record = [&[22, 3, 3, 0x3e, 0x80][..], &[0; 16_000]].concat();
            while stream.write_all(&record).is_ok() {}
        }),
        (
            "records of nothing",
            TLS,
            |stream| while stream.write_all(&[22, 3, 3, 0, 0].repeat(1_000)).is_ok() {},
        ),
        ("warnings", TLS, |stream| while stream.write_all(&[21, 3, 3, 0, 2, 1, 90].repeat(1_000)).is_ok() {}),
        ("calls to begin again", TLS, |stream| {
            while stream.write_all(&[22, 3, 3, 0, 4, 0, 0, 0, 0].repeat(1_000)).is_ok() {}
        }),
        ("noise", TLS, |stream| {
            let noise: Vec<u8> = (0..=255).collect();
            while stream.write_all(&noise).is_ok() {}
        }),
    ];
    let served: Vec<_> = cases
        .into_iter()
        .map(|(name, expected, play)| {
            let address = listen(move |mut stream| {
                let _ = stream.read(&mut [0; 4096]);
                play(&mut stream);
            });
            (format!("https://{address}/"), name, expected)
        })
        .collect();
    let shown = chains::tower(HOST, 300, |n| n.to_string());
    let long = secure(chains::server(&shown, &[]), |_| {});
    let served = [served, vec![(format!("https://{long}/"), "a chain of 300", TLS)]].concat();
    let stage = Stage::new();
    let urls: Vec<_> = served.iter().map(|(url, ..)| url.clone()).collect();
    let documents = scanned::all(&stage, &urls, "6s");
    for (url, name, expected) in served {
        assert_eq!(end(&documents[&url]), expected, "{name}: {}", documents[&url]);
    }
    leftovers::none_within(&stage, std::time::Duration::from_secs(45));
}
