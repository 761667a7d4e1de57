//! Addresses in links, each through the program and a container of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use safeurl_egress::Policy;
use safeurl_egress::table::{V4, V6};

use crate::island::Island;
use crate::names::{Names, Reply};
use crate::program::{denials, dialled, end, scan};
use crate::web::{Web, article};

/// An address for every rule that denies blocks, in each family that it has blocks of.
fn denied() -> Vec<IpAddr> {
    let v4 = V4.iter().map(|block| ((block.rule, 4), IpAddr::V4(block.first)));
    let v6 = V6.iter().map(|block| ((block.rule, 6), IpAddr::V6(block.first)));
    v4.chain(v6).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// No network at all takes a connection to one of many, and link-local addresses of IPv6 need a zone as well.
fn is_refused_by_the_kernel(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

/// Dials every one by hand, and tells those that could not be dialled.
fn by_hand(island: &Island, addresses: &[IpAddr]) -> Vec<IpAddr> {
    let reached = |address: &IpAddr| {
        TcpStream::connect_timeout(&SocketAddr::new(*address, 80), Duration::from_secs(20)).is_ok()
    };
    island.inside(|| addresses.iter().copied().filter(|address| !reached(address)).collect())
}

fn link(address: IpAddr) -> String {
    format!("http://{}/", SocketAddr::new(address, 80)).replace(":80/", "/")
}

#[test]
fn no_packet_goes_to_a_block_that_the_rules_deny() {
    let island = Island::new();
    let web = Web::open(&island, &[80], |_| article());
    let addresses = denied();
    assert!(addresses.len() > 35, "{addresses:?}");
    let links: Vec<String> = addresses.iter().copied().map(link).collect();
    let documents = scan(&island, &links, &[]);
    for (link, address) in links.iter().zip(&addresses) {
        let document = &documents[link];
        assert_eq!(end(document), ("FAILED", "egress_denied"), "{link}");
        assert_eq!(denials(document), [Policy::default().check(*address, 80).rule], "{link}");
        assert_eq!(dialled(document), Vec::<&str>::new(), "{link}");
        assert_eq!(document["verdict"]["state"], "notEvaluated", "{link}");
    }
    assert_eq!(island.packets(), 0, "not even a question to a name server");

    // Without the gateway in the way they are all there.
    let unreachable: Vec<IpAddr> =
        addresses.iter().copied().filter(|address| is_refused_by_the_kernel(*address)).collect();
    assert_eq!(by_hand(&island, &addresses), unreachable);
    let reached = (addresses.len() - unreachable.len()) as u64;
    assert_eq!(web.arrivals(reached).len() as u64, island.dialled());
}

#[test]
fn an_operator_who_allows_everything_reaches_what_is_denied_otherwise() {
    let island = Island::new();
    let web = Web::open(&island, &[80], |_| article());
    let addresses = ["127.0.0.7", "10.0.0.1", "169.254.169.254", "::1", "fc00::1", "64:ff9b::a00:1"];
    let addresses = addresses.map(|text| text.parse::<IpAddr>().expect("an address"));
    let links: Vec<String> = addresses.map(link).to_vec();
    let documents = scan(&island, &links, &[("SAFEURL_GATEWAY_ALLOW_NETWORKS", "0.0.0.0/0,::/0")]);
    for link in &links {
        assert_eq!(end(&documents[link]), ("COMPLETED", ""), "{link}");
    }
    let arrivals = web.arrivals(island.dialled());
    for address in addresses {
        assert!(arrivals.iter().any(|arrival| arrival.at == address), "{address}: {arrivals:?}");
    }
}

/// Ways to write an address that must not be dialled, so that something takes it for another or for a name.
const DISGUISED: &[(&str, &str)] = &[
    ("http://2130706434/", "loopback"),
    ("http://0x7f.2/", "loopback"),
    ("http://0177.0.0.2/", "loopback"),
    ("http://127.2/", "loopback"),
    ("http://127.0.0.2./", "loopback"),
    ("http://%31%32%37.0.0.2/", "loopback"),
    ("http://127%2e0%2e0%2e2/", "loopback"),
    ("http://\u{ff11}\u{ff12}\u{ff17}.0.0.2/", "loopback"),
    ("http://127\u{3002}0\u{3002}0\u{3002}2/", "loopback"),
    ("http://\u{2460}\u{2461}\u{2466}.0.0.2/", "loopback"),
    ("http://12\u{ad}7.0.0.2/", "loopback"),
    ("http://93.184.216.34@127.0.0.2/", "loopback"),
    ("http://93.184.216.34:80@127.0.0.2:80/", "loopback"),
    ("http://127.0.0.2\\@93.184.216.34/", "loopback"),
    ("http:127.0.0.2/x", "loopback"),
    ("http:\\\\127.0.0.2\\x", "loopback"),
    ("hxxp://127[.]0[.]0[.]2/", "loopback"),
    ("http://localhost/", "loopback"),
    ("http://LOCALHOST./", "loopback"),
    ("http://web.localhost/", "loopback"),
    ("http://0xa9fea9fe/latest/meta-data/", "metadata"),
    ("http://[::ffff:a9fe:a9fe]/", "metadata"),
    ("http://[::ffff:0a00:0001]/", "ipv4-mapped"),
    ("http://[0:0:0:0:0:ffff:127.0.0.2]/", "ipv4-mapped"),
    ("http://[::a00:1]/", "ipv4-compatible"),
    ("http://[2002:a00:1::]/", "6to4"),
    ("http://[2001:0:1234:5678:9abc:def0:f5ff:fffe]/", "teredo"),
    ("http://[2606:4700::5efe:a00:1]/", "isatap"),
    ("https://[::1]:80/", "loopback"),
    ("http://${metadata}/", "invalid-host"),
    ("http://a\"b`c/", "invalid-host"),
    ("http://93.184.216.34:25/", "bad-port"),
    ("http://93.184.216.34:6667/", "bad-port"),
];

#[test]
fn no_packet_goes_to_a_denied_address_however_it_is_written() {
    let island = Island::new();
    let _web = Web::open(&island, &[80], |_| article());
    // Numbered, because links that mean the same are scanned once.
    let links: Vec<String> =
        DISGUISED.iter().enumerate().map(|(n, (link, _))| format!("{link}{n}")).collect();
    let documents = scan(&island, &links, &[]);
    for (link, (_, rule)) in links.iter().zip(DISGUISED) {
        let document = documents.get(link).unwrap_or_else(|| panic!("{link}: no link"));
        assert_eq!(end(document), ("FAILED", "egress_denied"), "{link}");
        assert_eq!(denials(document), [*rule], "{link}");
    }
    assert_eq!(island.packets(), 0);
}

#[test]
fn addresses_beside_the_denied_blocks_are_reached() {
    let island = Island::new();
    let web = Web::open(&island, &[80, 8080], |_| article());
    let _names = Names::open(&island, |_| Reply::Silence);
    let addresses: Vec<IpAddr> = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.169.0.0",
        "198.20.0.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:470:8:66::1",
        "2606:4700::6810:84e5",
        "3fff:1000::1",
    ]
    .map(|text| text.parse().expect("an address"))
    .to_vec();
    let mut links: Vec<String> = addresses.iter().copied().map(link).collect();
    links.push("http://93.184.216.35:8080/".to_owned());
    let documents = scan(&island, &links, &[]);
    for link in &links {
        assert_eq!(end(&documents[link]), ("COMPLETED", ""), "{link}");
        assert_eq!(denials(&documents[link]), Vec::<&str>::new(), "{link}");
    }
    let arrivals = web.arrivals(island.dialled());
    for address in &addresses {
        assert!(arrivals.iter().any(|arrival| arrival.at == *address), "{address}: {arrivals:?}");
    }
    assert!(arrivals.iter().any(|arrival| arrival.port == 8080), "{arrivals:?}");
    assert_eq!(island.datagrams(), 0, "no name server is asked for an address");
}
