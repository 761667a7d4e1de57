//! The program with a network of its own: it resolves, checks and dials by itself.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::thread;

use safeurl_protocol::{Bridge, Egress, ErrorClass, Report};

use crate::rig::{Rig, class, listen, page, run, title};

/// What the name server says about a name.
#[derive(Clone, Copy)]
enum Say {
    Addresses(&'static [[u8; 4]]),
    NoSuchName,
    Broken,
    Nothing,
}

/// A name server on loopback that knows addresses of version 4 only.
fn name_server(zone: &'static [(&'static str, Say)]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    let address = socket.local_addr().expect("bound");
    thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let (name, end) = question(&query[..length]);
            let say = zone.iter().find(|(known, _)| *known == name).map_or(Say::NoSuchName, |(_, say)| *say);
            if let Some(answer) = answer(&query[..end], say) {
                socket.send_to(&answer, client).expect("loopback takes it");
            }
        }
    });
    address.to_string()
}

/// The name asked for, and where the question ends.
fn question(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    (labels.join("."), at + 5)
}

fn answer(asked: &[u8], say: Say) -> Option<Vec<u8>> {
    let (code, addresses) = match say {
        Say::Addresses(addresses) => (0, addresses),
        Say::NoSuchName => (3, &[][..]),
        Say::Broken => (2, &[][..]),
        Say::Nothing => return None,
    };
    // AAAA: the name exists and has none.
    let addresses = if asked[asked.len() - 3] == 28 { &[][..] } else { addresses };
    let mut answer = asked.to_vec();
    let count = u8::try_from(addresses.len()).expect("few");
    answer[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    for address in addresses {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(address);
    }
    Some(answer)
}

fn fetch(url: &str, bridge: Bridge) -> Report {
    let mut invocation = Rig::new().invocation(url);
    invocation.egress = Egress::Bridge(bridge);
    run(&invocation)
}

fn site() -> SocketAddr {
    listen(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
        let _ = std::io::Write::write_all(&mut stream, &page("<title>bridged</title>"));
    })
}

fn loopback() -> Vec<String> {
    vec!["127.0.0.1/32".to_owned()]
}

#[test]
fn a_resolved_or_mapped_name_leads_to_the_page() {
    let port = site().port();
    let resolvers = vec![name_server(&[("a.test", Say::Addresses(&[[127, 0, 0, 1]]))])];
    let resolved = Bridge { allow_networks: loopback(), resolvers, ..Bridge::default() };
    let hosts = BTreeMap::from([("a.test".to_owned(), "127.0.0.1".to_owned())]);
    let mapped = Bridge { allow_networks: loopback(), hosts, ..Bridge::default() };
    for bridge in [resolved, mapped] {
        let report = fetch(&format!("http://A.test:{port}/"), bridge);
        assert_eq!((title(&report), report.requests[0].connection), (Some("bridged"), None));
    }
}

#[test]
fn a_name_with_one_forbidden_address_is_refused_whole() {
    let zone = &[("mixed.test", Say::Addresses(&[[127, 0, 0, 1], [127, 0, 0, 2]]))];
    let bridge =
        Bridge { allow_networks: loopback(), resolvers: vec![name_server(zone)], ..Bridge::default() };
    let report = fetch(&format!("http://mixed.test:{}/", site().port()), bridge);
    assert_eq!(class(&report.requests[0]), Some(ErrorClass::EgressDenied));
}

#[test]
fn a_name_that_is_not_there_is_told_from_a_resolver_that_is_not() {
    let zone = &[("broken.test", Say::Broken), ("silent.test", Say::Nothing)];
    let bridge = Bridge { resolvers: vec![name_server(zone)], ..Bridge::default() };
    for (name, expected) in [
        ("missing", ErrorClass::Dns),
        ("broken", ErrorClass::DnsUnavailable),
        ("silent", ErrorClass::DnsUnavailable),
    ] {
        let report = fetch(&format!("http://{name}.test/"), bridge.clone());
        assert_eq!(class(&report.requests[0]), Some(expected), "{name}: {:?}", report.requests[0].error);
    }
}

#[test]
fn a_port_nobody_listens_on_is_no_connection() {
    let free =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let bridge = Bridge { allow_networks: loopback(), ..Bridge::default() };
    let report = fetch(&format!("http://127.0.0.1:{free}/"), bridge);
    assert_eq!((report.requests[0].status, class(&report.requests[0])), (None, Some(ErrorClass::Connect)));
}
