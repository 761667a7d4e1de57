//! A verifier that records all that is wrong with a certificate and goes on.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::connect::certificate::{self, Leaf};

/// The roots and what follows from them.
#[derive(Debug)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    whole: Arc<WebPkiServerVerifier>,
}

impl Trust {
    pub(super) fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let roots = Arc::new(roots);
        let whole = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { roots, provider, whole })
    }

    /// All that is wrong, the most telling first: who vouches for it, since when and until when, for whom.
    fn problems(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Vec<String> {
        let facts = certificate::read(leaf);
        let mut problems = Vec::new();
        match ParsedCertificate::try_from(leaf) {
            Err(error) => problems.push(complaint(&error)),
            Ok(parsed) => {
                // At a time when the leaf was good, or nothing would be learnt about who vouched for it.
                let then = inside(&facts, now);
                let algorithms = self.provider.signature_verification_algorithms.all;
                let chain =
                    verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, then, algorithms);
                if let Err(error) = chain {
                    problems.push(of_the_chain(&error, &facts, others.is_empty()));
                }
                if verify_server_name(&parsed, name).is_err() {
                    problems.push(wrong_name(&facts));
                }
            }
        }
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let dates = match (facts.valid_from, facts.valid_to) {
            (_, Some(to)) if to < now => Some(format!("expired on {}", certificate::date(to))),
            (Some(from), _) if from > now => {
                Some(format!("not yet valid (only from {} on)", certificate::date(from)))
            }
            _ => None,
        };
        // Before the wrong name, after the chain.
        let place = problems.len().min(1);
        problems.splice(place..place, dates);
        problems
    }
}

/// Certificates that may be looked at on the way from a leaf to a root. An honest server sends one to three; where all
/// have one name, each could be the issuer of every other, and the ways to try grow with the factorial of their number:
/// a hundred of them cost ten thousand times what an honest chain does. webpki goes no deeper than this either.
const MAX_ISSUERS: usize = 6;

/// Those of `others` that can be issuers of the leaf, of its issuers, and so on, by their names. Some servers send a
/// whole store of roots with it.
fn issuers<'a>(leaf: &CertificateDer<'a>, others: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
    let mut wanted: Vec<Vec<u8>> = certificate::names(leaf).map(|(_, issuer)| issuer).into_iter().collect();
    let mut left: Vec<_> =
        others.iter().filter_map(|other| Some((other, certificate::names(other)?))).collect();
    let mut found = Vec::new();
    while found.len() < MAX_ISSUERS {
        let Some(at) = left.iter().position(|(_, (subject, _))| wanted.contains(subject)) else { break };
        let (other, (_, issuer)) = left.remove(at);
        found.push(other.clone());
        wanted.push(issuer);
    }
    found
}

fn inside(facts: &Leaf, now: UnixTime) -> UnixTime {
    let mut seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    if let Some(to) = facts.valid_to {
        seconds = seconds.min(to);
    }
    if let Some(from) = facts.valid_from {
        seconds = seconds.max(from);
    }
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

fn of_the_chain(error: &Error, facts: &Leaf, alone: bool) -> String {
    match error {
        // Whatever is wrong with it besides: tools that make one for a site make it for an authority, and webpki
        // complains about that first.
        _ if facts.self_signed => "self-signed".to_owned(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) if alone => {
            "unknown issuer (the server sends no certificate but its own)".to_owned()
        }
        // The leaf was good at the time it was looked at.
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "a certificate of its issuers has expired".to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "a certificate of its issuers is not yet valid".to_owned(),
        other => complaint(other),
    }
}

fn wrong_name(facts: &Leaf) -> String {
    /// Whose certificate it is shows in the first few.
    const LISTED: usize = 5;
    let names = &facts.san_list;
    let listed = names.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "not valid for this name (it has none)".to_owned(),
        1..=LISTED => format!("not valid for this name (but for {listed})"),
        more => format!("not valid for this name (but for {listed} and {} more)", more - LISTED),
    }
}

/// Remembers what is wrong and lets the handshake go on.
#[derive(Debug)]
pub(super) struct Recorder {
    trust: Arc<Trust>,
    wrong: Mutex<Option<String>>,
}

impl Recorder {
    pub(super) fn new(trust: Arc<Trust>) -> Self {
        Self { trust, wrong: Mutex::new(None) }
    }

    pub(super) fn wrong(&self) -> Option<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A signature that does not fit is fatal under a certificate that is good: somebody shows what is not
    /// theirs. Under one that is not, keys webpki does not know (RSA of 1024 bits, X.509 v1) end here too, and
    /// nothing more is lost by going on.
    fn signature(
        &self,
        checked: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match checked {
            Err(error) if self.wrong().is_none() => Err(error),
            Err(_) => Ok(HandshakeSignatureValid::assertion()),
            Ok(valid) => Ok(valid),
        }
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let whole = &self.trust.whole;
        let issuers = issuers(end_entity, intermediates);
        if let Err(error) = whole.verify_server_cert(end_entity, &issuers, server_name, ocsp_response, now) {
            let problems = self.trust.problems(end_entity, &issuers, server_name, now);
            let wrong = if problems.is_empty() { complaint(&error) } else { problems.join("; ") };
            *self.wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrong);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(self.trust.whole.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(self.trust.whole.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.whole.supported_verify_schemes()
    }
}

/// `CaUsedAsEndEntity` as a person writes it.
fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Short and stable where a rule may want to look at it.
fn complaint(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".to_owned(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "not yet valid".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "not valid for this name".to_owned()
            }
            CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
            CertificateError::BadEncoding => "not a readable certificate".to_owned(),
            CertificateError::Revoked => "revoked".to_owned(),
            CertificateError::BadSignature => "the signature does not fit".to_owned(),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "not made for a server".to_owned()
            }
            // What webpki finds beyond these, such as an authority's certificate in the place of a server's.
            CertificateError::Other(other) => format!("not acceptable ({})", words(&other.0.to_string())),
            other => format!("not acceptable ({})", words(&format!("{other:?}"))),
        },
        other => other.to_string(),
    }
}
