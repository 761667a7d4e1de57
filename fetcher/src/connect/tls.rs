//! TLS 1.2 and 1.3, with HTTP/2 and HTTP/1.1 offered by ALPN.
//!
//! A page behind a bad certificate is evidence, not a dead end: what a browser would have refused stands in the report,
//! and `verified` is true only when nothing was, neither chain, name and dates nor the handshake's signature. Versions
//! below TLS 1.2 are not spoken; such a server is an error that says so. Nobody is asked whether a certificate is
//! revoked: that would tell somebody else what is being looked at.

pub(crate) mod alert;
mod verify;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, RootCertStore};
use safeurl_protocol::{Certificate, ErrorClass, Tls};
use tokio_rustls::TlsConnector;

use super::greeting::{FIRST_BYTES, instead_of_tls};
use super::wire::Wire;
use super::{Duplex, Refused, certificate};
use verify::{Recorder, Trust};

/// As a server's answer names HTTP/2.
pub(crate) const H2: &str = "h2";

/// What a server may choose from by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/2 and HTTP/1.1, as browsers do.
    Both,
    /// HTTP/1.1 alone, to a server that did not want the other.
    Http1,
}

impl Offer {
    fn names(self) -> Vec<Vec<u8>> {
        let http1 = b"http/1.1".to_vec();
        match self {
            Self::Both => vec![H2.into(), http1],
            Self::Http1 => vec![http1],
        }
    }
}

/// A chain has two to four certificates.
const MAX_CHAIN: usize = 10;

/// What all TLS connections of this process share.
#[derive(Debug)]
pub(crate) struct TlsSetup {
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
}

impl TlsSetup {
    pub(crate) fn new() -> Result<Self, Refused> {
        Self::trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    fn trusting(roots: RootCertStore) -> Result<Self, Refused> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = Trust::new(roots, Arc::clone(&provider))
            .map_err(|message| Refused::new(ErrorClass::Tls, message))?;
        Ok(Self { provider, trust: Arc::new(trust) })
    }

    /// Handshakes over `stream`. `host` is as a URL has it.
    pub(crate) async fn handshake(
        &self,
        stream: Box<dyn Duplex>,
        host: &str,
        port: u16,
        offer: Offer,
    ) -> Result<(Box<dyn Duplex>, Tls), Refused> {
        let failed = |message: String| Refused::new(ErrorClass::Tls, message);
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| failed(format!("{bare:?} is not a name TLS can ask for")))?;
        let recorder = Arc::new(Recorder::new(Arc::clone(&self.trust)));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(recorder.clone())
            .with_no_client_auth();
        config.alpn_protocols = offer.names();
        let (wire, tape) = Wire::new(stream, FIRST_BYTES, usize::MAX);
        let shaken = TlsConnector::from(Arc::new(config)).connect(name, wire).await;
        let first = tape.take().bytes;
        let stream = shaken.map_err(|error| {
            let instead = instead_of_tls(&first, &format!("http://{host}:{port}/"));
            failed(instead.unwrap_or_else(|| explain(&error)))
        })?;
        let tls = facts(stream.get_ref().1, recorder.wrong());
        Ok((Box::new(stream), tls))
    }
}

fn facts(session: &rustls::ClientConnection, wrong: Option<String>) -> Tls {
    let chain = session.peer_certificates().unwrap_or_default();
    let leaf = chain.first();
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
        chain: chain.iter().take(MAX_CHAIN).map(|der| link(der)).collect(),
    }
}

fn link(der: &rustls::pki_types::CertificateDer<'_>) -> Certificate {
    let facts = certificate::read(der);
    Certificate {
        subject: facts.subject,
        issuer: facts.issuer,
        valid_from: facts.valid_from,
        valid_to: facts.valid_to,
        sha256: crate::report::sha256(der),
    }
}

/// The handshake's failure for a person, where the first bytes do not tell it.
fn explain(error: &std::io::Error) -> String {
    match complaint(error) {
        Some(Error::AlertReceived(alert)) => alert::sentence(u8::from(*alert)),
        Some(Error::PeerIncompatible(_)) => {
            format!("the server does not speak TLS 1.2 or 1.3 as we do: {error}")
        }
        Some(Error::InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge)) => {
            "the server sends more than 64 KiB in one message of the TLS handshake".to_owned()
        }
        Some(Error::InvalidMessage(_)) => format!("the server does not answer with TLS: {error}"),
        Some(Error::InvalidCertificate(rustls::CertificateError::BadSignature)) => {
            "the server cannot prove that the certificate is its own: the signature does not fit".to_owned()
        }
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the server closed the connection during the TLS handshake".to_owned()
        }
        _ => format!("TLS handshake: {error}"),
    }
}

/// What the TLS library says inside an I/O error.
fn complaint(error: &std::io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Error>())
}

#[cfg(test)]
mod tests;
