//! Whose certificates are believed: those of the authorities that SSL_CERT_FILE names, for the name that was asked for,
//! as long as they hold.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::place::Place;
use crate::sqld::Sqld;
use crate::{assert_done, run};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a good name");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A server before another one that speaks TLS, with a certificate for a name that holds until this year.
struct TlsProxy {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl TlsProxy {
    fn before(server: SocketAddr, issuer: &Issuer, name: &str, until: i32) -> Self {
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a good name");
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, issuer).expect("a certificate");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("they belong together");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, _runtime: runtime }
    }

    fn url(&self, host: &str) -> String {
        format!("libsql://{host}:{}", self.address.port())
    }
}

#[test]
fn a_server_is_believed_by_its_authority_its_name_and_the_time() {
    let place = Place::new("remote-tls");
    let server = Sqld::start(&place.0.join("sqld"));
    let (ours, another) = (authority("Ours"), authority("Another"));
    place.write("ours.pem", &ours.pem()).write("another.pem", &another.pem());
    let proxy = |name, until| TlsProxy::before(server.address(), &ours, name, until);
    let status = |proxy: &TlsProxy, host: &str, believed: &str| {
        let file = place.0.join(believed).display().to_string();
        run(&place, &proxy.url(host), &[("SSL_CERT_FILE", &file)], &["db", "migrate"])
    };
    let good = proxy("localhost", 4000);
    assert_done(&status(&good, "localhost", "ours.pem"));
    let (old, alien) = (proxy("localhost", 2001), proxy("db.example", 4000));
    for (why, refused) in [
        ("UnknownIssuer", status(&good, "localhost", "another.pem")),
        ("name", status(&good, "127.0.0.1", "ours.pem")),
        ("name", status(&alien, "localhost", "ours.pem")),
        ("expired", status(&old, "localhost", "ours.pem")),
    ] {
        assert_eq!(refused.code, Some(1), "{why}: {}", refused.err);
        assert!(refused.err.contains("cannot be trusted"), "{why}: {}", refused.err);
        assert!(refused.err.contains(why), "{why}: {}", refused.err);
        assert!(refused.err.contains("SSL_CERT_FILE"), "{}", refused.err);
    }
}
