//! What the certificates say.

use safeurl_protocol::Tls;

use super::{Fact, Facts};
use crate::analysis::case::Case;

/// A certificate younger than this was made for the occasion, or just renewed.
const YOUNG_SECONDS: i64 = 3 * 86_400;

pub(super) fn add(case: &Case<'_>, facts: &mut Facts) {
    let now = case.now.millis() / 1000;
    for exchange in &case.report.requests {
        let Some(tls) = &exchange.tls else { continue };
        if !tls.verified {
            let why = tls.error.as_deref().unwrap_or("not verified");
            facts.see(fault(tls, now), format!("{}: {why}", exchange.url));
        }
        let young = tls.valid_from.is_some_and(|from| (0..YOUNG_SECONDS).contains(&now.saturating_sub(from)));
        if young && tls.verified {
            facts.see(Fact::TlsYoung, &exchange.url);
        }
    }
}

/// What is wrong with a certificate that does not verify: the most telling reason only.
fn fault(tls: &Tls, now: i64) -> Fact {
    let why = own_words(tls.error.as_deref().unwrap_or_default()).to_lowercase();
    let outside = tls.valid_to.is_some_and(|to| to < now) || tls.valid_from.is_some_and(|from| from > now);
    if tls.subject.is_some() && tls.subject == tls.issuer {
        Fact::TlsSelfSigned
    } else if outside || why.contains("expired") || why.contains("not yet valid") {
        Fact::TlsExpired
    } else if why.contains("name") {
        Fact::TlsNameMismatch
    } else {
        Fact::TlsUntrusted
    }
}

/// The fetcher quotes the names of a certificate last; whoever made it chose them, `expired.example` as well.
fn own_words(why: &str) -> &str {
    why.split_once(" (but for ").map_or(why, |(own, _)| own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: &str) -> Fact {
        let tls = Tls {
            protocol: None,
            cipher: None,
            alpn: None,
            verified: false,
            error: Some(error.to_owned()),
            subject: Some("CN=a.example".to_owned()),
            issuer: Some("CN=An Issuer".to_owned()),
            san_list: Vec::new(),
            valid_from: None,
            valid_to: None,
            sha256: None,
            chain: Vec::new(),
        };
        fault(&tls, 0)
    }

    #[test]
    fn the_names_in_a_certificate_do_not_tell_what_is_wrong_with_it() {
        for (error, expected) in [
            ("expired on 2026-01-01", Fact::TlsExpired),
            ("not yet valid (only from 2027-01-01 on)", Fact::TlsExpired),
            ("a certificate of its issuers has expired", Fact::TlsExpired),
            ("expired on 2026-01-01; not valid for this name (but for a.example)", Fact::TlsExpired),
            ("not valid for this name (it has none)", Fact::TlsNameMismatch),
            ("not valid for this name (but for expired.example)", Fact::TlsNameMismatch),
            (
                "not valid for this name (but for a (but for not yet valid, b and 3 more)",
                Fact::TlsNameMismatch,
            ),
            ("unknown issuer (the server sends no certificate but its own)", Fact::TlsUntrusted),
            ("unknown issuer; not valid for this name (but for not yet valid)", Fact::TlsNameMismatch),
        ] {
            assert_eq!(of(error), expected, "{error}");
        }
    }
}
