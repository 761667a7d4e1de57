//! The way out of a container that has a network card: resolve, check every address, dial one of them.
//!
//! The rules are the gateway's own crate, but they run in the process that reads hostile bytes: a fetcher
//! that was taken over does not keep to them. Names go to the configured resolvers over UDP and TCP, never
//! through the C library, and a name with one forbidden address is refused whole: a mixed answer is how
//! rebinding looks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use safeurl_egress::{Network, Policy, literal};
use safeurl_protocol::{Bridge, ErrorClass};
use tokio::net::TcpStream;

use super::{Opened, Refused};

/// What one address gets before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What one question to one resolver gets.
const DNS_TIMEOUT: Duration = Duration::from_secs(2);

/// The first nameservers of resolv.conf, as the C library takes them.
const MAX_RESOLVERS: usize = 3;

/// The checked rules of an invocation.
#[derive(Debug)]
pub(crate) struct Rules {
    policy: Policy,
    hosts: BTreeMap<String, IpAddr>,
    resolvers: Vec<SocketAddr>,
}

impl Rules {
    /// The error names the part that cannot be read.
    pub(crate) fn new(bridge: Bridge) -> Result<Self, String> {
        let mut allow = Vec::new();
        for text in &bridge.allow_networks {
            let network: Network =
                text.parse().map_err(|error| format!("allowNetworks: {text:?}: {error}"))?;
            allow.push(network);
        }
        let mut hosts = BTreeMap::new();
        for (name, address) in &bridge.hosts {
            let address = address.parse().map_err(|_| format!("hosts: {address:?} is not an address"))?;
            hosts.insert(canonical(name), address);
        }
        let resolvers = bridge
            .resolvers
            .iter()
            .map(|text| text.parse().map_err(|_| format!("resolvers: {text:?} is not address:port")))
            .collect::<Result<Vec<SocketAddr>, String>>()?;
        Ok(Self { policy: Policy::new(allow, bridge.nat64_recheck), hosts, resolvers })
    }

    pub(super) async fn open(&self, host: &str, port: u16) -> Result<Opened, Refused> {
        let addresses = match literal(host) {
            Some(address) => vec![address],
            None => self.resolve(&canonical(host)).await?,
        };
        for address in &addresses {
            let decision = self.policy.check(*address, port);
            if !decision.allowed {
                return Err(Refused::new(
                    ErrorClass::EgressDenied,
                    format!("{address} port {port}: denied by the rule {}", decision.rule),
                ));
            }
        }
        dial(&addresses, port).await
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Refused> {
        if let Some(address) = self.hosts.get(name) {
            return Ok(vec![*address]);
        }
        let resolver = self.resolver()?;
        // The trailing dot keeps every search domain out of it.
        match resolver.lookup_ip(format!("{name}.")).await {
            Ok(found) => Ok(found.iter().collect()),
            Err(error) => Err(unresolved(&error)),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, Refused> {
        let servers = if self.resolvers.is_empty() { system_resolvers() } else { self.resolvers.clone() };
        let config = ResolverConfig::from_name_servers(servers.into_iter().map(name_server).collect());
        let mut options = ResolverOpts::default();
        options.timeout = DNS_TIMEOUT;
        options.attempts = 1;
        options.use_hosts_file = ResolveHosts::Never;
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| Refused::new(ErrorClass::DnsUnavailable, error.to_string()))
    }
}

async fn dial(addresses: &[IpAddr], port: u16) -> Result<Opened, Refused> {
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(Opened { stream: Box::new(stream), connection: None }),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: no answer in time"),
        }
    }
    Err(Refused::new(ErrorClass::Connect, last))
}

fn unresolved(error: &NetError) -> Refused {
    let class = if error.is_no_records_found() { ErrorClass::Dns } else { ErrorClass::DnsUnavailable };
    Refused::new(class, error.to_string())
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn system_resolvers() -> Vec<SocketAddr> {
    nameservers(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

fn nameservers(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .take(MAX_RESOLVERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_as_the_c_library_reads_them() {
        let text = "# nameserver 1.1.1.1\nnameserver 192.0.2.1\n nameserver\t2001:db8::1\nnameserver x\noptions ndots:5\n";
        let expected: Vec<SocketAddr> =
            ["192.0.2.1:53", "[2001:db8::1]:53"].iter().map(|a| a.parse().expect("an address")).collect();
        assert_eq!(nameservers(text), expected);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_address_in_any_spelling_and_a_mapped_name_are_checked_before_dialling() {
        let hosts = BTreeMap::from([("Inner.Test".to_owned(), "10.0.0.1".to_owned())]);
        let rules = Rules::new(Bridge { hosts, ..Bridge::default() }).expect("good rules");
        for host in ["127.0.0.1", "0x7f.1", "[::1]", "169.254.169.254", "inner.test", "inner.test."] {
            let refused = rules.open(host, 80).await.err().expect("refused");
            assert_eq!(refused.class, ErrorClass::EgressDenied, "{host}: {}", refused.message);
        }
    }

    #[test]
    fn rules_that_cannot_be_read_are_named() {
        for (bridge, part) in [
            (Bridge { allow_networks: vec!["x/8".to_owned()], ..Bridge::default() }, "allowNetworks"),
            (Bridge { resolvers: vec!["1.2.3.4".to_owned()], ..Bridge::default() }, "resolvers"),
            (
                Bridge { hosts: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..Bridge::default() },
                "hosts",
            ),
        ] {
            assert!(Rules::new(bridge).expect_err("refused").contains(part));
        }
    }
}
