//! TLS servers, good enough and bad.

mod chains;
mod records;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use safeurl_protocol::{ErrorClass, Tls};
use sha2::{Digest as _, Sha256};

use crate::rig::{Door, Rig, class, listen, page, title};

/// A TLS server with a certificate of its own making for `names`, and that certificate.
fn server(
    names: &[&str],
    versions: &[&'static SupportedProtocolVersion],
    change: impl Fn(&mut rcgen::CertificateParams),
    clean_end: bool,
) -> (SocketAddr, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut parameters = rcgen::CertificateParams::new(names).expect("good names");
    change(&mut parameters);
    let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .expect("key and certificate fit");
    let config = Arc::new(config);
    let address = listen(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>tls</title>");
        if clean_end {
            stream.conn.send_close_notify();
        }
        let _ = stream.flush();
    });
    (address, certificate)
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

fn facts(rig: &Rig, url: &str) -> Tls {
    let report = rig.fetch(url);
    assert_eq!((title(&report), class(&report.requests[0])), (Some("tls"), None), "{:?}", report.requests[0]);
    assert!(report.requests[0].timings.tls_ms.is_some());
    report.requests[0].tls.clone().expect("a TLS connection")
}

#[test]
fn a_certificate_nobody_vouches_for_is_recorded_and_the_page_is_read() {
    let rig = Rig::new();
    let (address, certificate) = server(&["a.test", "*.b.test"], &BOTH, |_| {}, true);
    rig.door("a.test:443", Door::Dial(address));
    let tls = facts(&rig, "https://a.test/");
    assert_eq!((tls.verified, tls.error.as_deref()), (false, Some("self-signed")));
    assert_eq!(tls.protocol.as_deref(), Some("TLSv1.3"));
    assert!(tls.cipher.is_some_and(|cipher| cipher.starts_with("TLS13_")));
    assert_eq!(tls.san_list, ["a.test", "*.b.test"]);
    let digest: String = Sha256::digest(&certificate).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tls.sha256, Some(digest));
    assert!(tls.valid_from < tls.valid_to && tls.subject.is_some() && tls.issuer.is_some());
}

#[test]
fn tls_1_2_is_spoken_and_an_end_without_goodbye_is_an_end() {
    let rig = Rig::new();
    let (address, _) = server(&["a.test"], &[&rustls::version::TLS12], |_| {}, false);
    rig.door("a.test:443", Door::Dial(address));
    assert_eq!(facts(&rig, "https://a.test/").protocol.as_deref(), Some("TLSv1.2"));
}

#[test]
fn a_certificate_that_has_expired_says_when() {
    let rig = Rig::new();
    let expire = |parameters: &mut rcgen::CertificateParams| {
        parameters.not_before = rcgen::date_time_ymd(2019, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    };
    let (address, _) = server(&["a.test"], &BOTH, expire, true);
    rig.door("a.test:443", Door::Dial(address));
    let tls = facts(&rig, "https://a.test/");
    assert_eq!((tls.verified, tls.valid_to), (false, Some(1_577_836_800)));
}

#[test]
fn a_server_reached_by_address_or_by_another_name_is_read_too() {
    let rig = Rig::new();
    let (address, _) = server(&["a.test"], &BOTH, |_| {}, true);
    rig.door("127.0.0.1:8443", Door::Dial(address)).door("other.test:443", Door::Dial(address));
    assert!(!facts(&rig, "https://127.0.0.1:8443/").verified);
    assert!(!facts(&rig, "https://other.test/").verified);
}

#[test]
fn a_server_that_does_not_speak_tls_is_a_tls_error() {
    let rig = Rig::new();
    let plain = listen(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&page("<title>plain</title>"));
    });
    rig.door("plain.test:443", Door::Dial(plain));
    let closing = listen(drop);
    rig.door("closing.test:443", Door::Dial(closing));
    // An alert for the protocol's version, as a server that knows nothing newer than TLS 1.1 sends it.
    let old = listen(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]);
    });
    rig.door("old.test:443", Door::Dial(old));
    for (host, part) in [("plain", "does not answer with TLS"), ("closing", ""), ("old", "TLS 1.2 or 1.3")] {
        let report = rig.fetch(&format!("https://{host}.test/"));
        let hop = &report.requests[0];
        assert_eq!(
            (hop.status, class(hop), hop.tls.is_none()),
            (None, Some(ErrorClass::Tls), true),
            "{hop:?}"
        );
        assert!(hop.error.as_ref().is_some_and(|error| error.message.contains(part)), "{hop:?}");
        assert!(hop.connection.is_some());
    }
}
