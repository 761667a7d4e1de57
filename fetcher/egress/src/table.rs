//! The denied address blocks, as data. The first row that holds an address decides.
//!
//! Sources: the IANA special-purpose address registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry/>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry/>) and the IPv6 address space registry. Blocks
//! that the registries call globally reachable are in here too: no website lives in them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// One denied block of IPv4 addresses.
#[derive(Debug, Clone, Copy)]
pub struct BlockV4 {
    /// First address.
    pub first: Ipv4Addr,
    /// Leading bits that decide.
    pub prefix: u8,
    /// Stable rule name.
    pub rule: &'static str,
}

/// One denied block of IPv6 addresses.
#[derive(Debug, Clone, Copy)]
pub struct BlockV6 {
    /// First address.
    pub first: Ipv6Addr,
    /// Leading bits that decide.
    pub prefix: u8,
    /// Stable rule name.
    pub rule: &'static str,
}

/// Rule name of the metadata services: reaching for one is an attack on its own.
pub const METADATA: &str = "metadata";

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8, rule: &'static str) -> BlockV4 {
    BlockV4 { first: Ipv4Addr::new(a, b, c, d), prefix, rule }
}

const fn v6(groups: [u16; 8], prefix: u8, rule: &'static str) -> BlockV6 {
    let [a, b, c, d, e, f, g, h] = groups;
    BlockV6 { first: Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix, rule }
}

/// IPv4: cloud metadata, then the special-purpose registry in its order, then what is not unicast.
pub const V4: &[BlockV4] = &[
    v4(169, 254, 169, 254, 32, METADATA), // AWS, Google Cloud, Azure, OpenStack, Oracle and most others
    v4(169, 254, 170, 2, 32, METADATA),   // AWS ECS: credentials of a task
    v4(169, 254, 170, 23, 32, METADATA),  // AWS EKS Pod Identity
    v4(169, 254, 169, 250, 32, METADATA), // Rancher
    v4(169, 254, 42, 42, 32, METADATA),   // Scaleway
    v4(169, 254, 0, 23, 32, METADATA),    // Tencent Cloud
    v4(100, 100, 100, 200, 32, METADATA), // Alibaba Cloud
    v4(192, 0, 0, 192, 32, METADATA),     // Oracle Cloud Classic
    v4(168, 63, 129, 16, 32, METADATA),   // Azure's wire server: a public address, never routed outside
    v4(0, 0, 0, 0, 8, "this-network"),    // RFC 791 section 3.2, RFC 1122 section 3.2.1.3
    v4(10, 0, 0, 0, 8, "private"),        // RFC 1918
    v4(100, 64, 0, 0, 10, "shared"),      // RFC 6598, carrier-grade NAT
    v4(127, 0, 0, 0, 8, "loopback"),      // RFC 1122 section 3.2.1.3
    v4(169, 254, 0, 0, 16, "link-local"), // RFC 3927
    v4(172, 16, 0, 0, 12, "private"),     // RFC 1918
    v4(192, 0, 0, 0, 24, "ietf-protocol"), // RFC 6890 section 2.1, with all assignments inside
    v4(192, 0, 2, 0, 24, "documentation"), // RFC 5737
    v4(192, 31, 196, 0, 24, "as112"),     // RFC 7535
    v4(192, 52, 193, 0, 24, "amt"),       // RFC 7450
    v4(192, 88, 99, 0, 24, "6to4-relay"), // RFC 7526, RFC 6751
    v4(192, 168, 0, 0, 16, "private"),    // RFC 1918
    v4(192, 175, 48, 0, 24, "as112"),     // RFC 7534
    v4(198, 18, 0, 0, 15, "benchmarking"), // RFC 2544
    v4(198, 51, 100, 0, 24, "documentation"), // RFC 5737
    v4(203, 0, 113, 0, 24, "documentation"), // RFC 5737
    v4(224, 0, 0, 0, 4, "multicast"),     // RFC 5771
    v4(255, 255, 255, 255, 32, "broadcast"), // RFC 919 section 7, RFC 8190
    v4(240, 0, 0, 0, 4, "reserved"),      // RFC 1112 section 4
];

/// IPv6: cloud metadata, then the special-purpose registry, then all that is not global unicast. What embeds an
/// IPv4 address keeps a rule name of its own here; which address it embeds is not looked at.
pub const V6: &[BlockV6] = &[
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, METADATA), // AWS
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128, METADATA),  // AWS EKS Pod Identity
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, METADATA),  // Google Cloud
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128, METADATA),   // Scaleway
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, METADATA), // OpenStack
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),            // RFC 4291
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),         // RFC 4291
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "ipv4-mapped"),     // RFC 4291
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "ipv4-translated"), // RFC 2765
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "ipv4-compatible"),      // RFC 4291 section 2.5.5.1, deprecated
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, NAT64),          // RFC 6052
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "nat64-local"),  // RFC 8215
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard"),          // RFC 6666
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "dummy"),            // RFC 9780
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "teredo"),          // RFC 4380, RFC 8190
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking"),    // RFC 5180, errata 1752
    v6([0x2001, 3, 0, 0, 0, 0, 0, 0], 32, "amt"),             // RFC 7450
    v6([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, "as112"),       // RFC 7535
    v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, "orchid"),       // RFC 4843, deprecated
    v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, "orchid"),       // RFC 7343
    v6([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, "drone-id"),     // RFC 9374
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "ietf-protocol"),   // RFC 2928, with all assignments inside
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"), // RFC 3849
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),            // RFC 3056
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, "as112"),   // RFC 7534
    v6([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, "reserved"),        // RFC 3701: the former 6bone, returned to IANA
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),   // RFC 9637
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "srv6-sid"),        // RFC 9602
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique-local"),     // RFC 4193, RFC 8190
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),      // RFC 4291
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),      // RFC 3879, deprecated
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),        // RFC 4291
    // IANA has given out global unicast addresses from 2000::/3 alone; the rest is reserved.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 3, "reserved"),
    v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, "reserved"),
    v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1, "reserved"),
];

/// Rule name of the well-known NAT64 prefix, the only embedding an operator may have judged by its content.
pub const NAT64: &str = "nat64";

/// Interface identifiers that make a router send the packet to the IPv4 address in their last 32 bits, whatever
/// the prefix: ISATAP, RFC 5214 section 6.1, with the universal bit clear and set.
pub const ISATAP: &[u32] = &[0x0000_5efe, 0x0200_5efe];
