use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::network::Network;
use crate::port::is_bad_port;
use crate::table::{ISATAP, METADATA, NAT64, V4, V6};

/// What an operator allows beyond the rules.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    allow: Vec<Network>,
    nat64_recheck: bool,
}

/// Whether an address and port may be dialled, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Decision {
    /// It may be dialled.
    pub allowed: bool,
    /// Stable name of the rule that decided.
    pub rule: &'static str,
}

impl Decision {
    /// A refusal by this rule.
    pub const fn denied(rule: &'static str) -> Self {
        Self { allowed: false, rule }
    }

    const fn allowed(rule: &'static str) -> Self {
        Self { allowed: true, rule }
    }
}

impl Policy {
    /// The rules with an operator's exceptions. `nat64_recheck` judges addresses inside `64:ff9b::/96` by the IPv4
    /// address they embed, which networks with DNS64 need.
    #[must_use]
    pub const fn new(allow: Vec<Network>, nat64_recheck: bool) -> Self {
        Self { allow, nat64_recheck }
    }

    /// Judges one address and port. An allowed network wins over every denial, on any port; it must name the
    /// address in the family that is dialled.
    pub fn check(&self, address: IpAddr, port: u16) -> Decision {
        if self.allow.iter().any(|network| network.contains(address)) {
            return Decision::allowed("allow-networks");
        }
        let denied = match address {
            IpAddr::V4(v4) => denied_v4(v4),
            IpAddr::V6(v6) => denied_v6(v6, self.nat64_recheck),
        };
        match denied {
            Some(rule) => Decision::denied(rule),
            None if is_bad_port(port) => Decision::denied("bad-port"),
            None => Decision::allowed("global"),
        }
    }
}

fn denied_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter()
        .find(|block| (address.to_bits() ^ block.first.to_bits()) >> (32 - u32::from(block.prefix)) == 0)
        .map(|block| block.rule)
}

fn denied_v6(address: Ipv6Addr, nat64_recheck: bool) -> Option<&'static str> {
    let rule = V6
        .iter()
        .find(|block| (address.to_bits() ^ block.first.to_bits()) >> (128 - u32::from(block.prefix)) == 0)
        .map(|block| block.rule)
        .or_else(|| is_isatap(address).then_some("isatap"))?;
    let inner = embedded(address, rule).and_then(denied_v4);
    match inner {
        // Whoever hides a metadata address inside IPv6 wants the metadata: say so.
        Some(METADATA) => Some(METADATA),
        None if rule == NAT64 && nat64_recheck => None,
        Some(_) | None => Some(rule),
    }
}

fn is_isatap(address: Ipv6Addr) -> bool {
    // The cast keeps the upper half of the interface identifier.
    let identifier = (address.to_bits() >> 32) as u32;
    ISATAP.contains(&identifier)
}

/// The IPv4 address inside an IPv6 one that was denied by this rule.
fn embedded(address: Ipv6Addr, rule: &str) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    // Each cast keeps the 32 bits that hold the IPv4 address.
    match rule {
        "ipv4-mapped" | "ipv4-translated" | "ipv4-compatible" | "isatap" | NAT64 => {
            Some((bits as u32).into())
        }
        "6to4" => Some(((bits >> 80) as u32).into()),
        // RFC 4380 section 4: the client's address is stored inverted.
        "teredo" => Some((!(bits as u32)).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> (bool, &'static str) {
        rule_of(&Policy::default(), text, 443)
    }

    fn rule_of(policy: &Policy, text: &str, port: u16) -> (bool, &'static str) {
        let decision = policy.check(text.parse().unwrap_or_else(|error| panic!("{text}: {error}")), port);
        (decision.allowed, decision.rule)
    }

    fn allowing(networks: &[&str]) -> Policy {
        let networks = networks.iter().map(|text| text.parse().expect("a network")).collect();
        Policy::new(networks, false)
    }

    #[test]
    fn public_addresses_are_allowed() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.254",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.169.255.255",
            "223.255.255.255",
            "168.63.129.15",
            "2001:470:8:66::1",
            "2001:200::",
            "2606:4700::6810:84e5",
            "2a00::5efe",
            "3fff:1000::",
        ] {
            assert_eq!(rule(text), (true, "global"), "{text}");
        }
    }

    #[test]
    fn addresses_that_are_not_global_are_denied_by_the_rule_of_their_block() {
        for (text, expected) in [
            ("0.0.0.0", "this-network"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "shared"),
            ("127.0.0.1", "loopback"),
            ("169.254.1.1", "link-local"),
            ("172.31.255.255", "private"),
            ("192.0.0.10", "ietf-protocol"),
            ("192.88.99.1", "6to4-relay"),
            ("192.168.0.0", "private"),
            ("198.19.255.255", "benchmarking"),
            ("203.0.113.9", "documentation"),
            ("224.0.0.1", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("100::1", "discard"),
            ("2001:1::1", "ietf-protocol"),
            ("2001:2f::", "orchid"),
            ("2001:db8::1", "documentation"),
            ("fc00::1", "unique-local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::2", "multicast"),
            ("fb00::", "reserved"),
            ("4000::", "reserved"),
            ("64:ff9a::808:808", "reserved"),
        ] {
            assert_eq!(rule(text), (false, expected), "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_is_denied_whatever_it_is() {
        for (text, expected) in [
            ("::ffff:127.0.0.1", "ipv4-mapped"),
            ("::ffff:1.1.1.1", "ipv4-mapped"),
            ("::ffff:0:1.1.1.1", "ipv4-translated"),
            ("::1.1.1.1", "ipv4-compatible"),
            ("64:ff9b::1.1.1.1", "nat64"),
            ("64:ff9b:1::1.1.1.1", "nat64-local"),
            ("2002:101:101::1", "6to4"),
            ("2001:0:1:2:3:4:5:6", "teredo"),
            ("2a00:1450::5efe:8.8.8.8", "isatap"),
            ("2a00:1450::200:5efe:8.8.8.8", "isatap"),
        ] {
            assert_eq!(rule(text), (false, expected), "{text}");
        }
    }

    #[test]
    fn a_metadata_service_is_named_in_every_embedding() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "2001:0:0:0:0:0:5601:5601",
        ] {
            assert_eq!(rule(text), (false, "metadata"), "{text}");
        }
    }

    #[test]
    fn with_recheck_the_nat64_prefix_is_as_good_as_what_it_embeds() {
        let policy = Policy::new(vec!["10.0.0.0/8".parse().expect("a network")], true);
        assert_eq!(rule_of(&policy, "64:ff9b::1.1.1.1", 443), (true, "global"));
        assert_eq!(rule_of(&policy, "64:ff9b::1.1.1.1", 25), (false, "bad-port"));
        assert_eq!(rule_of(&policy, "64:ff9b::127.0.0.1", 443), (false, "nat64"));
        // The operator allowed the IPv4 network, which is another way than through the translator.
        assert_eq!(rule_of(&policy, "64:ff9b::10.0.0.1", 443), (false, "nat64"));
        assert_eq!(rule_of(&policy, "64:ff9b::169.254.169.254", 443), (false, "metadata"));
        assert_eq!(rule_of(&policy, "64:ff9b:1::1.1.1.1", 443), (false, "nat64-local"));
        assert_eq!(rule_of(&policy, "::ffff:1.1.1.1", 443), (false, "ipv4-mapped"));
    }

    #[test]
    fn an_allowed_network_wins_over_every_denial_on_any_port_but_only_in_its_family() {
        let policy = allowing(&["127.0.0.0/8", "169.254.169.254", "fd00:ec2::254"]);
        assert_eq!(rule_of(&policy, "127.0.0.1", 25), (true, "allow-networks"));
        assert_eq!(rule_of(&policy, "169.254.169.254", 80), (true, "allow-networks"));
        assert_eq!(rule_of(&policy, "fd00:ec2::254", 80), (true, "allow-networks"));
        assert_eq!(rule_of(&policy, "::ffff:127.0.0.1", 80), (false, "ipv4-mapped"));
        assert_eq!(rule_of(&policy, "::1", 80), (false, "loopback"));
        let policy = allowing(&["::ffff:127.0.0.1/128"]);
        assert_eq!(rule_of(&policy, "::ffff:127.0.0.1", 80), (true, "allow-networks"));
        assert_eq!(rule_of(&policy, "127.0.0.1", 80), (false, "loopback"));
    }

    #[test]
    fn bad_ports_are_denied_on_public_addresses() {
        assert_eq!(rule_of(&Policy::default(), "1.1.1.1", 25), (false, "bad-port"));
        assert_eq!(rule_of(&Policy::default(), "1.1.1.1", 8080), (true, "global"));
    }

    /// The standard library knows a good part of the registries by itself: the two must not disagree.
    #[test]
    fn nothing_that_the_standard_library_calls_special_is_allowed() {
        // A multiplicative walk visits the whole space evenly without a random source.
        let mut v4: u32 = 1;
        let mut v6: u128 = 1;
        for _ in 0..300_000 {
            v4 = v4.wrapping_mul(2_654_435_761).wrapping_add(12_345);
            let address = Ipv4Addr::from_bits(v4);
            let special = address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_multicast()
                || address.is_unspecified();
            assert!(!special || !Policy::default().check(address.into(), 443).allowed, "{address}");
            v6 = v6.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(99);
            let address = Ipv6Addr::from_bits(v6);
            let allowed = Policy::default().check(address.into(), 443).allowed;
            let global_unicast = v6 >> 125 == 0b001;
            assert!(!allowed || global_unicast, "{address}");
        }
    }

    #[test]
    fn every_row_of_the_tables_is_reached() {
        for (n, block) in V4.iter().enumerate() {
            let first = V4.iter().position(|other| {
                (block.first.to_bits() ^ other.first.to_bits()) >> (32 - u32::from(other.prefix)) == 0
            });
            assert_eq!(first, Some(n), "{}/{} is hidden by an earlier row", block.first, block.prefix);
            assert_eq!(
                block.first.to_bits().checked_shl(block.prefix.into()).unwrap_or(0),
                0,
                "{}",
                block.first
            );
        }
        for block in V6 {
            let rest = block.first.to_bits().checked_shl(block.prefix.into()).unwrap_or(0);
            assert_eq!(rest, 0, "{} has bits beyond its prefix", block.first);
        }
    }
}
