//! What a certificate says of itself, for the report.
//!
//! The bytes come from the server: whatever cannot be read is left out, and lists and strings are capped.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

/// A certificate of a content network names some hundred hosts; more is no news.
const MAX_NAMES: usize = 250;

/// Longer than any name DNS allows.
const MAX_NAME_BYTES: usize = 300;

/// A distinguished name with all its parts.
const MAX_DN_BYTES: usize = 1024;

/// The readable part of a leaf.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) subject: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) san_list: Vec<String>,
    /// Seconds since the epoch.
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_to: Option<i64>,
    /// Its issuer is its subject.
    pub(crate) self_signed: bool,
}

pub(crate) fn read(der: &CertificateDer<'_>) -> Leaf {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Leaf::default() };
    let validity = certificate.validity();
    Leaf {
        subject: Some(crate::report::cut(certificate.subject().to_string(), MAX_DN_BYTES)),
        issuer: Some(crate::report::cut(certificate.issuer().to_string(), MAX_DN_BYTES)),
        san_list: alternatives(&certificate),
        valid_from: Some(validity.not_before.timestamp()),
        valid_to: Some(validity.not_after.timestamp()),
        self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
    }
}

/// Subject and issuer, as they are written.
pub(super) fn names(der: &CertificateDer<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some((certificate.subject().as_raw().to_vec(), certificate.issuer().as_raw().to_vec()))
}

/// The day of a time in seconds since the epoch.
pub(crate) fn date(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds)
        .map_or_else(|_| "a day beyond the calendar".to_owned(), |time| time.to_datetime().date().to_string())
}

fn alternatives(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .map(|name| crate::report::cut(name, MAX_NAME_BYTES))
        .take(MAX_NAMES)
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(sixteen).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_dates_are_read() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["a.test".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).expect("good names");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "A Test");
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 2);
        let made = parameters.self_signed(&key).expect("a certificate");
        let leaf = read(made.der());
        assert_eq!(leaf.san_list, ["a.test", "127.0.0.1", "::1"]);
        assert!(leaf.subject.as_deref().is_some_and(|subject| subject.contains("A Test")));
        assert_eq!(leaf.valid_from, Some(1_577_923_200));
    }

    #[test]
    fn a_certificate_that_is_none_is_an_empty_leaf() {
        for bytes in [&b""[..], b"\x30\x82", b"not a certificate"] {
            assert_eq!(read(&CertificateDer::from(bytes.to_vec())), Leaf::default());
        }
    }
}
