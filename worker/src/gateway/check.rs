//! What the rules say about an address or URL, without sending or resolving anything.

use safeurl_egress::{Decision, Policy};
use serde::Serialize;

use super::resolve;
use crate::domain::target::Target;

/// The answer for one input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The input as given.
    pub input: String,
    /// What would happen.
    pub decision: Outlook,
    /// Stable name of the rule that decides; `null` when that depends on what the name resolves to.
    pub rule: Option<&'static str>,
}

/// What would happen to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    /// It would be dialled.
    Allowed,
    /// It would be refused.
    Denied,
    /// Only name servers can tell.
    NeedsResolution,
}

impl Outlook {
    /// The stable word, as it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::NeedsResolution => "needs-resolution",
        }
    }
}

/// Judges an address in any spelling, a host, a host with port, or a URL. A bare address or host is judged as for
/// http. A text that is none of these is denied by the rule `invalid-target`: nothing would be fetched for it.
#[must_use]
pub fn check(policy: &Policy, input: &str) -> Answer {
    let (decision, rule) = judged(policy, input.trim());
    Answer { input: input.to_owned(), decision, rule }
}

fn judged(policy: &Policy, text: &str) -> (Outlook, Option<&'static str>) {
    if let Some(address) = safeurl_egress::literal(text) {
        return outlook(policy.check(address, 80));
    }
    match Target::parse(text) {
        Ok(target) => {
            // A target is http or https and both have a default port.
            let port = target.url().port_or_known_default().unwrap_or(80);
            host(policy, target.host(), port)
        }
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            host(policy, text, 80)
        }
        Err(_) => (Outlook::Denied, Some("invalid-target")),
    }
}

fn host(policy: &Policy, host: &str, port: u16) -> (Outlook, Option<&'static str>) {
    if let Some(address) = safeurl_egress::literal(host) {
        return outlook(policy.check(address, port));
    }
    let name = resolve::canonical(host);
    if name == "localhost" || name.ends_with(".localhost") {
        let v4 = policy.check(std::net::Ipv4Addr::LOCALHOST.into(), port);
        let v6 = policy.check(std::net::Ipv6Addr::LOCALHOST.into(), port);
        return outlook(if v6.allowed { v6 } else { v4 });
    }
    if !resolve::is_name(&name) {
        return (Outlook::Denied, Some("invalid-host"));
    }
    (Outlook::NeedsResolution, None)
}

fn outlook(decision: Decision) -> (Outlook, Option<&'static str>) {
    (if decision.allowed { Outlook::Allowed } else { Outlook::Denied }, Some(decision.rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(input: &str) -> (&'static str, Option<&'static str>) {
        let answer = check(&Policy::default(), input);
        (answer.decision.as_str(), answer.rule)
    }

    #[test]
    fn addresses_hosts_and_urls_are_judged_without_resolving() {
        for (input, expected) in [
            ("1.1.1.1", ("allowed", Some("global"))),
            (" 127.0.0.1 ", ("denied", Some("loopback"))),
            ("0x7f.1", ("denied", Some("loopback"))),
            ("①②⑦.⓪.⓪.①", ("denied", Some("loopback"))),
            ("[::1]", ("denied", Some("loopback"))),
            ("fe80::1%eth0", ("denied", Some("link-local"))),
            ("169.254.169.254", ("denied", Some("metadata"))),
            ("127.0.0.1:8080", ("denied", Some("loopback"))),
            ("[::1]:80", ("denied", Some("loopback"))),
            ("http://1.1.1.1/", ("allowed", Some("global"))),
            ("http://1.1.1.1:25/", ("denied", Some("bad-port"))),
            ("1.1.1.1:22", ("denied", Some("bad-port"))),
            ("http://2130706433/x", ("denied", Some("loopback"))),
            ("http://[::ffff:1.1.1.1]/", ("denied", Some("ipv4-mapped"))),
            ("http://1.1.1.1@127.0.0.1/", ("denied", Some("loopback"))),
            ("hxxp://127[.]0[.]0[.]1/", ("denied", Some("loopback"))),
            ("example.com", ("needs-resolution", None)),
            ("https://example.com:8443/", ("needs-resolution", None)),
            ("intranet", ("needs-resolution", None)),
            ("localhost", ("denied", Some("loopback"))),
            ("http://a.localhost./", ("denied", Some("loopback"))),
            ("http://1.2.3.4.5/", ("denied", Some("invalid-target"))),
            ("ftp://1.1.1.1/", ("denied", Some("invalid-target"))),
            ("http://${metadata}/", ("denied", Some("invalid-host"))),
            ("http://a..b/", ("denied", Some("invalid-target"))),
            ("", ("denied", Some("invalid-target"))),
        ] {
            assert_eq!(answer(input), expected, "{input}");
        }
    }

    #[test]
    fn allowed_networks_show_for_addresses_and_for_localhost() {
        let policy = Policy::new(vec!["127.0.0.0/8".parse().expect("a network")], false);
        for input in ["127.0.0.1:25", "http://localhost:8080/", "http://0x7f.1/"] {
            assert_eq!(check(&policy, input).rule, Some("allow-networks"), "{input}");
        }
        assert_eq!(check(&policy, "[::1]:80").decision, Outlook::Denied);
    }

    #[test]
    fn an_answer_has_stable_keys() {
        let json = serde_json::to_string(&check(&Policy::default(), "example.com")).expect("JSON");
        assert_eq!(json, r#"{"input":"example.com","decision":"needs-resolution","rule":null}"#);
    }
}
