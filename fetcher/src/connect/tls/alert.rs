//! The names of TLS alerts and what they mean for a person.

/// The name of an alert (RFC 8446 section 6, RFC 5246 section 7.2 and the registry of IANA).
const fn name(code: u8) -> &'static str {
    match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => "unassigned",
    }
}

/// Why a server would say so.
const fn meaning(code: u8) -> Option<&'static str> {
    match code {
        0 | 90 => Some("the server does not want to talk"),
        40 => Some(
            "the server and a browser have no way of encryption in common, or it wants a certificate of its visitors",
        ),
        41..=46 | 48 | 116 => Some("the server wants a certificate of its visitors"),
        49 => Some("the server does not let us in"),
        70 => Some("the server speaks no version of TLS that browsers still accept (TLS 1.2 or 1.3)"),
        71 => Some("the server finds our ways of encryption too weak"),
        80 => Some("the server is broken"),
        112 => Some("the server has no site of this name"),
        120 => Some("the server speaks neither HTTP/2 nor HTTP/1.1 here"),
        _ => None,
    }
}

/// The alert in a sentence.
pub(crate) fn sentence(code: u8) -> String {
    let mut text = format!("the server answered with the TLS alert {} ({code})", name(code));
    if let Some(meaning) = meaning(code) {
        text.push_str(": ");
        text.push_str(meaning);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_by_name_number_and_meaning_whatever_it_is() {
        assert!(sentence(70).contains("protocol_version (70): the server speaks no version"));
        for code in 0..=u8::MAX {
            assert!(sentence(code).contains(&format!("({code})")));
        }
        // What the TLS library knows by name has one here too.
        for code in (0..=u8::MAX).filter(|code| rustls::AlertDescription::from(*code).as_str().is_some()) {
            assert_ne!(name(code), "unassigned", "{code}");
        }
    }
}
