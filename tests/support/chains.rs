//! Certificates as nobody should send them, and servers that show them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion};

/// What a server shows, and the key that it signs with.
#[derive(Debug, Clone)]
pub(crate) struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A TLS server of both versions that shows this.
pub(crate) fn server(shown: &Shown, alpn: &[&str]) -> ServerConfig {
    server_of(shown, alpn, rustls::ALL_VERSIONS)
}

pub(crate) fn server_of(
    shown: &Shown,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown.clone()));
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn signing(key: &KeyPair) -> Arc<dyn SigningKey> {
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    rustls::crypto::ring::sign::any_supported_type(&private).expect("a signing key")
}

fn shown(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Shown {
    Shown(Arc::new(CertifiedKey::new(chain, key)))
}

/// A certificate for these names from one year to another, which nobody vouches for.
pub(crate) fn alone(names: &[&str], from: i32, to: i32) -> Shown {
    let key = key();
    let leaf = parameters(names, from, to).self_signed(&key).expect("a certificate");
    shown(vec![leaf.der().clone()], signing(&key))
}

fn parameters(names: &[&str], from: i32, to: i32) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let common = names.first().cloned().unwrap_or_default();
    let mut parameters = CertificateParams::new(names).expect("good names");
    parameters.distinguished_name.push(DnType::CommonName, common);
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
    parameters
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = parameters(&[], 2000, 4000);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}

/// A leaf and so many authorities above it, each vouched for by the next. `name` is given the number of each: where all
/// have one name, each could be the issuer of every other, and whoever tries all ways never ends.
pub(crate) fn tower(host: &str, count: usize, name: fn(usize) -> String) -> Shown {
    let mut above = CertifiedIssuer::self_signed(authority(&name(0)), key()).expect("a certificate");
    let mut chain = vec![above.der().clone()];
    for n in 1..count {
        above = CertifiedIssuer::signed_by(authority(&name(n)), key(), &above).expect("a certificate");
        chain.push(above.der().clone());
    }
    let own = key();
    let leaf = parameters(&[host], 2000, 4000).signed_by(&own, &above).expect("a certificate");
    chain.push(leaf.der().clone());
    chain.reverse();
    shown(chain, signing(&own))
}

/// A leaf that is valid for so many names.
pub(crate) fn crowded(host: &str, names: usize) -> Shown {
    let others: Vec<String> = (0..names).map(|n| format!("{n}.{host}")).collect();
    let names: Vec<&str> = std::iter::once(host).chain(others.iter().map(String::as_str)).collect();
    alone(&names, 2000, 4000)
}

/// Something in the place of a certificate.
pub(crate) fn nonsense(bytes: &[u8]) -> Shown {
    shown(vec![CertificateDer::from(bytes.to_vec())], signing(&key()))
}

/// An RSA key by its modulus alone. To find two primes of 8192 bits takes minutes; nobody can tell whether this has any.
#[derive(Debug)]
struct Rsa {
    public: Vec<u8>,
    bytes: usize,
}

impl Rsa {
    fn new(bits: usize) -> Self {
        let bytes = bits / 8;
        let integer = |number: &[u8]| [&header(0x02, number.len()), number].concat();
        let modulus = [&[0][..], &[0xc5].repeat(bytes)].concat();
        let both = [integer(&modulus), integer(&[1, 0, 1])].concat();
        Self { public: [header(0x30, both.len()), both].concat(), bytes }
    }
}

/// Tag and length of DER, the length in two bytes.
fn header(tag: u8, length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short @ 0..=127) => vec![tag, short],
        _ => [&[tag, 0x82][..], &u16::try_from(length).expect("short").to_be_bytes()].concat(),
    }
}

impl PublicKeyData for Rsa {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for Rsa {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0x5a; self.bytes])
    }
}

/// Signs handshakes with a number that is as long as it should be.
#[derive(Debug, Clone, Copy)]
struct Forger(usize);

impl SigningKey for Forger {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(*self))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for Forger {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![0x5a; self.0])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

/// A server whose key, and that of so many authorities above it, is RSA of so many bits.
pub(crate) fn rsa(host: &str, bits: usize, authorities: usize) -> Shown {
    let mut above = CertifiedIssuer::self_signed(authority("0"), Rsa::new(bits)).expect("a certificate");
    let mut chain = vec![above.der().clone()];
    for n in 1..authorities {
        let next = authority(&n.to_string());
        above = CertifiedIssuer::signed_by(next, Rsa::new(bits), &above).expect("a certificate");
        chain.push(above.der().clone());
    }
    let leaf = parameters(&[host], 2000, 4000).signed_by(&Rsa::new(bits), &above).expect("a certificate");
    chain.push(leaf.der().clone());
    chain.reverse();
    shown(chain, Arc::new(Forger(bits / 8)))
}
