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
    let why = tls.error.as_deref().unwrap_or_default().to_lowercase();
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
