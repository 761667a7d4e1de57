use std::net::Ipv4Addr;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Record, RecordType};
use safeurl_egress::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::*;

/// A name server on loopback that lives as long as this value.
struct NameServer {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl NameServer {
    async fn start() -> Self {
        // The same port has to be free for both protocols.
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a UDP socket");
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut query = [0; 2048];
            loop {
                let (length, client) = udp.recv_from(&mut query).await.expect("a query");
                if let Some(answer) = answer(&query[..length], false) {
                    udp.send_to(&answer, client).await.expect("answered");
                }
            }
        });
        tasks.spawn(async move {
            loop {
                let (mut client, _) = tcp.accept().await.expect("a client");
                let length = client.read_u16().await.expect("a length");
                let mut query = vec![0; length.into()];
                client.read_exact(&mut query).await.expect("a query");
                let answer = answer(&query, true).expect("an answer over TCP");
                client.write_u16(answer.len().try_into().expect("short")).await.expect("answered");
                client.write_all(&answer).await.expect("answered");
            }
        });
        Self { address, _tasks: tasks }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

/// The zone of the tests. `None` is silence.
fn answer(query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(query).expect("a DNS query");
    let question = message.queries.first().expect("a question").clone();
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.additionals.clear();
    let asked = question.name().to_ascii().to_ascii_lowercase();
    let mut add = |owner: &str, data: RData| {
        message.answers.push(Record::from_rdata(name(owner), 60, data));
    };
    let v4 = |a, b, c, d| RData::A(A(Ipv4Addr::new(a, b, c, d)));
    match (asked.as_str(), question.query_type()) {
        ("web.example.", RecordType::A) => add("web.example.", v4(1, 1, 1, 1)),
        ("web.example.", RecordType::AAAA) => {
            add("web.example.", RData::AAAA(AAAA("2606:4700::1".parse().expect("an address"))));
        }
        ("inside.example.", RecordType::A) => add("inside.example.", v4(10, 0, 0, 7)),
        ("mixed.example.", RecordType::A) => {
            add("mixed.example.", v4(1, 1, 1, 1));
            add("mixed.example.", v4(127, 0, 0, 1));
        }
        ("split.example.", RecordType::A) => add("split.example.", v4(1, 1, 1, 1)),
        ("split.example.", RecordType::AAAA) => {
            add("split.example.", RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)));
        }
        ("alias.example.", RecordType::A) => {
            add("alias.example.", RData::CNAME(CNAME(name("inside.example."))));
            add("inside.example.", v4(10, 0, 0, 7));
        }
        // The answer names only the alias: its address has to be asked for.
        ("chain.example.", _) => add("chain.example.", RData::CNAME(CNAME(name("web.example.")))),
        ("big.example.", RecordType::A) if over_tcp => add("big.example.", v4(2, 2, 2, 2)),
        ("big.example.", RecordType::A) => message.metadata.truncation = true,
        ("half.example.", RecordType::A) => add("half.example.", v4(3, 3, 3, 3)),
        ("half.example.", _) | ("silent.example.", _) => return None,
        ("broken.example.", _) => message.metadata.response_code = ResponseCode::ServFail,
        ("refused.example.", _) => message.metadata.response_code = ResponseCode::Refused,
        ("gone.example.", _) => message.metadata.response_code = ResponseCode::NXDomain,
        // Everything else exists and has no address of the kind asked for.
        _ => {}
    }
    Some(message.to_vec().expect("an answer"))
}

/// Long enough for a busy machine; what is silent is asked with [`IMPATIENT`].
const PATIENT: Duration = Duration::from_secs(20);
const IMPATIENT: Duration = Duration::from_millis(600);

fn resolver(servers: &[SocketAddr], allow: &[&str], hosts: &[(&str, &str)]) -> Resolver {
    waiting(PATIENT, servers, allow, hosts)
}

fn waiting(timeout: Duration, servers: &[SocketAddr], allow: &[&str], hosts: &[(&str, &str)]) -> Resolver {
    let allow = allow.iter().map(|text| text.parse::<Network>().expect("a network")).collect();
    let hosts = hosts
        .iter()
        .map(|(name, address)| ((*name).to_owned(), address.parse().expect("an address")))
        .collect();
    Resolver::new(Policy::new(allow, false), hosts, servers, timeout).expect("a resolver")
}

/// The addresses as text, and the decision as one word.
async fn seen(resolver: &Resolver, host: &str) -> (Vec<String>, &'static str) {
    let resolution = resolver.resolve(host, 443).await;
    let word = match resolution.outcome {
        Outcome::Allowed { targets, rule } => {
            let dialable: Vec<IpAddr> = targets.iter().map(|target| target.address().ip()).collect();
            assert_eq!(dialable, resolution.addresses, "what is recorded is what is dialled");
            rule
        }
        Outcome::Denied { rule } => rule,
        Outcome::NotFound => "not found",
        Outcome::Unavailable => "unavailable",
    };
    (resolution.addresses.iter().map(ToString::to_string).collect(), word)
}

#[tokio::test]
async fn all_answers_of_all_families_are_judged_together() {
    let server = NameServer::start().await;
    let resolver = resolver(&[server.address], &[], &[]);
    for (host, addresses, outcome) in [
        ("web.example", &["1.1.1.1", "2606:4700::1"][..], "global"),
        ("WEB.Example.", &["1.1.1.1", "2606:4700::1"], "global"),
        ("inside.example", &["10.0.0.7"], "private"),
        ("mixed.example", &["1.1.1.1", "127.0.0.1"], "loopback"),
        ("split.example", &["1.1.1.1", "::1"], "loopback"),
        ("alias.example", &["10.0.0.7"], "private"),
        ("chain.example", &["1.1.1.1", "2606:4700::1"], "global"),
        ("big.example", &["2.2.2.2"], "global"),
    ] {
        let (found, word) = seen(&resolver, host).await;
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        // Name servers may turn the order of records round.
        found.sort_unstable();
        assert_eq!((found.as_slice(), word), (addresses, outcome), "{host}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_differs_from_one_nobody_knows_about() {
    let server = NameServer::start().await;
    let resolver = resolver(&[server.address], &[], &[]);
    for (host, outcome) in [
        ("gone.example", "not found"),
        ("empty.example", "not found"),
        ("broken.example", "unavailable"),
        ("refused.example", "unavailable"),
    ] {
        assert_eq!(seen(&resolver, host).await, (Vec::new(), outcome), "{host}");
    }
    let impatient = waiting(IMPATIENT, &[server.address], &[], &[]);
    assert_eq!(seen(&impatient, "silent.example").await, (Vec::new(), "unavailable"));
}

#[tokio::test]
async fn without_a_name_server_that_answers_names_are_unavailable() {
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let silent = nobody.local_addr().expect("bound");
    assert_eq!(seen(&waiting(IMPATIENT, &[silent], &[], &[]), "web.example").await.1, "unavailable");
    drop(nobody);
    assert_eq!(seen(&waiting(IMPATIENT, &[silent], &[], &[]), "web.example").await.1, "unavailable");
    assert_eq!(seen(&resolver(&[], &[], &[]), "web.example").await.1, "unavailable");
}

#[tokio::test]
async fn a_family_that_is_not_answered_does_not_hide_the_other() {
    let server = NameServer::start().await;
    let found = seen(&resolver(&[server.address], &[], &[]), "half.example").await;
    assert_eq!(found, (vec!["3.3.3.3".to_owned()], "global"));
}

#[tokio::test]
async fn addresses_and_mapped_names_are_checked_and_no_name_server_is_asked() {
    let hosts = [("Shop.Test", "127.0.0.9"), ("meta.test.", "169.254.169.254")];
    let resolver = resolver(&[], &["127.0.0.0/8"], &hosts);
    for (host, address, outcome) in [
        ("shop.test", "127.0.0.9", "allow-networks"),
        ("SHOP.TEST.", "127.0.0.9", "allow-networks"),
        ("meta.test", "169.254.169.254", "metadata"),
        ("127.0.0.1", "127.0.0.1", "allow-networks"),
        ("0x7f.1", "127.0.0.1", "allow-networks"),
        ("%31%32%37.0.0.1", "127.0.0.1", "allow-networks"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", "ipv4-mapped"),
        ("169.254.169.254", "169.254.169.254", "metadata"),
    ] {
        let resolution = resolver.resolve(host, 443).await;
        assert_eq!(resolution.dns_time, None, "{host}");
        assert_eq!(seen(&resolver, host).await, (vec![address.to_owned()], outcome), "{host}");
    }
}

#[tokio::test]
async fn localhost_is_known_by_rule_and_needs_only_one_family_allowed() {
    let both = ["127.0.0.1".to_owned(), "::1".to_owned()];
    assert_eq!(seen(&resolver(&[], &[], &[]), "localhost").await, (both.to_vec(), "loopback"));
    let v4 = seen(&resolver(&[], &["127.0.0.1"], &[]), "App.Localhost.").await;
    assert_eq!(v4, (both[..1].to_vec(), "allow-networks"));
    let v6 = seen(&resolver(&[], &["::1"], &[]), "localhost").await;
    assert_eq!(v6, (both[1..].to_vec(), "allow-networks"));
}

#[tokio::test]
async fn what_is_neither_address_nor_name_is_denied_without_asking() {
    let server = NameServer::start().await;
    let resolver = resolver(&[server.address], &[], &[]);
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = ["a".repeat(63).as_str(); 5].join(".");
    for host in [
        "1.2.3.4.5",
        "web.example.9",
        "a..b",
        ".",
        "a b",
        "a/b",
        "b\u{fc}cher.example",
        &long_label,
        &long_name,
    ] {
        assert_eq!(seen(&resolver, host).await, (Vec::new(), "invalid-host"), "{host}");
    }
}
