use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

fn parameters(name: &str, from: i32, to: i32) -> CertificateParams {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a good name");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
    parameters
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = parameters(name, 2000, 4000);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// A root, an intermediate under it, and a root that nobody knows.
struct Authorities {
    root: Issuer,
    middle: Issuer,
    unknown: Issuer,
}

impl Authorities {
    fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let root = CertifiedIssuer::self_signed(authority("Root"), key()).expect("a certificate");
        let middle = CertifiedIssuer::signed_by(authority("Middle"), key(), &root).expect("a certificate");
        let unknown = CertifiedIssuer::self_signed(authority("Unknown"), key()).expect("a certificate");
        Self { root, middle, unknown }
    }

    /// What the report says of a server for `parameters` under an issuer, with these certificates after its own.
    async fn facts(
        &self,
        parameters: CertificateParams,
        issuer: Option<&Issuer>,
        others: &[&Issuer],
        alpn: &[&str],
    ) -> Tls {
        let key = KeyPair::generate().expect("a key");
        let leaf = match issuer {
            Some(issuer) => parameters.signed_by(&key, issuer),
            None => parameters.self_signed(&key),
        };
        let mut chain = vec![leaf.expect("a certificate").der().clone()];
        chain.extend(others.iter().map(|issuer| issuer.der().clone()));
        self.shown(chain, &key, alpn).await.expect("a handshake")
    }

    async fn shown(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &KeyPair,
        alpn: &[&str],
    ) -> Result<Tls, Refused> {
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("known versions")
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .expect("key and certificate fit");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).expect("a root");
        let setup = TlsSetup::trusting(roots).expect("a setup");
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (shaken, _served) = tokio::join!(
            setup.handshake(Box::new(ours), "a.test", 443, Offer::Both),
            acceptor.accept(theirs)
        );
        shaken.map(|(_, tls)| tls)
    }
}

fn good() -> CertificateParams {
    parameters("a.test", 2000, 4000)
}

#[tokio::test]
async fn a_chain_to_a_root_is_verified_and_listed_leaf_first() {
    let authorities = Authorities::new();
    let tls = authorities
        .facts(good(), Some(&authorities.middle), &[&authorities.middle], &["h2", "http/1.1"])
        .await;
    assert_eq!((tls.verified, &tls.error, tls.alpn.as_deref()), (true, &None, Some("h2")));
    let subjects: Vec<_> = tls.chain.iter().filter_map(|link| link.subject.as_deref()).collect();
    assert!(subjects[0].contains("a.test") && subjects[1].contains("Middle"), "{subjects:?}");
    assert_eq!((tls.chain.len(), Some(&tls.chain[0].sha256)), (2, tls.sha256.as_ref()));
    assert_eq!((&tls.chain[0].issuer, tls.chain[0].valid_to), (&tls.chain[1].subject, tls.valid_to));
}

#[tokio::test]
async fn a_server_without_alpn_gets_none_and_one_of_1_1_gets_that() {
    let authorities = Authorities::new();
    for (offered, expected) in
        [(&[][..], None), (&["http/1.1"], Some("http/1.1")), (&["http/1.1", "h2"], Some("http/1.1"))]
    {
        let tls = authorities.facts(good(), Some(&authorities.root), &[], offered).await;
        assert_eq!(tls.alpn.as_deref(), expected, "{offered:?}");
    }
}

#[tokio::test]
async fn each_way_to_be_wrong_is_told_and_several_at_once() {
    let authorities = Authorities::new();
    let (middle, unknown) = (&authorities.middle, &authorities.unknown);
    let old = || parameters("a.test", 2000, 2020);
    let early = || parameters("a.test", 3000, 4000);
    let other = || parameters("b.test", 2000, 4000);
    let mut many = other();
    many.subject_alt_names
        .extend((1..=6).map(|n| rcgen::SanType::DnsName(format!("{n}.test").try_into().expect("a name"))));
    let mut authority_as_server = authority("a.test");
    authority_as_server.distinguished_name.push(DnType::CommonName, "authority");
    for (parameters, issuer, others, expected) in [
        (old(), Some(middle), &[middle][..], "expired on 2020-01-01"),
        (early(), Some(middle), &[middle], "not yet valid (only from 3000-01-01 on)"),
        (other(), Some(middle), &[middle], "not valid for this name (but for b.test)"),
        (
            many,
            Some(middle),
            &[middle],
            "not valid for this name (but for b.test, 1.test, 2.test, 3.test, 4.test and 2 more)",
        ),
        (good(), None, &[], "self-signed"),
        // As openssl makes one by itself.
        (authority_as_server.clone(), None, &[], "self-signed"),
        (good(), Some(unknown), &[unknown], "unknown issuer"),
        (good(), Some(middle), &[], "unknown issuer (the server sends no certificate but its own)"),
        (
            parameters("b.test", 2000, 2020),
            None,
            &[],
            "self-signed; expired on 2020-01-01; not valid for this name (but for b.test)",
        ),
        (authority_as_server, Some(middle), &[middle], "not acceptable (ca used as end entity)"),
    ] {
        let tls = authorities.facts(parameters, issuer, others, &[]).await;
        assert_eq!((tls.verified, tls.error.as_deref()), (false, Some(expected)));
    }
}

#[tokio::test]
async fn an_issuer_that_has_expired_is_not_taken_for_the_leaf() {
    let authorities = Authorities::new();
    let mut old = authority("Old");
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let old = CertifiedIssuer::signed_by(old, key, &authorities.root).expect("a certificate");
    let tls = authorities.facts(good(), Some(&old), &[&old], &[]).await;
    assert_eq!(tls.error.as_deref(), Some("a certificate of its issuers has expired"));
}

#[tokio::test]
async fn a_certificate_with_a_forged_signature_is_told() {
    let authorities = Authorities::new();
    let key = KeyPair::generate().expect("a key");
    let made = good().signed_by(&key, &authorities.root).expect("a certificate");
    let mut der = made.der().to_vec();
    let last = der.last_mut().expect("bytes");
    *last ^= 1;
    let tls = authorities.shown(vec![der.into()], &key, &[]).await.expect("a handshake");
    assert_eq!((tls.verified, tls.error.as_deref()), (false, Some("the signature does not fit")));
}

#[tokio::test]
async fn who_shows_a_good_certificate_without_its_key_is_refused() {
    let authorities = Authorities::new();
    let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let leaf = good().signed_by(&key, &authorities.root).expect("a certificate").der().clone();
    let refused = authorities.stolen(leaf, &other).await;
    assert!(refused.message.contains("cannot prove"), "{}", refused.message);
}

impl Authorities {
    /// A server that signs with a key which is not its certificate's.
    async fn stolen(&self, leaf: CertificateDer<'static>, key: &KeyPair) -> Refused {
        #[derive(Debug)]
        struct Thief(Arc<rustls::sign::CertifiedKey>);
        impl rustls::server::ResolvesServerCert for Thief {
            fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
                Some(Arc::clone(&self.0))
            }
        }
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = rustls::crypto::ring::sign::any_supported_type(&private).expect("a signing key");
        let certified = Arc::new(rustls::sign::CertifiedKey::new(vec![leaf], signing));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("known versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Thief(certified)));
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).expect("a root");
        let setup = TlsSetup::trusting(roots).expect("a setup");
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (shaken, _served) = tokio::join!(
            setup.handshake(Box::new(ours), "a.test", 443, Offer::Both),
            acceptor.accept(theirs)
        );
        shaken.err().expect("refused")
    }
}
