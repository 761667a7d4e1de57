//! Whose certificates a connection to another host of ours believes: the machine's, or those that `SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name, and Mozilla's where the machine has none (an image from scratch). Serves the database and the
//! queue; what the fetcher believes of a site is its own business. Never believes everything.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The client's side of TLS 1.2 and 1.3 over ring. Read anew with each call: it costs some milliseconds, and belongs to
/// the opening of a connection pool.
#[must_use]
pub fn client() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has suites for the default versions")
        .with_root_certificates(roots())
        .with_no_client_auth()
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some certificates of this machine cannot be read");
    }
    // One that cannot be used is left out, as other programs do: a machine's list may have some.
    let (used, _) = roots.add_parsable_certificates(found.certs);
    if used == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
