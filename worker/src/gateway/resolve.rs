//! From a host, as asked for, to addresses that were checked.
//!
//! An address in any spelling is taken as it is, a mapped name has its fixed address, `localhost` is never asked
//! of anyone (RFC 6761 section 6.3); everything else goes over UDP or TCP to the configured name servers, never
//! through the C library and its search domains. Whatever comes back is checked in one go.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData};
use hickory_resolver::{Resolver as Dns, TokioResolver};
use safeurl_egress::Policy;

use super::checked::{self, CheckedAddr};

/// How long an answer in one family waits for the other.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// The most addresses of one name that are looked at; larger answers are not websites.
const MAX_ADDRESSES: usize = 32;

/// Resolves and checks.
#[derive(Debug)]
pub(super) struct Resolver {
    dns: TokioResolver,
    hosts: BTreeMap<String, IpAddr>,
    policy: Policy,
    timeout: Duration,
}

/// What became of a host.
#[derive(Debug)]
pub(super) struct Resolution {
    /// IPv4 first, each family as answered; in which order they are dialled is the race's business.
    pub(super) addresses: Vec<IpAddr>,
    /// Time the name servers took; `None` when none was asked.
    pub(super) dns_time: Option<Duration>,
    pub(super) outcome: Outcome,
}

/// The decision about a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every address may be dialled.
    Allowed { targets: Vec<CheckedAddr>, rule: &'static str },
    /// At least one may not.
    Denied { rule: &'static str },
    /// The name has no address.
    NotFound,
    /// No name server gave an answer that counts.
    Unavailable,
}

impl Resolver {
    pub(super) fn new(
        policy: Policy,
        hosts: BTreeMap<String, IpAddr>,
        servers: &[SocketAddr],
        timeout: Duration,
    ) -> Result<Self, NetError> {
        let name_servers = servers.iter().map(|server| name_server(*server)).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), name_servers);
        let mut dns = Dns::builder_with_config(config, TokioRuntimeProvider::default());
        let options: &mut ResolverOpts = dns.options_mut();
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Two tries within the whole time; the deadline around them is ours.
        options.timeout = timeout / 2;
        options.attempts = 1;
        // Each scan sees what the name servers say now, and memory stays flat.
        options.cache_size = 0;
        let hosts = hosts.into_iter().map(|(name, address)| (canonical(&name), address)).collect();
        Ok(Self { dns: dns.build()?, hosts, policy, timeout })
    }

    /// Finds and judges all addresses of a host.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Resolution {
        if let Some(address) = safeurl_egress::literal(host) {
            return self.judged(vec![address], port, None);
        }
        let name = canonical(host);
        if let Some(address) = self.hosts.get(&name) {
            return self.judged(vec![*address], port, None);
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return self.localhost(port);
        }
        let Some(name) = is_name(&name).then(|| Name::from_ascii(format!("{name}.")).ok()).flatten() else {
            let outcome = Outcome::Denied { rule: "invalid-host" };
            return Resolution { addresses: Vec::new(), dns_time: None, outcome };
        };
        let asked = Instant::now();
        let found = tokio::time::timeout(self.timeout, self.ask(&name)).await;
        let dns_time = Some(asked.elapsed());
        let outcome = match found {
            Ok(Found::Addresses(addresses)) => return self.judged(addresses, port, dns_time),
            Ok(Found::Nothing) => Outcome::NotFound,
            Ok(Found::Unknown) | Err(_) => Outcome::Unavailable,
        };
        Resolution { addresses: Vec::new(), dns_time, outcome }
    }

    fn judged(&self, mut addresses: Vec<IpAddr>, port: u16, dns_time: Option<Duration>) -> Resolution {
        // An answer that is too long is judged whole and recorded in part.
        let outcome = match checked::all(&self.policy, &addresses, port) {
            Ok((mut targets, rule)) => {
                targets.truncate(MAX_ADDRESSES);
                Outcome::Allowed { targets, rule }
            }
            Err(rule) => Outcome::Denied { rule },
        };
        addresses.truncate(MAX_ADDRESSES);
        Resolution { addresses, dns_time, outcome }
    }

    /// The two loopback addresses are known, not answered: allowing one family is enough to use it.
    fn localhost(&self, port: u16) -> Resolution {
        let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let allowed: Vec<IpAddr> =
            both.into_iter().filter(|address| self.policy.check(*address, port).allowed).collect();
        self.judged(if allowed.is_empty() { both.to_vec() } else { allowed }, port, None)
    }

    async fn ask(&self, name: &Name) -> Found {
        let v4 = async { found(self.dns.ipv4_lookup(name.clone()).await) };
        let v6 = async { found(self.dns.ipv6_lookup(name.clone()).await) };
        tokio::pin!(v4, v6);
        let (first, first_is_v4) = tokio::select! {
            first = &mut v4 => (first, true),
            first = &mut v6 => (first, false),
        };
        let second = async { if first_is_v4 { v6.await } else { v4.await } };
        let second = if matches!(first, Found::Addresses(_)) {
            // What has not been answered is not dialled, so it needs no check either.
            tokio::time::timeout(OTHER_FAMILY, second).await.unwrap_or(Found::Unknown)
        } else {
            second.await
        };
        if first_is_v4 { first.and(second) } else { second.and(first) }
    }
}

/// What the name servers say about one name.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Addresses(Vec<IpAddr>),
    /// There is no such name, or it has no address of this family.
    Nothing,
    /// Silence, failure, refusal.
    Unknown,
}

impl Found {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Addresses(mut addresses), Self::Addresses(more)) => {
                addresses.extend(more);
                Self::Addresses(addresses)
            }
            (Self::Addresses(addresses), Self::Nothing | Self::Unknown)
            | (Self::Nothing | Self::Unknown, Self::Addresses(addresses)) => Self::Addresses(addresses),
            (Self::Unknown, Self::Nothing | Self::Unknown) | (Self::Nothing, Self::Unknown) => Self::Unknown,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
        }
    }
}

fn found(answer: Result<Lookup, NetError>) -> Found {
    match answer {
        Ok(lookup) => {
            let addresses: Vec<IpAddr> = lookup
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::A(a) => Some(IpAddr::V4(a.0)),
                    RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                    _ => None,
                })
                .collect();
            if addresses.is_empty() { Found::Nothing } else { Found::Addresses(addresses) }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(_))) => Found::Nothing,
        Err(_) => Found::Unknown,
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut udp = ConnectionConfig::udp();
    let mut tcp = ConnectionConfig::tcp();
    udp.port = server.port();
    tcp.port = server.port();
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    config.connections = vec![udp, tcp];
    config
}

pub(super) fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63 bytes, 253 in all, the last label no number.
pub(super) fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(label) && !safeurl_egress::looks_numeric(host)
}

#[cfg(test)]
mod tests;
