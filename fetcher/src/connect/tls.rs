//! TLS 1.2 and 1.3, with a verifier that records what is wrong with a certificate and goes on.
//!
//! A page behind a bad certificate is evidence, not a dead end. What the verifier would have refused stands
//! in the report, and `verified` is true only when nothing was: neither the chain, the name and the dates
//! nor the handshake's signature. Versions below TLS 1.2 are not spoken; such a server is an error.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use safeurl_protocol::{ErrorClass, Tls};
use tokio_rustls::TlsConnector;

use super::certificate;
use super::{Duplex, Refused};

/// What all TLS connections of this process share.
#[derive(Debug)]
pub(crate) struct TlsSetup {
    provider: Arc<CryptoProvider>,
    chain: Arc<WebPkiServerVerifier>,
}

impl TlsSetup {
    pub(crate) fn new() -> Result<Self, Refused> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| Refused::new(ErrorClass::Tls, error.to_string()))?;
        Ok(Self { provider, chain })
    }

    /// Handshakes over `stream`. `host` is as a URL has it.
    pub(crate) async fn handshake(
        &self,
        stream: Box<dyn Duplex>,
        host: &str,
    ) -> Result<(Box<dyn Duplex>, Tls), Refused> {
        let failed = |message: String| Refused::new(ErrorClass::Tls, message);
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| failed(format!("{bare:?} is not a name TLS can ask for")))?;
        let recorder = Arc::new(Recorder { chain: Arc::clone(&self.chain), wrong: Mutex::new(None) });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(recorder.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| failed(explain(&error)))?;
        let tls = facts(stream.get_ref().1, recorder.wrong());
        Ok((Box::new(stream), tls))
    }
}

fn facts(session: &rustls::ClientConnection, wrong: Option<String>) -> Tls {
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let certificate = leaf.map(|leaf| certificate::read(leaf)).unwrap_or_default();
    Tls {
        protocol: session.protocol_version().map(|version| match version {
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
            other => format!("{other:?}"),
        }),
        cipher: session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())),
        alpn: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        verified: wrong.is_none(),
        error: wrong,
        subject: certificate.subject,
        issuer: certificate.issuer,
        san_list: certificate.san_list,
        valid_from: certificate.valid_from,
        valid_to: certificate.valid_to,
        sha256: leaf.map(|leaf| crate::report::sha256(leaf)),
        chain: Vec::new(),
    }
}

/// The handshake's failure for a person.
fn explain(error: &std::io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::AlertReceived(AlertDescription::ProtocolVersion)) | Some(Error::PeerIncompatible(_)) => {
            format!("the server does not speak TLS 1.2 or 1.3 as we do: {error}")
        }
        Some(Error::InvalidMessage(_)) => format!("the server does not answer with TLS: {error}"),
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake".to_owned()
        }
        _ => format!("TLS handshake: {error}"),
    }
}

/// Remembers the first thing that is wrong and lets the handshake go on.
#[derive(Debug)]
struct Recorder {
    chain: Arc<WebPkiServerVerifier>,
    wrong: Mutex<Option<String>>,
}

impl Recorder {
    fn wrong(&self) -> Option<String> {
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
        let checked =
            self.chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(error) = checked {
            *self.wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(complaint(&error));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(self.chain.verify_tls12_signature(message, cert, dss))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(self.chain.verify_tls13_signature(message, cert, dss))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Short and stable where a rule may want to look at it.
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

fn complaint(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired".to_owned(),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "not valid yet".to_owned()
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
